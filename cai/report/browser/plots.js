// Curves with axes, drawn by uPlot: hovering shows the values below, bounds are dashed and say what they do.

const COLORS = ["--mark", "--second", "--third", "--fourth"];

const STEPS = Array.from({ length: 9 }, (none, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat(); // no half steps

/** A color of the style sheet, as it is in the light or in the dark. */
function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A value as it is read: three digits that count. */
function digits(value) {
  return value === null || value === undefined ? "–" : String(Number(value.toPrecision(4)));
}

/** The scale's ends: all values and all bounds are within, with a little room. */
function rangeWith(bounds) {
  return (plot, low, high) => {
    const ends = [low, high, ...bounds.map((bound) => bound.at)].filter((end) => end !== null && Number.isFinite(end));
    return ends.length ? uPlot.rangeNum(Math.min(...ends), Math.max(...ends), 0.1, true) : [0, 1];
  };
}

/** Draws the bounds over a plot. */
function boundLines(bounds) {
  return (plot) => {
    const ratio = devicePixelRatio;
    plot.ctx.save();
    plot.ctx.textAlign = "left";
    plot.ctx.textBaseline = "alphabetic";
    plot.ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    for (const bound of bounds) {
      const y = plot.valToPos(bound.at, "y", true);
      plot.ctx.strokeStyle = plot.ctx.fillStyle = color(bound.kind === "stop" ? "--alarm" : "--soft");
      plot.ctx.lineWidth = ratio;
      plot.ctx.setLineDash([5 * ratio, 4 * ratio]);
      plot.ctx.beginPath();
      plot.ctx.moveTo(plot.bbox.left, y);
      plot.ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
      plot.ctx.stroke();
      plot.ctx.fillText(`${bound.kind}s at ${digits(bound.at)}`, plot.bbox.left + 4 * ratio, y - 3 * ratio);
    }
    plot.ctx.restore();
  };
}

/** An axis in the page's colors. */
function axis(more) {
  const grid = { stroke: color("--line"), width: 1 };
  return { stroke: color("--soft"), grid, ticks: grid, font: "11px system-ui, sans-serif", labelFont: "11px system-ui, sans-serif", labelSize: 16, ...more };
}

/** One curve, or several in one frame; a second unit has the axis on the right. */
function plotOf(curve, width) {
  const right = curve.series.some((series) => series.axis === "right");
  const scaleOf = (series) => (series.axis === "right" ? "z" : "y");
  const series = curve.series.map((each, number) => ({
    label: curve.series.length > 1 ? each.label : "value",
    scale: scaleOf(each),
    stroke: color(COLORS[number % COLORS.length]),
    width: 2,
    dash: number ? [8, 3 + number] : [],
    spanGaps: true,
    points: { show: each.points.length < 40, size: 5 },
    value: (plot, value) => digits(value),
  }));
  const titled = (side) => (right ? curve.series.find((each) => each.axis === side).label : undefined);
  const steps = axis({ size: 28, incrs: STEPS, space: 45 });
  const axes = [steps, axis({ scale: "y", size: 52, space: 26, label: titled("left"), values: (plot, ticks) => ticks.map(digits) })];
  if (right) axes.push(axis({ scale: "z", side: 1, size: 52, space: 26, label: titled("right"), grid: { show: false }, values: (plot, ticks) => ticks.map(digits) }));
  const scales = { x: { time: false }, y: { range: rangeWith(curve.bounds) } };
  if (right) scales.z = { range: rangeWith([]) };
  const options = { width, height: right ? 260 : 170, scales, axes, hooks: { draw: [boundLines(curve.bounds)] } };
  const data = uPlot.join(curve.series.map((each) => [each.points.map((point) => point[0]), each.points.map((point) => point[1])]));
  return { options: { ...options, series: [{ label: curve.by, value: (plot, value) => digits(value) }, ...series] }, data };
}

/** Draws all curves into their places, and again when the window or its colors change. */
function drawPlots(curves) {
  const places = [...document.querySelectorAll("[data-plot]")];
  const drawn = new Map();
  function draw(place) {
    if (drawn.has(place)) drawn.get(place).destroy();
    const width = Math.max(240, place.clientWidth);
    const { options, data } = plotOf(curves[Number(place.dataset.plot)], width);
    const plot = new uPlot(options, data, place);
    plot.root.querySelector("canvas").setAttribute("aria-hidden", "true");
    plot.root.querySelectorAll("th").forEach((heading) => { heading.scope = "row"; });
    drawn.set(place, plot);
  }
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
    }
  }, { rootMargin: "400px" });
  places.forEach((place) => seen.observe(place));
  const again = () => [...drawn.keys()].forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(again, 150);
  });
  return () => places.forEach(draw);
}
