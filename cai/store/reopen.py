"""A row stage as if some of its rows had not been done yet; the whole folder as it was goes to ``.aside/``.

For stages whose rows keep the id of the row they are made from. Parts without a stale row stay as they are; of the
others, the rows that stand become the lines of an open part, and the tokens already spent stay in the ledger.
"""

import shutil
import time
from collections.abc import Collection
from itertools import count
from pathlib import Path

from cai.errors import RunError
from cai.store import earlier, part_records
from cai.store.batches import BATCHES
from cai.store.clock import CLOCK
from cai.store.earlier import EARLIER
from cai.store.files import json_objects, write_json, write_lines
from cai.store.ledger import Fingerprint
from cai.store.lines import DropLine, OpenLine
from cai.store.rows import encode
from cai.store.run_folder import is_stage
from cai.store.stage import Stage, open_part, part_number


def reopen(stage: Stage, root: Path, settings: Fingerprint, stale: Collection[str]) -> Path:
    """Open the stage for these rows, under these settings; returns where the folder as it was has gone.

    The new folder is made in ``.aside/`` and takes the old one's place at the end; killed in between, ``take_up`` goes on.

    Args:
        root: the run's folder.
        stale: ids of the rows to be done again.

    Raises:
        RunError: the stage's ledger is gone.
    """
    fresh = Stage(_beside(stage.folder, root))
    shutil.rmtree(fresh.folder, ignore_errors=True)
    write_json(fresh.folder / "begun.json", settings.plain())
    _Reopening(stage, fresh, frozenset(stale)).write()
    aside = set_aside(stage, root)
    fresh.folder.rename(stage.folder)
    return aside


def set_aside(stage: Stage, root: Path) -> Path:
    """Move a stage's folder out of the way, its rows kept, to ``.aside/``; returns where it is now."""
    name = root / ".aside" / f"{stage.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    aside = next(path for number in count(1) if not (path := name.with_name(f"{name.name}-{number}")).exists())
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(stage.folder, aside)
    return aside


def take_up(root: Path) -> None:
    """Put every reopened stage in its place whose old folder a killed process had already moved away.

    What such a process had not got as far with is deleted: later, it would take the place of rows that are newer.
    """
    for fresh in (root / ".aside").glob(".*.reopening"):
        name = fresh.name.removeprefix(".").removesuffix(".reopening").replace("+", "/")
        folder = root / name
        if fresh.is_symlink() or not fresh.is_dir():
            fresh.unlink()
        elif is_stage(name) and folder.parent.is_dir() and not folder.exists() and (fresh / EARLIER).exists():
            fresh.rename(folder)
        else:
            shutil.rmtree(fresh)


def _beside(folder: Path, root: Path) -> Path:
    """Where a stage's new folder is made; names have no ``+``, so that an evaluation's inner folders keep their own."""
    return root / ".aside" / f".{'+'.join(folder.relative_to(root).parts)}.reopening"


class _Reopening:
    """Writes the new folder from the old one; ``earlier.json`` last."""

    def __init__(self, stage: Stage, fresh: Stage, stale: frozenset[str]) -> None:
        self.stage, self.fresh, self.stale = stage, fresh, stale
        self.records, self.drops = stage.records(), list(stage.drops())
        self.earlier = earlier.read(stage.folder)
        self.whole: list[str] = []

    def write(self) -> None:
        for number in self.stage.parts():
            self._copy_part(number)
        for path in self.stage.open_parts():
            self._copy_open_part(path)
        rest = [drop for drop in self.drops if drop["in"] not in self.stale]
        write_lines(self.fresh.folder / "drops.jsonl", list(map(encode, rest)))
        write_lines(self.fresh.folder / "parts.jsonl", self.whole)
        if (clock := self.stage.folder / CLOCK).exists():
            shutil.copyfile(clock, self.fresh.folder / CLOCK)
        if (batches := self.stage.folder / BATCHES).is_dir():  # of rows that are not done: they are paid
            shutil.copytree(batches, self.fresh.folder / BATCHES)
        write_json(self.fresh.folder / EARLIER, self.earlier)  # last: with it, the new folder is whole

    def _copy_part(self, number: int) -> None:
        if number not in self.records:
            ledger = self.stage.folder / "parts.jsonl"
            raise RunError(f"{ledger} has no line for part {number}; do it again with: --redo {self.stage.name}")
        record = self.records[number]
        tally, rows, drops = record.tally, list(self.stage.rows(dict, number)), self._drops_of(number)
        if not self.stale & {*(row["id"] for row in rows), *(drop["in"] for drop in drops)}:
            shutil.copyfile(self.stage.path(number), self.fresh.path(number))
            self.whole.append(part_records.line(number, tally, record.file))
            return
        self._spend(number, tally.tokens_in, tally.tokens_cached, tally.tokens_out, tally.seconds, anew=True)
        for drop in drops:
            drop["tokens"] = [0, 0, 0]  # they are among those spent, as are the lines'
        rest = [row for row in rows if row["id"] not in self.stale]
        lines = [encode({"in": row["id"], "tokens": [0, 0, 0], "out": [row]}) for row in rest]
        write_lines(open_part(self.fresh.path(number)), lines)

    def _copy_open_part(self, path: Path) -> None:
        number, lines = part_number(path), []
        for line in json_objects(path, OpenLine):
            if line["in"] in self.stale:
                tokens_in, tokens_cached, tokens_out = line.get("tokens") or (0, 0, 0)
                self._spend(number, tokens_in, tokens_cached, tokens_out)
            else:
                lines.append(encode(line))
        for drop in self._drops_of(number):
            if drop["in"] in self.stale:
                tokens_in, tokens_cached, tokens_out = drop.get("tokens") or (0, 0, 0)
                self._spend(number, tokens_in, tokens_cached, tokens_out)
        write_lines(self.fresh.folder / path.name, lines)

    def _drops_of(self, number: int) -> list[DropLine]:
        return [drop for drop in self.drops if drop["part"] == number]

    def _spend(
        self, number: int, tokens_in: int, tokens_cached: int, tokens_out: int, seconds: float = 0.0, anew: bool = False
    ) -> None:
        """Keep what was spent; a finished part's ledger holds what was kept for it before."""
        before = [0, 0, 0, 0.0] if anew else self.earlier.get(number, [0, 0, 0, 0.0])
        more = (tokens_in, tokens_cached, tokens_out, seconds)
        self.earlier[number] = [was + now for was, now in zip(before, more, strict=True)]
