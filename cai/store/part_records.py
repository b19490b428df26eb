"""``parts.jsonl``: what is known of each part that was finished, from before it has its name: its ledger, and what its file is."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired

from cai.store.files import append_line, append_to, damaged, json_objects, sha256, sync
from cai.store.form import Count
from cai.store.ledger import PlainTally, Tally, imbalance, parse
from cai.store.rows import encode

RECORDS = "parts.jsonl"
"""The file, in a stage's folder."""


class RecordLine(PlainTally):
    """One line, as JSON has it; the last two are not in runs from before they were written."""

    part: Count
    bytes: NotRequired[Count | None]
    sha256: NotRequired[str]


@dataclass(frozen=True, slots=True)
class FilePrint:
    """By what a change of a file is seen: its size, and the SHA-256 of its bytes, empty where it is not known."""

    bytes: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A part's ledger, and what its file is."""

    tally: Tally
    file: FilePrint


def of_lines(lines: Iterable[str]) -> FilePrint:
    """That of a file of lines, before it is written."""
    size, digest = 0, hashlib.sha256()
    for line in lines:
        digest.update(row := f"{line}\n".encode())
        size += len(row)
    return FilePrint(size, digest.hexdigest())


def of_file(path: Path) -> FilePrint:
    """That of a file that is there; raises as ``reading``."""
    return FilePrint(path.stat().st_size, sha256(path))


def add(folder: Path, number: int, tally: Tally, file: FilePrint) -> None:
    """Write a part's record, on disk when this returns; raises as ``write_lines``."""
    with append_to(folder / RECORDS) as records:
        append_line(records, line(number, tally, file))
        sync(records)


def line(number: int, tally: Tally, file: FilePrint) -> str:
    """A part's record as it is written."""
    return encode({"part": number, "bytes": file.bytes, "sha256": file.sha256, **tally.plain()})


def read(folder: Path) -> dict[int, PartRecord]:
    """The record of every part that was ever finished.

    Raises:
        Damage: a line is none, or its ledger does not add up.
    """
    records = {}
    for number, data in enumerate(json_objects(folder / RECORDS, RecordLine), 1):
        if wrong := imbalance(data):
            raise damaged(folder / RECORDS, f"line {number}: {wrong}")
        records[data["part"]] = PartRecord(parse(data), FilePrint(data.get("bytes"), data.get("sha256", "")))
    return records
