"""``cai export --to csv|jsonl``: any table of a run, row by row, for spreadsheets and other programs.

JSONL has each row as the run has it. CSV has a column for each value (``pair.a.text``), with lists as JSON; a text that a
spreadsheet would take for a formula has an apostrophe before it, as OWASP advises ("CSV Injection").
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from cai.errors import UserError
from cai.report.robustness import robust
from cai.report.rows import Row, drops_of, rows_of
from cai.report.summary import benchmarked, evaluated, stages_of
from cai.report.verification import verified
from cai.stages import trainers
from cai.store import audit
from cai.store.rows import encode
from cai.store.run_folder import StageNote, run_note
from cai.store.stage import Stage
from constitution.source import nearest

TABLES = ("rows", "answers", "votes", "harm", "drops", "metrics", "ledger")
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, in both widths."""

Rows = Callable[[], Iterator[Row]]
"""A table, from its first row on as often as it is asked."""


def table(folder: Path, stage: str, name: str) -> Rows:
    """A table of a run.

    Args:
        stage: whose; that of the ledger is the run's.
        name: one of ``TABLES``.

    Raises:
        UserError: there is no such stage or table, or the table has no row.
        RunError: a file of it is not as it was written.
    """
    if name == "ledger":
        return lambda: iter(stages_of(folder))
    note = _note(folder, stage)
    rows = _OF[name](Stage(folder / stage), note)
    if next(rows(), None) is None:
        there = [each for each, make in _OF.items() if next(make(Stage(folder / stage), note)(), None) is not None]
        raise UserError(f"{stage} has no {name} to export; it has: {', '.join(there) or 'nothing yet'} (--table)")
    return rows


def _note(folder: Path, stage: str) -> StageNote:
    notes = {each["name"]: each for each in run_note(folder)["stages"]}
    if not stage:
        raise UserError(f"--stage is missing: name one of {', '.join(notes)}; or take --table ledger")
    if stage not in notes:
        raise UserError(f'the run has no stage "{stage}"; {nearest(stage, list(notes))}')
    return notes[stage]


def _rows(stage: Stage, note: StageNote) -> Rows:
    return lambda: rows_of(stage)


def _drops(stage: Stage, note: StageNote) -> Rows:
    return lambda: drops_of(stage)


def _answers(stage: Stage, note: StageNote) -> Rows:
    """Answers of an evaluation or a test of robustness, each with the role that gave it, and to which variation."""
    return lambda: _by_role(stage, "answers", note["kind"] == "robustness")


def _harm(stage: Stage, note: StageNote) -> Rows:
    """The harm of an evaluation's answers, each with the role that gave it."""
    return lambda: _by_role(stage, "harm")


def _by_role(stage: Stage, name: str, varied: bool = False) -> Iterator[Row]:
    """The rows of all folders ``<name>-<role>``, or ``<name>-<role>-<variation>``."""
    models = stage.begun["block"].get("models") if stage.begun else ()
    names = [each for each in models if isinstance(each, str)] if isinstance(models, list) else []
    roles = sorted(names, key=len, reverse=True)
    for folder in sorted(stage.folder.glob(f"{name}-*")):
        role = whole = folder.name.removeprefix(f"{name}-")
        if varied:
            role = next((each for each in roles if whole.startswith(f"{each}-")), whole)
        about = {"role": role} | ({"variation": whole[len(role) + 1 :]} if varied else {})
        yield from ({**about, **row} for row in rows_of(Stage(folder)))


def _votes(stage: Stage, note: StageNote) -> Rows:
    """Every vote by itself, with the id of its row and what became of that."""

    def votes() -> Iterator[Row]:
        for row in rows_of(stage):
            given = row.get("votes")
            for vote in given if isinstance(given, list) else ():
                yield {"row": row.get("id"), "row_p_a": row.get("p_a"), "row_status": row.get("status"), **vote}

    return votes


def _metrics(stage: Stage, note: StageNote) -> Rows:
    """A line for each figure of each model, or a trainer's for each step."""

    def figures() -> Iterator[Row]:
        readers = {"evaluate": evaluated, "benchmarks": benchmarked, "robustness": robust, "verify": verified}
        if note["kind"] in trainers():
            for _ in audit.unchanged(stage, [*stage.folder.glob("metrics.jsonl")]):
                yield from stage.metrics()
        elif note["kind"] in readers and (stage.folder / "metrics.json").exists():
            audit.unchanged_since(stage, stage.name)
            for role, each in readers[note["kind"]](stage.folder).items():
                yield from ({"model": role, "figure": key, "value": value} for key, value in flat(each).items())

    return figures


_OF: Mapping[str, Callable[[Stage, StageNote], Rows]] = {
    "rows": _rows,
    "answers": _answers,
    "votes": _votes,
    "harm": _harm,
    "drops": _drops,
    "metrics": _metrics,
}


def jsonl(rows: Rows, limit: int | None = None) -> Iterator[str]:
    """A line of JSON for each row, nothing lost."""
    return map(encode, islice(rows(), limit))


def as_csv(rows: Rows, limit: int | None = None) -> Iterator[str]:
    """A header, then a record for each row; a record's texts may have line breaks in them."""
    columns = list(dict.fromkeys(key for row in islice(rows(), limit) for key in flat(row)))
    yield _record(columns)
    for row in islice(rows(), limit):
        cells = flat(row)
        yield _record([cells.get(key) for key in columns])


def flat(row: object, above: str = "") -> dict[str, object]:
    """A row's values by their place, ``pair.a.text``; lists are values. A dot within a name has a backslash before it."""
    if not isinstance(row, Mapping):
        return {above: row}
    cells: dict[str, object] = {}
    for key, value in row.items():
        name = str(key).replace("\\", r"\\").replace(".", r"\.")
        cells |= flat(value, f"{above}.{name}" if above else name)
    return cells


def _record(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_cell(value) for value in values])
    return text.getvalue().removesuffix("\r\n")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    risky = text.lstrip()[:1] in FORMULA if text.strip() else False
    return f"'{text}" if risky or text[:1] in ("\t", "\r") else text
