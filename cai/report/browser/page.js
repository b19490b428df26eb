// What happens when the page is opened, and when it is printed.

/** Unfolds everything but tables of curves for the printer, in the colors of paper, and folds it again behind it. */
function printing(drawAll) {
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.closest("figcaption"));
    folded.forEach((each) => { each.open = true; });
    document.documentElement.classList.add("paper");
    drawAll();
  });
  window.addEventListener("afterprint", () => {
    folded.forEach((each) => { each.open = false; });
    document.documentElement.classList.remove("paper");
    drawAll();
  });
}

async function main() {
  const root = document.documentElement;
  try {
    const curves = await unpack("packed-plots");
    root.classList.add("live");
    printing(drawPlots(curves));
    const book = JSON.parse(document.getElementById("book").textContent);
    if (book.tables.length) explorer(book, await unpack("packed-rows"));
    root.dataset.ready = "yes";
  } catch (error) {
    const note = document.getElementById("rows-none");
    if (note) note.hidden = false;
    root.dataset.ready = "no";
    console.error(error);
  }
  performance.mark("ready");
}

main();
