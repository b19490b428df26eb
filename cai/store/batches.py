"""Batches that were handed in for a stage and a role, kept beside its rows until it is sealed.

``00000.json`` says what is known of a batch from before it is made, and ``00000-0.jsonl`` … are the server's files of answers, as
they came. So a run that is stopped goes on with the batches that are there, and asks for no answer twice.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from cai.errors import UserError
from cai.store.files import Json, read_form, write_json

BATCHES = ".batches"
"""The folder within a stage's, with one for each role."""
Place = tuple[Path, int]
"""A line of a file."""


class BatchNote(TypedDict):
    """What is known of a batch.

    Attributes:
        note: by what it is found again while its id was not heard.
        batch: its id; empty until that was heard.
        ended: how; empty until its answers are here.
        keys: of its requests.
    """

    note: str
    batch: str
    ended: str
    keys: list[str]


class BatchFolder:
    """The batches of one role in one stage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def notes(self) -> Iterator[tuple[int, BatchNote]]:
        """All batches by their numbers.

        Raises:
            RunError: a note is damaged.
        """
        for number in self._numbers():
            if note := read_form(self.path(number), BatchNote):
                yield number, note

    def refuse(self, role: str) -> None:
        """What is said where a role is not asked in batches any more.

        Raises:
            UserError: some were handed in, and would be paid again.
        """
        if batches := [note["batch"] for _, note in self.notes()]:
            raise UserError(
                f"models.{role}: batches of it ({', '.join(batches)}) were handed in, and `batch: true` is gone: put it back, or "
                f"delete {self.folder} to ask again and singly what they were to answer"
            )

    def next(self) -> int:
        """A number that no batch has."""
        return max(self._numbers(), default=-1) + 1

    def _numbers(self) -> list[int]:
        """Of the batches that have a note; a copy that somebody made beside one is none."""
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json") if path.stem.isdecimal())

    def path(self, number: int) -> Path:
        """Where a batch's note is."""
        return self.folder / f"{number:05d}.json"

    def write(self, number: int, note: BatchNote) -> None:
        """Keep what is known; raises as ``write_json``."""
        write_json(self.path(number), note)

    def forget(self, number: int) -> None:
        """There is no such batch."""
        self.path(number).unlink(missing_ok=True)

    def file(self, number: int, place: int) -> Path:
        """Where a file of answers goes."""
        return self.folder / f"{number:05d}-{place}.jsonl"

    def lines(self, number: int) -> Iterator[tuple[Place, dict[str, Json]]]:
        """All lines of a batch's files, with their places; one that is no JSON object answers nothing and is passed over."""
        for path in sorted(self.folder.glob(f"{number:05d}-*.jsonl")):
            offset = 0
            with path.open("rb") as file:
                for line in file:
                    with suppress(ValueError, RecursionError):
                        if isinstance(data := json.loads(line), dict):
                            yield (path, offset), data
                    offset += len(line)

    @staticmethod
    def line(place: Place) -> dict[str, Json]:
        """The line at a place, of those that ``lines`` gave."""
        path, offset = place
        with path.open("rb") as file:
            file.seek(offset)
            return json.loads(file.readline())
