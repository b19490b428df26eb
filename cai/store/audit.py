"""Whether what is on disk is what was written: files that changed outside of a run are never believed, nor made anything from.

A file whose digest was kept is looked at byte by byte (a gigabyte takes about a second); one from before digests were kept, by its
lines and its ledger.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cai.errors import Damage, RunError
from cai.store.files import count_lines, sha256
from cai.store.part_records import RECORDS, PartRecord
from cai.store.stage import Stage, part_number
from constitution.wording import count


@contextmanager
def redo_named(name: str) -> Iterator[None]:
    """Say of damage by which stage it is mended.

    Raises:
        RunError: instead of ``Damage``.
    """
    try:
        yield
    except Damage as damage:
        raise RunError(f"{damage.what}; put it back, or do it again with: --redo {name}") from None


def whole(stage: Stage, redo: str = "", kind: type = dict) -> None:
    """Make sure that what a stage finished is there as it was written.

    Args:
        redo: the stage to do again where it is not; this one unless given.
        kind: of its rows.

    Raises:
        RunError: a file is gone or changed, parts and ledgers tell of other rows, or a line is no such row.
    """
    with redo_named(redo or stage.name):
        if wrong := next(_wrong(stage, kind), ""):
            raise Damage(wrong)


def unchanged(stage: Stage, files: Iterable[Path], redo: str = "") -> Iterator[Path]:
    """Files of a stage that was done, each once it was looked at; raises as ``whole``."""
    with redo_named(redo or stage.name):
        digests = _digests(stage)
        for path in files:
            if wrong := _unlike(path, digests.get(path.name, "")):
                raise Damage(wrong)
            yield path


def _digests(stage: Stage) -> dict[str, str]:
    """The names of a stage's files, and their digests as they were written."""
    parts = {stage.path(number).name: record.file.sha256 for number, record in stage.records().items()}
    return {**parts, **_sealed(stage)}


def _sealed(stage: Stage) -> dict[str, str]:
    return (seal.get("files") or {}) if (seal := stage.seal) else {}


def _unlike(path: Path, digest: str) -> str:
    """What is wrong with a file that is there; empty where it is as it was written, or nobody knows how."""
    if not digest or sha256(path) == digest:
        return ""
    return f"{path} was changed since it was written"


def _wrong(stage: Stage, kind: type) -> Iterator[str]:
    yield from (f"{path} is gone, though {stage.name} was done" for path in lost_parts(stage))
    yield from _mismatches(stage, kind)
    yield from _missing_drops(stage)
    yield from _lost_lines(stage)
    yield from changed(stage)


def lost_parts(stage: Stage) -> list[Path]:
    """Parts that were finished and are not there any more."""
    open_numbers = set(map(part_number, stage.open_parts()))
    return [
        stage.path(number) for number in sorted(stage.records().keys() - open_numbers) if not stage.finished(number)
    ]


def _mismatches(stage: Stage, kind: type) -> Iterator[str]:
    """Parts that no ledger knows, or that have other rows than it knows."""
    records = stage.records()
    for number in stage.parts():
        if number not in records:
            rows = count_lines(stage.path(number))
            yield f"{stage.folder / RECORDS} has no line for part {number}, which has {count(rows, 'row')}"
        else:
            yield from _other_rows(stage, number, records[number], kind)


def _other_rows(stage: Stage, number: int, record: PartRecord, kind: type) -> Iterator[str]:
    """What is wrong with a part: how many rows it has, or which line is none, where it can be told."""
    path = stage.path(number)
    wrong = _unlike(path, record.file.sha256)
    if wrong or (not record.file.sha256 and path.stat().st_size != record.file.bytes):
        rows = sum(1 for _ in stage.rows(kind, number))
        if rows != record.tally.rows_out:
            yield f"{path} should have {count(record.tally.rows_out, 'row')} and has {rows}"
        elif wrong:
            longer = path.stat().st_size - (record.file.bytes or 0)
            yield f"{wrong}, {'at the ends of' if longer == rows else 'in a text or a number of one of'} its {count(rows, 'line')}"


def _missing_drops(stage: Stage) -> Iterator[str]:
    """Rows left out of finished parts, of which nothing says any more why, or something else than their ledger."""
    by_part: dict[int, dict[str, str]] = defaultdict(dict)
    for drop in stage.drops():
        by_part[drop["part"]][drop["in"]] = drop["reason"]
    for number, tally in stage.part_tallies().items():
        rows, dropped = len(by_part[number]), tally.dropped.total()
        if dropped and rows != dropped:
            yield f"{stage.folder / 'drops.jsonl'} should have {count(dropped, 'row')} of part {number} and has {rows}"
        elif dropped and Counter(by_part[number].values()) != tally.dropped:
            yield f"{stage.folder / 'drops.jsonl'} has other reasons for the rows of part {number} than {RECORDS}"


def _lost_lines(stage: Stage) -> Iterator[str]:
    """Parts that went together with their lines in the ledger."""
    rows, seal = stage.tally().rows_out, stage.seal
    # The seal of prompts counts those held out too, which have parts of their own.
    if seal is not None and rows != (sealed := seal["rows_out"] - seal["counts"].get("heldout", 0)):
        yield f"{stage.folder / RECORDS} tells of {count(rows, 'row')}, and the stage's seal of {sealed}"
    tally = stage.tally()
    for key in ("tokens_in", "tokens_cached", "tokens_out"):
        if seal is not None and (tokens := getattr(tally, key)) != seal[key]:
            yield f"{stage.folder / RECORDS} tells of {tokens} {key}, and the stage's seal of {seal[key]}"


def changed(stage: Stage) -> Iterator[str]:
    """Files beside the parts that are gone or changed since the stage was sealed."""
    for name, digest in _sealed(stage).items():
        path = stage.folder / Path(name).name
        if not path.exists():
            yield f"{path} is gone"
        elif wrong := _unlike(path, digest):
            yield wrong


def unchanged_since(stage: Stage, redo: str) -> None:
    """Make sure that what was written beside parts is as it was when the stage was sealed; raises as ``whole``."""
    with redo_named(redo):
        if wrong := next(changed(stage), ""):
            raise Damage(wrong)
