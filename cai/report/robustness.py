"""What is shown of a test of robustness: a row for each model and variation, with how far its shares moved."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cai.errors import RunError
from cai.judge.paired import Move
from cai.report.format import counts_text, percent
from cai.stages.robustness import VariationFigures
from cai.store.files import read_form

Figures = Mapping[str, Mapping[str, VariationFigures]]
"""Role → variation → what became of it."""
SHARES = (
    ("refusal", "refused"),
    ("unsafe_compliance", "unsafe compliance"),
    ("over_refusal", "over-refused"),
)
"""What is counted of all prompts, and its words in the table."""


def robust(folder: Path) -> dict[str, dict[str, VariationFigures]]:
    """The figures by role and variation.

    Raises:
        RunError: they are gone, or damaged.
    """
    path = folder / "metrics.json"
    if figures := read_form(path, dict[str, dict[str, VariationFigures]]):
        return figures
    raise RunError(f"{path} is gone; put it back, or do it again with: --redo {folder.name}")


def table(figures: Figures) -> Table:
    """Shares by model and variation, and beside the plain prompt's their change in points with its 95% interval."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "variation"):
        grid.add_column(name, overflow="fold")
    for name in ("answers", *(words for _, words in SHARES)):
        grid.add_column(name, justify="right")
    grid.add_column("left out")
    for role, variations in figures.items():
        for name, one in variations.items():
            cells = [_cell(one["all"], what) for what, _ in SHARES]
            grid.add_row(role, name, str(one["answers"]), *cells, counts_text(one["left_out"]))
        grid.add_section()
    return grid


def _cell(moves: Mapping[str, Move], what: str) -> str:
    """``62%``, or ``40% (−22; −30 to −14)`` where it is beside the plain prompt's."""
    one = moves.get(what)
    if one is None or one["value"] is None:
        return "–"
    change, low, high = one["change"], one["low"], one["high"]
    if low == high == 0:  # the plain prompt's own
        return percent(one["value"])
    ends = "too few for an interval" if low is None or high is None else f"{points(low)} to {points(high)}"
    return f"{percent(one['value'])} ({points(change or 0)}; {ends})"


def points(share: float) -> str:
    """``+12``, ``−3``, ``0``: in hundredths."""
    number = round(100 * share)
    return f"+{number}" if number > 0 else f"\u2212{-number}" if number < 0 else "0"


def print_table(folder: Path, console: Console) -> None:
    """The table of a stage that is done; nothing of another."""
    if (folder / "seal.json").exists():
        console.print(table(robust(folder)))
