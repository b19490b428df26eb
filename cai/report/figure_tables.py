"""Figures of any name as tables: what a stage measures is shown without the page knowing what it is called."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TypedDict

from cai.judge.measures import LEAST
from cai.report.habits import EQUAL
from constitution.visible import visible

INTERVAL = ("value", "low", "high")
AMOUNTS = frozenset({"bits", "hedges", "score", "perplexity", "words"})
"""Figures that are no shares, also where they are below 1: bits of a byte, hedges of a hundred words, harm from 0 to 4."""
SHOWN = 60
"""Letters of a habit."""


MOST, WIDEST, DEEPEST = 1000, 40, 12
"""Figures and columns of a table, and levels below each other: a page is no place for more, whatever a file holds."""


class FigureTable(TypedDict):
    """A row for each figure, a column for each of what they are of."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def table(title: str, columns: Mapping[str, Mapping[str, object]]) -> FigureTable:
    """Figures of several things side by side, those first that the first thing has.

    Args:
        columns: what it is → its figures, nested as they come.
    """
    cells = {name: dict(islice(leaves(figures), MOST + 1)) for name, figures in islice(columns.items(), WIDEST)}
    names = list(dict.fromkeys(key for each in cells.values() for key in each))
    rows = [(visible(key), [visible(each.get(key, "–")) for each in cells.values()]) for key in names[:MOST]]
    parts = [f"{WIDEST} columns of {len(columns):,}"] if len(columns) > WIDEST else []
    parts += [f"{MOST:,} figures, of which there are more"] if len(names) > MOST else []
    title = f"{title} ({' and '.join(parts)} in the run's files)" if parts else title
    return {"title": title, "columns": list(map(visible, cells)), "rows": rows}


def leaves(figures: Mapping[str, object], above: str = "", deep: int = DEEPEST) -> Iterator[tuple[str, str]]:
    """Each figure with its name in words and its value as text; what is neither a number nor a short text is left out.

    Args:
        deep: how many levels are looked into.
    """
    for key, value in figures.items():
        name = f"{above}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            whole = _interval(value, key)
            yield from [(name, whole)] if whole else leaves(value, f"{name}: ", deep - 1) if deep else ()
        elif (text := plain(value)) is not None:
            yield name, text


def plain(value: object) -> str | None:
    """A value as text; None for what is no figure."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        case None:
            return "–"
        case str():
            return value if len(value) <= 120 else f"{value[:119]}…"
    return None


def _interval(value: Mapping[str, object], key: str) -> str:
    """A share or an amount with its 95% interval or its standard error, or one that changed; empty where it is none.

    Of a habit what it is stands first.
    """
    text = value.get("text")
    what = f"“{text[:SHOWN]}” " if isinstance(text, str) and text else ""
    whole = _numbers(value, key not in AMOUNTS)
    return f"{what}{whole}" if whole else ""


def _numbers(value: Mapping[str, object], may_be_share: bool) -> str:
    numbers = {key: each for key, each in value.items() if isinstance(each, int | float) and not isinstance(each, bool)}
    if "stderr" in numbers and "value" in numbers:
        return f"{numbers['value']:.3g} ± {numbers['stderr']:.2g}"
    if not all(key in value for key in INTERVAL):
        return ""
    if "value" not in numbers:
        return "–"
    if numbers.get("change") == numbers.get("low") == numbers.get("high") == 0 and may_be_share:
        return f"{100 * numbers['value']:.0f}%"  # what the others are beside
    cases = numbers.get("of", numbers.get("prompts"))
    of = "" if cases is None else f" of {plain(cases)}"
    first = numbers.get("first", numbers.get("plain"))
    if first is not None and "change" in numbers:
        change = f"{first:.3g} → {numbers['value']:.3g}, a change of {numbers['change']:+.3g}"
        return f"{change} ({_ends(numbers, '+.3g')}){of}"
    if may_be_share and "low" in numbers and "high" in numbers and all(0 <= numbers[key] <= 1 for key in INTERVAL):
        return f"{100 * numbers['value']:.0f}% ({100 * numbers['low']:.0f}–{100 * numbers['high']:.0f}){of}"
    return f"{numbers['value']:.3g} ({_ends(numbers, '.3g')}){of}"


def _ends(numbers: Mapping[str, float], form: str) -> str:
    """The ends of an interval, where there is one; of a mean of many values there is none where they are equal."""
    if "low" not in numbers or "high" not in numbers:
        return "too few for an interval" if numbers.get("of", 0) < LEAST else EQUAL
    return f"{numbers['low']:{form}} to {numbers['high']:{form}}"
