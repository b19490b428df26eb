"""Stages' folders: parts, seals and resume. With ``part.py``, the only writer of rows.

A stage's folder holds ``part-00000.jsonl`` …, ``drops.jsonl`` and, last, ``seal.json``. Input part k makes output part k.
A part in progress is ``part-….jsonl.open``: one line for each input row as it finishes. When every input row has its
line, the rows are sorted to input order, fsynced and renamed. A run killed at any moment goes on from the lines that
are there; a torn last line is cut.
"""

import json
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from cai.errors import RunError, UserError
from cai.store.files import append_line, append_to, move, read_json, whole_lines, write_json, write_lines
from cai.store.ledger import Fingerprint, Tally, differences, versions
from cai.store.rows import Drop, decode, encode, plain

T = TypeVar("T")


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
    def seal(self) -> dict[str, Any] | None:
        """The seal's content, or None where the stage is not complete."""
        return read_json(self.folder / "seal.json")

    @property
    def begun(self) -> dict[str, Any] | None:
        """The settings its rows are made under, or None where it was not begun."""
        return read_json(self.folder / "begun.json")

    def begin(self, settings: Fingerprint) -> None:
        """Make the folder ready for rows made under these settings.

        Raises:
            UserError: it holds rows made under others; the message shows what differs.
        """
        begun, now = self.begun, settings.plain()
        if begun is not None and begun != now and self._worked():
            what = differences(begun, now)
            rest = [each for each in what if not each.startswith(("constitution:", "inputs."))]
            alone = not rest and begun["inputs"].keys() == now["inputs"].keys()
            hint = ", or for the rows alone that the new constitution touches: --redo-changed" if alone else ""
            raise UserError(
                f"{self.folder} holds rows made under other settings ({'; '.join(what)}); to set it and what follows "
                f"aside and do it again, run the same command with: --redo {self.name}{hint}"
            )
        if begun != now:
            write_json(self.folder / "begun.json", now)

    def _worked(self) -> bool:
        """Whether anything stands in the folder that other settings would spoil."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return any(path.stat().st_size for path in files if path.name not in ("begun.json", "job.json"))

    def parts(self) -> list[int]:
        """The numbers of the finished parts."""
        return sorted(map(part_number, self.folder.glob("part-*.jsonl")))

    def finished(self, number: int) -> bool:
        """Whether a part is complete."""
        return self.path(number).exists()

    def path(self, number: int) -> Path:
        """The file of a finished part."""
        return self.folder / f"part-{number:05d}.jsonl"

    def rows(self, kind: type[T], number: int) -> Iterator[T]:
        """The rows of a finished part."""
        with self.path(number).open(encoding="utf-8") as lines:
            for line in lines:
                yield decode(kind, json.loads(line))

    def count(self, number: int) -> int:
        """How many rows a finished part has."""
        with self.path(number).open("rb") as lines:
            return sum(1 for _ in lines)

    def all_rows(self, kind: type[T]) -> Iterator[T]:
        """The rows of all finished parts, in order."""
        for number in self.parts():
            yield from self.rows(kind, number)

    def opened(self) -> list[Path]:
        """The files of parts in progress; one that a kill left beside its finished part is none."""
        files = sorted(self.folder.glob("part-*.jsonl.open"))
        return [path for path in files if not self.finished(part_number(path))]

    def so_far(self, kind: type[T]) -> Iterator[T]:
        """The rows of finished parts, then those of parts in progress."""
        yield from self.all_rows(kind)
        for path in self.opened():
            for line in whole_lines(path):
                yield from (decode(kind, row) for row in json.loads(line)["out"])

    def write_part(self, number: int, rows: Iterable[Any]) -> None:
        """Write a whole part at once."""
        lines = [encode(row) for row in rows]
        write_lines(self.path(number), lines)
        self.account(number, Tally(len(lines), len(lines), len(lines)))

    def write_parts(self, rows: Iterable[Any], size: int) -> None:
        """Write rows as whole parts of so many."""
        rows = iter(rows)
        for number, some in enumerate(iter(lambda: list(islice(rows, size)), [])):
            self.write_part(number, some)

    def adopt(self, number: int, file: Path, tally: Tally, drops: Iterable[dict[str, Any]]) -> None:
        """Take over a part that a machine of a cluster finished; killed in between, it is done again.

        Args:
            file: its rows, whole, on this file system.
            drops: those of its rows that were left out and are not in ``drops.jsonl`` yet.
        """
        open_part(self.path(number)).touch()  # killed from here on, the part is one in progress, not one that is gone
        with append_to(self.folder / "drops.jsonl") as lines:
            for drop in drops:
                append_line(lines, encode(drop))
        self.account(number, self.with_earlier(number, tally))
        move(file, self.path(number))
        open_part(self.path(number)).unlink(missing_ok=True)

    def account(self, number: int, tally: Tally) -> None:
        """Write a part's ledger."""
        with append_to(self.folder / "parts.jsonl") as ledger:
            append_line(ledger, encode({"part": number, **tally.plain()}))

    def write_drops(self, drops: Iterable[Drop]) -> None:
        """Write all drops of a stage that works on the whole set."""
        write_lines(self.folder / "drops.jsonl", [encode({"part": 0, "in": drop.id, **plain(drop)}) for drop in drops])

    def drops(self) -> Iterator[dict[str, Any]]:
        """The rows left out, with their reasons."""
        return map(json.loads, whole_lines(self.folder / "drops.jsonl"))

    def open_drops(self) -> dict[int, list[dict[str, Any]]]:
        """The rows left out of parts that are not finished, by part."""
        found: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for drop in self.drops():
            if not self.finished(drop["part"]):
                found[drop["part"]].append(drop)
        return found

    def metrics(self) -> list[dict[str, Any]]:
        """What a trainer reported as it went, a step each."""
        return [json.loads(line) for line in whole_lines(self.folder / "metrics.jsonl")]

    def lost(self) -> list[Path]:
        """Parts that were finished and are not there any more."""
        numbers = {json.loads(line)["part"] for line in whole_lines(self.folder / "parts.jsonl")}
        opened = set(map(part_number, self.opened()))
        return [self.path(number) for number in sorted(numbers - opened) if not self.finished(number)]

    def whole(self) -> None:
        """Make sure that what was finished is there.

        Raises:
            RunError: a part is gone, or all of them.
        """
        lost = self.lost() or ([] if self.begun is None or self.seal is None or self.parts() else [self.path(0)])
        if lost:
            raise RunError(
                f"{lost[0]} is gone, though {self.name} was done; put it back, or do it again with: --redo {self.name}"
            )

    def count_done(self) -> int:
        """How many input rows are done, kept or dropped, by the ledger and by the parts in progress."""
        tallies = self.part_tallies()
        finished = sum(tally.rows_in for tally in tallies.values())
        opened = sum(1 for path in self.opened() for _ in whole_lines(path))
        return finished + opened + sum(1 for drop in self.drops() if drop["part"] not in tallies)

    def part_tallies(self) -> dict[int, Tally]:
        """The ledgers of the finished parts."""
        found = {}
        for line in whole_lines(self.folder / "parts.jsonl"):
            data = json.loads(line)
            number = data.pop("part")
            data["dropped"], data["counts"] = Counter(data["dropped"]), Counter(data["counts"])
            found[number] = Tally(**data)
        return {number: tally for number, tally in found.items() if self.finished(number)}

    def close(self, settings: Fingerprint, tally: Tally, **more: Any) -> None:
        """Seal the stage: the last thing written.

        Raises:
            RunError: the ledger does not add up, which would be a defect of ours.
        """
        if tally.rows_in != tally.rows_kept + tally.dropped.total():
            raise RunError(f"{self.folder}: the ledger does not add up: {tally}")
        made = {"stage": self.name, "digest": settings.digest(), "inputs": settings.inputs}
        write_json(self.folder / "seal.json", {**made, **tally.plain(), **more, "versions": versions()})

    def set_aside(self, root: Path) -> Path:
        """Move the folder out of the way, its rows kept, to ``.aside/``."""
        aside = root / ".aside" / f"{self.name}-{time.strftime('%Y%m%d-%H%M%S')}"
        number = 1
        while aside.exists():
            number += 1
            aside = aside.with_name(f"{aside.name}-{number}")
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(self.folder, aside)
        return aside

    def restamp(self, settings: Fingerprint) -> None:
        """Let the rows stand as made under settings that would make the very same ones."""
        write_json(self.folder / "begun.json", settings.plain())
        if seal := self.seal:
            made = {"digest": settings.digest(), "inputs": settings.inputs}
            write_json(self.folder / "seal.json", {**seal, **made})

    def with_earlier(self, number: int, tally: Tally) -> Tally:
        """A part's ledger with what it cost before it was reopened."""
        if spent := self.earlier().get(str(number)):
            tally.spend([int(count) for count in spent[:3]])
            tally.seconds += spent[3]
        return tally

    def earlier(self) -> dict[str, list[float]]:
        """What parts cost before they were reopened: part number → tokens in, cached, out, seconds."""
        return read_json(self.folder / "earlier.json") or {}


def open_part(path: Path) -> Path:
    """The file of a part in progress."""
    return path.with_suffix(".jsonl.open")


def part_number(path: Path) -> int:
    """The number in a part's name, finished or in progress."""
    return int(path.name.partition(".")[0].removeprefix("part-"))
