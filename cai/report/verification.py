"""What ``cai verify`` shows: a table by way of asking and by principle, a short list of failures, and what tells models apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cai.errors import RunError
from cai.judge.cases import EXAMPLE
from cai.judge.separation import Separation
from cai.judge.verification import ANSWER, LIKELIHOOD, Sitting, Tallies, failures, figures
from cai.report.format import counts_text, percent, question
from cai.stages.verify import VerifiedModel
from cai.store.files import read_form
from cai.store.rows import plain
from constitution.model import Constitution
from constitution.wording import count

LONGEST = 240
"""Characters of a text in a list of failures; the whole is in --json."""
WORDS = {ANSWER: "by its answers", LIKELIHOOD: "by likelihood"}


@dataclass(frozen=True, slots=True)
class Verification:
    """All that came of an exam.

    Attributes:
        sittings: of the model that is verified.
        others: of those beside it.
        left_out: why pairs were not clear → how many.
    """

    constitution: Constitution
    sittings: Sequence[Sitting]
    others: Mapping[str, Sequence[Sitting]]
    left_out: Mapping[str, int]
    separation: Separation | None

    @property
    def notes(self) -> list[str]:
        """Why a model could not be asked in every way, each once."""
        every = [self.sittings, *self.others.values()]
        return list(dict.fromkeys(each.note for rows in every for each in rows if each.note))


def tables(found: Verification) -> Iterator[Table]:
    """The model's cases: all, by way of asking, by principle; and the other models' beside them."""
    mine = figures(found.sittings)
    grid = _grid(f"{found.constitution.name}, {mine['model']}")
    _row(grid, "all cases", mine)
    for way, one in mine["ways"].items():
        _row(grid, WORDS.get(way, way), one)
    grid.add_section()
    for id, one in mine["principles"].items():
        _row(grid, id, one)
    yield grid
    if found.others:
        beside = _grid("beside it")
        for name, rows in found.others.items():
            _row(beside, name, figures(rows))
        yield beside


def _grid(title: str) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column(title, overflow="fold")
    for name in ("passed", "failed", "undecided", "no rule", "share"):
        grid.add_column(name, justify="right", no_wrap=True)
    return grid


def _row(grid: Table, name: str, one: Tallies) -> None:
    numbers = (one["passed"], one["failed"], one["undecided"], one["no_rule"])
    grid.add_row(name, *map(str, numbers), percent(one["share"]))


def sentences(found: Verification, shown: int) -> Iterator[str]:
    """What the table does not say, in lines.

    Args:
        shown: so many of the cases that were not passed.
    """
    yield from found.notes
    mine = figures(found.sittings)
    if mine["no_rule"]:
        yield (
            f"of {count(mine['no_rule'], 'case')} nothing can be said without a judge, as both known answers decline or neither "
            "does; name one with --judge"
        )
    if found.left_out:
        yield f"pairs that are no cases: {counts_text(dict(found.left_out))}"
    if single := sum(each.case.voices == 1 and each.case.origin != EXAMPLE for each in found.sittings):
        yield f"cases of pairs that rest on a single voice: {single}"
    wrong = failures(found.sittings)
    if wrong and shown:
        yield f"not passed, {min(shown, len(wrong))} of {len(wrong)}:"
    for sitting in wrong[:shown]:
        yield from sitting_lines(sitting)
    if found.separation:
        yield from _apart(found.separation)


def sitting_lines(sitting: Sitting) -> Iterator[str]:
    """One sitting: the prompt, both answers, the margin, and what the model preferred."""
    case = sitting.case
    under = f", under {', '.join(case.principles)}" if case.principles else ""
    voices = f", {count(case.voices, 'voice')}" if case.origin != EXAMPLE else ""
    yield f"── {case.id}: {sitting.mark} (margin {case.margin:.2f}{voices}{under})"
    yield f"   prompt: {_end(question(case.messages))}"
    yield f"   better: {_short(case.better)}"
    yield f"   worse:  {_short(case.worse)}"
    if sitting.draft is not None:
        yield f"   {sitting.marks.get(ANSWER, '')}, it says: {_short(sitting.draft.text) or 'nothing'}{_verdict(sitting)}"
    if sitting.nats is not None:
        liked = "better" if sitting.nats > 0 else "worse" if sitting.nats < 0 else "neither"
        yield (
            f"   {sitting.marks.get(LIKELIHOOD, '')}, it finds {liked} the likelier: {sitting.better:.3f} and {sitting.worse:.3f} "
            "nats a token"
        )
    if sitting.error:
        yield f"   could not be asked: {sitting.error}"


def _verdict(sitting: Sitting) -> str:
    """What the judge said of the answer."""
    if not sitting.verdict:
        return ""
    if sitting.over_worse is None:
        return f" (judge: {sitting.verdict})"
    better = "" if sitting.over_better is None else f", than the better one {sitting.over_better:.2f}"
    return f" (judge: better than the worse one {sitting.over_worse:.2f}{better})"


def _apart(found: Separation) -> Iterator[str]:
    for name in found["alike"]:
        yield f"no case tells it from {name}: there is none that it passes and {name} fails"
    for name, table in found["beside"].items():
        yield (
            f"beside {name}: {table['both']} passed by both, {table['alone']} by it alone, {table['other_alone']} by {name} alone, "
            f"{table['neither']} by neither"
        )
    if found["cases"]:
        yield f"the fewest cases that tell it from the others: {', '.join(found['cases'])}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _end(text: str) -> str:
    """Of a long conversation its end, where the question stands."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"…{line[-LONGEST:]}"


def as_json(found: Verification) -> dict[str, object]:
    """All figures, what tells models apart, and every case that was not passed, whole."""
    return {
        "constitution": found.constitution.name,
        "version": found.constitution.version,
        **figures(found.sittings),
        "left_out": dict(found.left_out),
        "notes": found.notes,
        "against": {name: figures(rows) for name, rows in found.others.items()},
        "separation": found.separation,
        "failures": [{**plain(each), "mark": each.mark, "nats": each.nats} for each in failures(found.sittings)],
    }


def verified(folder: Path) -> dict[str, VerifiedModel]:
    """The figures of a verify stage by role.

    Raises:
        RunError: they are gone, or damaged.
    """
    path = folder / "metrics.json"
    if found := read_form(path, dict[str, VerifiedModel]):
        return found
    raise RunError(f"{path} is gone; put it back, or do it again with: --redo {folder.name}")


def summary(metrics: Mapping[str, VerifiedModel]) -> Table:
    """A row for each model, and by how few cases it is told from the others."""
    grid = _grid("model")
    for way in WORDS.values():
        grid.add_column(way, justify="right")
    grid.add_column("told from the others by")
    for role, one in metrics.items():
        numbers = (one["passed"], one["failed"], one["undecided"], one["no_rule"])
        by_way = [percent(one["ways"][way]["share"]) if way in one["ways"] else "–" for way in WORDS]
        grid.add_row(role, *map(str, numbers), percent(one["share"]), *by_way, _fewest(one))
    return grid


def _fewest(one: VerifiedModel) -> str:
    if "separation" not in one:
        return ""
    alike = [f"no case tells it from {name}" for name in one["separation"]["alike"]]
    return "; ".join([*filter(None, [", ".join(one["separation"]["cases"])]), *alike])


def print_summary(folder: Path, console: Console) -> None:
    """The table of a stage that is done; nothing of another."""
    if (folder / "seal.json").exists():
        console.print(summary(verified(folder)))
