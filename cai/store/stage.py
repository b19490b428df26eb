"""Stages' folders: parts, seals and resume. With ``part.py``, the only writer of rows.

A stage's folder holds ``part-00000.jsonl`` …, ``drops.jsonl`` and, last, ``seal.json``. Input part k makes output part k.
A part in progress is ``part-….jsonl.open``: one line for each input row as it finishes. When every input row has its
line, the rows are sorted to input order, fsynced and renamed. A run killed at any moment goes on from the lines that
are there; a torn last line is cut.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar, cast

from cai.errors import Damage, RunError, UserError
from cai.store import earlier, part_records
from cai.store.batches import BATCHES
from cai.store.clock import CLOCK, Clock
from cai.store.files import (
    append_line,
    append_to,
    count_lines,
    damaged,
    json_object,
    json_objects,
    move,
    read_form,
    reading,
    sha256,
    sync,
    whole_lines,
    write_json,
    write_lines,
)
from cai.store.ledger import Fingerprint, PlainFingerprint, Seal, Tally, differences, imbalance, versions
from cai.store.lines import DropLine, OpenLine
from cai.store.part_records import PartRecord
from cai.store.rows import Drop, decode, encode, plain
from constitution.wording import count

T = TypeVar("T")
WRITTEN = ("parts.jsonl", "drops.jsonl", "metrics.json", "judge.json", "metrics.jsonl", "manifest.json", "*.parquet")
"""What a seal keeps the digests of, where it is there: all that later steps and people read of a stage, but for models."""


class Stage:
    """One stage's folder.

    Args:
        folder: ``runs/<name>/<stage>``.
        name: of the stage where it is more than the folder's own, such as ``round-2/label``.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        self.folder = folder
        self.name = name or folder.name

    @property
    def seal(self) -> Seal | None:
        """The seal's content, or None where the stage is not complete."""
        seal: Seal | None = read_form(self.folder / "seal.json", Seal)
        if seal and (wrong := imbalance(seal)):
            raise damaged(self.folder / "seal.json", wrong)
        return seal

    @property
    def begun(self) -> PlainFingerprint | None:
        """The settings its rows are made under, or None where it was not begun."""
        return read_form(self.folder / "begun.json", PlainFingerprint)

    @cached_property
    def clock(self) -> Clock:
        """How long it has worked, earlier sessions included; its parts start, stop and read it."""
        tallies = self.part_tallies()
        costs = (each[3] for number, each in earlier.read(self.folder).items() if number not in tallies)
        return Clock(self.folder / CLOCK, sum(tally.seconds for tally in tallies.values()) + sum(costs))

    def begin(self, settings: Fingerprint) -> None:
        """Make the folder ready for rows made under these settings.

        Raises:
            UserError: it holds rows made under others, and the message shows what differs; or nobody knows under which.
        """
        begun, now = self.begun, settings.plain()
        if begun is None and self._holds_rows():
            raise UserError(
                f"{self.folder} holds rows, and begun.json that said under which settings they were made is gone; put it "
                f"back, or do the stage again with: --redo {self.name}"
            )
        if begun is not None and begun != now and self._holds_rows():
            what = differences(begun, now)
            rest = [each for each in what if not each.startswith(("constitution:", "inputs."))]
            alone = not rest and begun["inputs"].keys() == now["inputs"].keys()
            hint = ", or for the rows alone that the new constitution touches: --redo-changed" if alone else ""
            if any(self.folder.glob("answers-*")):
                hint += "; where the answers would be the same, to judge them anew: --rejudge"
            raise UserError(
                f"{self.folder} holds rows made under other settings ({'; '.join(what)}); to set it and what follows "
                f"aside and do it again, run the same command with: --redo {self.name}{hint}"
            )
        if begun != now:
            write_json(self.folder / "begun.json", now)

    def _holds_rows(self) -> bool:
        """Whether anything stands in the folder that other settings would spoil."""
        files = (path for path in self.folder.rglob("[!.]*") if path.name not in ("begun.json", "job.json"))
        return any(path.is_file() and path.stat().st_size for path in files)

    def parts(self) -> list[int]:
        """The numbers of the finished parts."""
        return sorted(map(part_number, self._files(".jsonl")))

    def finished(self, number: int) -> bool:
        """Whether a part is complete."""
        return self.path(number).exists()

    def path(self, number: int) -> Path:
        """The file of a finished part."""
        return self.folder / f"part-{number:05d}.jsonl"

    def rows(self, kind: type[T], number: int) -> Iterator[T]:
        """The rows of a finished part.

        Raises:
            RunError: a line is no such row.
        """
        path = self.path(number)
        with reading(path) as lines:
            for place, line in enumerate(lines, 1):
                yield _row(kind, json_object(line, path, place), f"line {place} of {path}")

    def count(self, number: int) -> int:
        """How many rows a finished part has."""
        with reading(self.path(number)) as lines:
            return sum(1 for _ in lines)

    def all_rows(self, kind: type[T]) -> Iterator[T]:
        """The rows of all finished parts, in order."""
        for number in self.parts():
            yield from self.rows(kind, number)

    def open_parts(self) -> list[Path]:
        """The files of parts in progress; one that a kill left beside its finished part is none."""
        return [path for path in self._files(".jsonl.open") if not self.finished(part_number(path))]

    def _files(self, suffix: str) -> list[Path]:
        """The files of parts; a copy that somebody made beside one is none."""
        paths = self.folder.glob(f"part-*{suffix}")
        return sorted(path for path in paths if path.name.removeprefix("part-").removesuffix(suffix).isdigit())

    def so_far(self, kind: type[T]) -> Iterator[T]:
        """The rows of finished parts, then those of parts in progress."""
        yield from self.all_rows(kind)
        yield from self.rows_in_progress(kind)

    def rows_in_progress(self, kind: type[T]) -> Iterator[T]:
        """The rows of parts in progress, as they finished."""
        for path in self.open_parts():
            for line in json_objects(path, OpenLine):
                yield from (_row(kind, row, str(path)) for row in line["out"])

    def write_part(self, number: int, rows: Iterable[object]) -> None:
        """Write a whole part at once."""
        self.complete(number, list(map(encode, rows)), None)

    def write_parts(self, rows: Iterable[object], size: int) -> None:
        """Write rows as whole parts of so many."""
        rows = iter(rows)
        for number, part in enumerate(iter(lambda: list(islice(rows, size)), [])):
            self.write_part(number, part)

    def adopt(self, number: int, file: Path, tally: Tally, drops: Iterable[DropLine]) -> None:
        """Take over a part that a machine of a cluster finished; killed in between, it is done again.

        Args:
            file: its rows, whole, on this file system.
            drops: those of its rows that were left out and are not in ``drops.jsonl`` yet.

        Raises:
            RunError: the file has not all rows.
        """
        if (rows := count_lines(file)) != tally.rows_out:
            raise RunError(
                f"{file} came over with {count(rows, 'row')} of {tally.rows_out}; run the same command again"
            )
        open_part(self.path(number)).touch()  # killed from here on, the part is one in progress, not one that is gone
        with append_to(self.folder / "drops.jsonl") as lines:
            for drop in drops:
                append_line(lines, encode(drop))
            sync(lines)
        part_records.add(self.folder, number, earlier.added(self.folder, number, tally), part_records.of_file(file))
        move(file, self.path(number))
        open_part(self.path(number)).unlink(missing_ok=True)

    def complete(self, number: int, lines: Sequence[str], tally: Tally | None) -> None:
        """Write a whole part, its ledger first: a part that is there is in the ledger, whenever the run is killed.

        Args:
            tally: of what it took; each line is a row in and a row out where there is none.
        """
        ledger = tally or Tally(len(lines), len(lines), len(lines))
        part_records.add(self.folder, number, ledger, part_records.of_lines(lines))
        write_lines(self.path(number), lines)

    def write_drops(self, drops: Iterable[Drop]) -> None:
        """Write all drops of a stage that works on the whole set."""
        write_lines(self.folder / "drops.jsonl", [encode({"part": 0, "in": drop.id, **plain(drop)}) for drop in drops])

    def drops(self) -> Iterator[DropLine]:
        """The rows left out, with their reasons."""
        return json_objects(self.folder / "drops.jsonl", DropLine)

    def open_drops(self) -> dict[int, list[DropLine]]:
        """The rows left out of parts that are not finished, by part."""
        drops: dict[int, list[DropLine]] = defaultdict(list)
        for drop in self.drops():
            if not self.finished(drop["part"]):
                drops[drop["part"]].append(drop)
        return drops

    def metrics(self) -> list[dict[str, float]]:
        """What a trainer reported as it went, a step each; beside its figures a line may have ``alarms``, which are texts."""
        return cast("list[dict[str, float]]", list(json_objects(self.folder / "metrics.jsonl")))

    def count_done(self) -> int:
        """How many input rows are done, kept or dropped, by the ledger and by the parts in progress."""
        tallies = self.part_tallies()
        whole = sum(tally.rows_in for tally in tallies.values())
        lines = sum(1 for path in self.open_parts() for _ in whole_lines(path))
        return whole + lines + sum(1 for drop in self.drops() if drop["part"] not in tallies)

    def part_tallies(self) -> dict[int, Tally]:
        """The ledgers of the finished parts."""
        return {number: record.tally for number, record in self.records().items() if self.finished(number)}

    def tally(self) -> Tally:
        """The ledger of all finished parts together."""
        whole = Tally()
        for part in self.part_tallies().values():
            whole.add(part)
        return whole

    def records(self) -> dict[int, PartRecord]:
        """What is known of every part that was ever finished; raises as ``part_records.read``."""
        return part_records.read(self.folder)

    def close(self, settings: Fingerprint, tally: Tally, **more: object) -> None:
        """Seal the stage: the last thing written.

        Raises:
            RunError: the ledger does not add up, which would be a defect of ours.
        """
        if tally.rows_in != tally.rows_kept + tally.dropped.total():
            raise RunError(f"{self.folder}: the ledger does not add up: {tally}")
        (self.folder / CLOCK).unlink(missing_ok=True)
        shutil.rmtree(self.folder / BATCHES, ignore_errors=True)  # whose answers are in rows now
        stamp = {"stage": self.name, "digest": settings.digest(), "inputs": settings.inputs}
        files = {"files": self._digests()}
        write_json(self.folder / "seal.json", {**stamp, **tally.plain(), **more, **files, "versions": versions()})

    def _digests(self) -> dict[str, str]:
        """The digests of what was written of a stage beside its parts, whose own are in ``parts.jsonl``."""
        files = (path for pattern in WRITTEN for path in sorted(self.folder.glob(pattern)))
        return {path.name: sha256(path) for path in files}

    def restamp(self, settings: Fingerprint) -> None:
        """Let the rows stand as made under settings that would make the very same ones."""
        write_json(self.folder / "begun.json", settings.plain())
        if seal := self.seal:
            stamp = {"digest": settings.digest(), "inputs": settings.inputs}
            write_json(self.folder / "seal.json", {**seal, **stamp})


def _row(kind: type[T], data: object, where: str) -> T:
    """A row from its data; raises as ``Stage.rows``."""
    try:
        if not isinstance(data, dict):
            raise TypeError
        return decode(kind, data)
    except (AttributeError, KeyError, TypeError):
        what = f"{where} is damaged: it is no {kind.__name__.lower()}"
        raise Damage(what, "put the file back as it was, or redo its stage") from None


def open_part(path: Path) -> Path:
    """The file of a part in progress."""
    return path.with_suffix(".jsonl.open")


def part_number(path: Path) -> int:
    """The number in a part's name, finished or in progress."""
    return int(path.name.partition(".")[0].removeprefix("part-"))
