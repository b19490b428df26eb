"""Whether the rows on disk are those that were written: files that lost or gained rows outside of a run are never believed."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cai.errors import RunError
from cai.store.files import count_lines
from cai.store.stage import Stage, part_number


def whole(stage: Stage, redo: str = "") -> None:
    """Make sure that what a stage finished is there, row for row.

    A part is read only where its size is not the one that it was written with, so that this costs next to nothing.

    Args:
        redo: the stage to do again where it is not; this one unless told.

    Raises:
        RunError: a part or its ledger is gone, has other rows than it had, or lines that are none.
    """
    if wrong := next(_wrong(stage), ""):
        raise RunError(f"{wrong}; put it back, or do it again with: --redo {redo or stage.name}")


def _wrong(stage: Stage) -> Iterator[str]:
    yield from (f"{path} is gone, though {stage.name} was done" for path in lost_parts(stage))
    yield from _mismatches(stage)
    yield from _missing_drops(stage)
    yield from _lost_lines(stage)


def lost_parts(stage: Stage) -> list[Path]:
    """Parts that were finished and are not there any more."""
    open_numbers = set(map(part_number, stage.open_parts()))
    return [stage.path(number) for number in sorted(stage.ledger().keys() - open_numbers) if not stage.finished(number)]


def _mismatches(stage: Stage) -> Iterator[str]:
    """Parts that no ledger knows, or knows with other rows."""
    ledger = stage.ledger()
    for number in stage.parts():
        path, (tally, size) = stage.path(number), ledger.get(number, (None, None))
        if tally is None:
            yield f"{stage.folder / 'parts.jsonl'} has no line for part {number}, which has {count_lines(path)} rows"
        elif path.stat().st_size != size and (rows := sum(1 for _ in stage.rows(dict, number))) != tally.rows_out:
            yield f"{path} should have {tally.rows_out} rows and has {rows}"


def _missing_drops(stage: Stage) -> Iterator[str]:
    """Rows left out of finished parts, of which nothing says any more why."""
    by_part: dict[int, set[str]] = defaultdict(set)
    for drop in stage.drops():
        by_part[drop["part"]].add(drop["in"])
    for number, tally in stage.part_tallies().items():
        rows, count = len(by_part[number]), tally.dropped.total()
        if count and rows != count:
            yield f"{stage.folder / 'drops.jsonl'} should have {count} rows of part {number} and has {rows}"


def _lost_lines(stage: Stage) -> Iterator[str]:
    """Parts that went together with their lines in the ledger."""
    rows, seal = stage.tally().rows_out, stage.seal
    # The seal of prompts counts those held out too, which have parts of their own.
    if seal is not None and rows != (count := seal["rows_out"] - seal["counts"].get("heldout", 0)):
        yield f"{stage.folder / 'parts.jsonl'} tells of {rows} rows, and the stage's seal of {count}"
