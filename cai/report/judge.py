"""What ``cai judge-eval`` shows: a table in the terminal, a page, and what the figures say in words."""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from cai.judge.exam import ByLength, ExamFigures, MethodFigures, OfKind, PlainShare
from cai.judge.figures import JudgedPair, judged_pairs
from cai.report import search
from cai.report.format import KINDS, PLOT, bin_of, interval, number, page, percent
from cai.store.files import write_lines
from cai.store.rows import Preference
from cai.store.stage import Stage
from constitution.wording import count

SHOWN = 5
MUCH = 0.02
LETTERS = 0.5
MANY = 0.05
FEW = 0.25
WIDE = 120

NARROW = 9
"""Columns that fit into a terminal of 80."""
COLUMNS = (
    ("method", "left"),
    ("accuracy", "right"),
    ("95%", "right"),
    ("labelled", "right"),
    ("of them", "right"),
    ("Brier", "right"),
    ("ECE", "right"),
    ("same pos.", "right"),
    ("unread", "right"),
    ("longer right", "right"),
    ("shorter right", "right"),
    ("tokens", "right"),
    ("s", "right"),
)


def table(figures: ExamFigures, width: int) -> Table:
    """A row for each method, and the floors; the last columns only where there is room.

    "labelled" is the share of pairs that would become labels, "of them" the accuracy on those; "ECE" the calibration
    error; "longer right" the accuracy where the answer that people prefer is the longer one.
    """
    columns = COLUMNS if width >= WIDE else COLUMNS[:NARROW]
    grid = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for heading, justify in columns:
        grid.add_column(heading, justify=justify, overflow="fold")  # pyright: ignore[reportArgumentType]
    for name, method in figures["methods"].items():
        grid.add_row(name, *cells(method)[: len(columns) - 1])
    grid.add_section()
    first = next(iter(figures["methods"].values()))
    for name, share in first["floors"].items():
        grid.add_row(f"floor: {name}", percent(share), style="dim")
    return grid


def cells(figures: MethodFigures) -> list[str]:
    """A method's figures as text, in the order of ``COLUMNS``."""
    cost, accuracy = figures["cost"], figures["accuracy"]
    return [
        percent(accuracy["value"]),
        interval(accuracy),
        percent(figures["labelled"]["value"]),
        percent(figures["accuracy_labelled"]["value"]),
        number(figures["brier"]["value"]),
        number(figures["ece"]),
        percent(figures["position"]["rate"]),
        percent(figures["unreadable"]),
        percent(figures["length"]["longer_is_right"]["value"]),
        percent(figures["length"]["shorter_is_right"]["value"]),
        f"{cost['tokens_in'] + cost['tokens_out']:,}",
        f"{cost['seconds']:.0f}",
    ]


def sentences(figures: ExamFigures) -> Iterator[str]:
    """What the figures say, a line for each method."""
    for name, method in figures["methods"].items():
        yield f"{name}: {' '.join(verdict(method))}"


def verdict(figures: MethodFigures) -> Iterator[str]:
    """What one judge's figures say, sentence by sentence."""
    yield _against_floors(figures)
    if figures["question"]:
        yield figures["question"]
    if figures["unreadable"] and figures["unreadable"] > MANY:
        yield f"{percent(figures['unreadable'])} of its votes could not be read, and count as wrong."
    if figures["labelled"]["value"] is not None and figures["labelled"]["value"] < FEW:
        yield f"Only {percent(figures['labelled']['value'])} of the pairs would become labels."
    position = figures["position"]
    if position["rate"] is not None and position["rate"] > LETTERS:
        yield (
            f"Of {position['both']} comparisons with a winner in both orders, the same position won {percent(position['rate'])}: "
            "it reads letters more than answers."
        )
    if favoured := _favoured(figures["length"]):
        yield f"It favours the {favoured} answer."
    ece, by_chance = figures["ece"], figures["ece_by_chance"] or 0.0
    if ece is not None and ece > by_chance + MUCH:
        yield _miscalibrated(figures, ece, by_chance)
    for kind, of in figures.get("by_kind", {}).items():
        yield _of_kind(kind, of)


def _of_kind(kind: str, of: OfKind[PlainShare]) -> str:
    """How good the verdicts of one kind are."""
    each = f" ({of['samples']} for each vote)" if of["samples"] else ""
    return (
        f"By {KINDS.get(kind, kind)}{each}: accuracy {percent(of['accuracy']['value'])} ({interval(of['accuracy'])}) on "
        f"{count(of['pairs'], 'pair')}, calibration error {number(of['ece'])} ({number(of['ece_by_chance'])} by chance alone), "
        f"{percent(of['unread'])} unread{_by_last_lines(of)}."
    )


def _by_last_lines(of: OfKind[PlainShare]) -> str:
    """What would be unread without structured output."""
    structured = of.get("structured")
    return f" ({percent((of['unread'] or 0) + structured)} by last lines alone)" if structured else ""


def _against_floors(figures: MethodFigures) -> str:
    accuracy = figures["accuracy"]
    share = f"{percent(accuracy['value'])} ({interval(accuracy)})"
    if accuracy["value"] is None:
        return (
            "People preferred neither answer in any pair that could be judged, so there is nothing to be right about."
        )
    if accuracy["high"] < 0.5:
        return f"Worse than a coin, {share}."
    if figures["above_floors"]["random"]["low"] <= 0:
        return f"No better than a coin, {share}: on these pairs it is no judge, or they are too few to tell."
    for name in ("longer", "shorter"):
        if figures["above_floors"][name]["low"] <= 0:
            floor = percent(figures["floors"][name])
            return f"Better than a coin, {share}, and not clearly better than taking the {name} answer ({floor})."
    return f"Better than a coin, {share}, and than taking the longer or the shorter answer."


def _favoured(length: ByLength[PlainShare]) -> str:
    """The answer that a judge is better at when it is the right one, where the two intervals do not touch."""
    longer, shorter = length["longer_is_right"], length["shorter_is_right"]
    if longer["value"] is None or shorter["value"] is None:
        return ""
    if longer["low"] > shorter["high"]:
        return "longer"
    return "shorter" if shorter["low"] > longer["high"] else ""


def _miscalibrated(figures: MethodFigures, ece: float, by_chance: float) -> str:
    pairs = sum(each["pairs"] for each in figures["curve"])
    surer = sum((each["confidence"] - each["accuracy"]) * each["pairs"] for each in figures["curve"]) / pairs
    off = f"off by {100 * ece:.0f} points on average ({100 * by_chance:.0f} by chance alone)"
    todo = "calibrate it, or clamp its labels" if surer > 0 else "calibrate it"
    return f"It is {'surer' if surer > 0 else 'less sure'} than it has reason to be, {off}: {todo}."


def write(folder: Path, figures: ExamFigures) -> Path:
    """Write the page, ``exam.html``."""
    text = page(
        "judge_eval.html.j2",
        exam=figures,
        search_columns=search.COLUMNS,
        forms=[search.cells(each) for each in figures["search"]["forms"]] if "search" in figures else [],
        columns=COLUMNS,
        cells={name: cells(method) for name, method in figures["methods"].items()},
        verdicts={name: list(verdict(method)) for name, method in figures["methods"].items()},
        plots={name: [bin_of(each) for each in method["curve"]] for name, method in figures["methods"].items()},
        mistakes={name: mistakes(folder, name) for name in figures["methods"]},
        plot=PLOT,
        kinds=KINDS,
    )
    path = folder / "exam.html"
    write_lines(path, [text])
    return path


def mistakes(folder: Path, method: str) -> list[JudgedPair]:
    """The pairs on which the judge was surest and wrong."""
    rows = judged_pairs(Stage(folder / method).all_rows(Preference))
    wrong = [each for each in rows if each.p is not None and each.people != 0.5 and each.right == 0]
    return sorted(wrong, key=lambda each: -abs((each.p or 0.5) - 0.5))[:SHOWN]
