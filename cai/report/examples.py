"""What ``cai test`` shows: a table in the terminal, JSON for programs, JUnit XML for CI."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table

from cai.judge.examples import JudgedExample, Score, by_principle, floors, plain, question, score
from cai.judge.kinds import kinds
from cai.report.format import KINDS, percent
from constitution.model import Constitution


def table(results: Sequence[JudgedExample]) -> Table:
    """A row for each principle, one for all, and the floors.

    "same pos." is the share of examples, among those with a winner in both orders, where the same position won; "unread"
    the share of votes that could not be read; "longer" the share of examples whose better answer is the longer one.
    """
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading, justify in (
        ("principle", "left"),
        ("n", "right"),
        ("accuracy", "right"),
        ("95%", "right"),
        ("same pos.", "right"),
        ("unread", "right"),
        ("longer", "right"),
    ):
        grid.add_column(heading, justify=justify, overflow="fold")  # pyright: ignore[reportArgumentType]
    for id, one in by_principle(results).items():
        grid.add_row(id, *_cells(one))
    grid.add_section()
    grid.add_row("all", *_cells(score(results)), style="bold")
    for name, share in floors(results).items():
        grid.add_row(f"floor: {name}", "", percent(share), style="dim")
    return grid


def read_as(results: Sequence[JudgedExample]) -> str:
    """How the verdicts were read, in words."""
    return " and ".join(KINDS.get(kind, kind) for kind in kinds(each.votes for each in results))


def as_json(constitution: Constitution, model: str, method: str, results: Sequence[JudgedExample]) -> dict[str, object]:
    """All figures, and each example's outcome."""
    return {
        "constitution": constitution.name,
        "version": constitution.version,
        "model": model,
        "method": method,
        "verdicts": kinds(each.votes for each in results),
        "all": asdict(score(results)),
        "question": question(results),
        "floors": floors(results),
        "principles": {id: asdict(one) for id, one in by_principle(results).items()},
        "examples": plain(results),
    }


def junit(constitution: Constitution, results: Sequence[JudgedExample]) -> str:
    """A suite for each principle, a case for each example: a failure where the better answer did not win, an error where
    a vote could not be read."""
    root = ElementTree.Element("testsuites", name=_clean(constitution.name))
    for id in dict.fromkeys(each.principle for each in results):
        mine = [each for each in results if each.principle == id]
        unread = sum(each.p_better is None for each in mine)
        failed = sum(each.p_better is not None and each.right < 1 for each in mine)
        suite = ElementTree.SubElement(
            root, "testsuite", name=id, tests=str(len(mine)), failures=str(failed), errors=str(unread)
        )
        for each in mine:
            _case(suite, each)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def write_junit(path: Path, constitution: Constitution, results: Sequence[JudgedExample]) -> None:
    """Write the JUnit file."""
    path.write_text(junit(constitution, results), encoding="utf-8")


def _case(suite: ElementTree.Element, result: JudgedExample) -> None:
    name = f"{result.number}: {' '.join(result.example.prompt.split())[:80]}"
    case = ElementTree.SubElement(suite, "testcase", classname=result.principle, name=_clean(name))
    if result.p_better is None:
        why = result.error or ", ".join(vote.status for vote in result.votes if vote.p_a is None)
        ElementTree.SubElement(case, "error", message=_clean(f"the judge's answer could not be read: {why}"))
    elif result.right < 1:
        probabilities = ", ".join(f"{vote.order} {vote.p_a:.2f}" for vote in result.votes)
        message = f"P(better) = {result.p_better:.2f}, by order: {probabilities}"
        ElementTree.SubElement(case, "failure", message=message)


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 does not have."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def _cells(one: Score) -> list[str]:
    return [
        str(one.examples),
        percent(one.accuracy),
        f"{100 * one.low:.0f}–{100 * one.high:.0f}%",
        percent(one.same_position),
        percent(one.unreadable),
        percent(one.longer),
    ]
