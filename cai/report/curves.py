"""Curves for the page: series of values by step in one frame, with their bounds, and the same in figures for who reads them."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from constitution.wording import count

POINTS = 2000
"""Of a series; of more, the least and the most of each stretch are drawn, so that no spike is lost."""
TABLE = 12
"""Rows of the table under a curve."""

Values = Sequence[tuple[int, float]]


class CurveBound(TypedDict):
    """A line in a curve's frame: "warn" or "stop", and the value."""

    kind: str
    at: float


class Series(TypedDict):
    """Values by step, and on which side their axis is."""

    label: str
    axis: Literal["left", "right"]
    points: list[tuple[int, float]]


class Curve(TypedDict):
    """One frame.

    Attributes:
        by: what the values are counted by.
        low, high, last: of the first series.
    """

    title: str
    by: str
    series: list[Series]
    low: float
    high: float
    last: float
    bounds: list[CurveBound]


def curve(title: str, values: Values, bounds: Sequence[tuple[float, str]] = (), by: str = "step") -> Curve | None:
    """A frame of one series; None for fewer than two values."""
    return frame(title, {title.partition(":")[0]: values}, bounds, by)


def frame(
    title: str, series: Mapping[str, Values], bounds: Sequence[tuple[float, str]] = (), by: str = "step"
) -> Curve | None:
    """Series in one frame, all of one unit; None where the first has fewer than two values."""
    numbers = {label: [each for each in values if math.isfinite(each[1])] for label, values in series.items()}
    first = next(iter(numbers.values()), [])
    if len(first) < 2:
        return None
    if lost := sum(map(len, series.values())) - sum(map(len, numbers.values())):
        title += f" ({count(lost, 'value')} no number, and not drawn)"
    heights = [value for _, value in first]
    lines: list[Series] = [
        {"label": label, "axis": "left", "points": thin(values)} for label, values in numbers.items()
    ]
    return {
        "title": title,
        "by": by,
        "series": lines,
        "low": min(heights),
        "high": max(heights),
        "last": heights[-1],
        "bounds": [{"kind": kind, "at": at} for at, kind in bounds],
    }


def on_the_right(of: Curve, label: str) -> Curve:
    """The same with one series in a unit of its own, whose axis is on the right."""
    lines: list[Series] = [{**each, "axis": "right"} if each["label"] == label else each for each in of["series"]]
    return {**of, "series": lines}


def thin(values: Values, most: int = POINTS) -> list[tuple[int, float]]:
    """At most about so many points: of each stretch the least and the most, and the last of all."""
    if len(values) <= most:
        return list(values)
    size = -(-2 * len(values) // most)
    stretches = (values[at : at + size] for at in range(0, len(values), size))
    ends = ({min(each, key=_height), max(each, key=_height)} for each in stretches)
    return sorted({point for two in ends for point in two} | {values[-1]})


def _height(point: tuple[int, float]) -> float:
    return point[1]


def in_figures(of: Curve) -> list[list[str]]:
    """A curve for those who read it: rows of a step and each series' value there, from the first step to the last."""
    steps = sorted({step for series in of["series"] for step, _ in series["points"]})
    chosen = {steps[round(number * (len(steps) - 1) / (TABLE - 1))] for number in range(TABLE)}
    values = [dict(series["points"]) for series in of["series"]]
    return [
        [str(step), *("" if step not in each else f"{each[step]:.4g}" for each in values)] for step in sorted(chosen)
    ]
