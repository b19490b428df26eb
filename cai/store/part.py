"""A part in progress: rows are appended as they finish, and sorted to input order when all are there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from cai.store import earlier
from cai.store.files import append_line, append_to, json_objects, reading, sync, whole_lines, write_lines
from cai.store.ledger import Tally
from cai.store.lines import DropLine, OpenLine, RowLine
from cai.store.rows import Drop, encode, plain, shallow
from cai.store.stage import Stage, open_part

PlainRow = dict[str, object]
NOTHING: Mapping[str, int] = MappingProxyType({})


class Part:
    """A part in progress: what is done, and where the next finished row goes.

    Args:
        drops: its rows that were left out before, see ``Stage.open_drops``.
    """

    def __init__(self, stage: Stage, number: int, drops: Iterable[DropLine] = ()) -> None:
        self.stage, self.number = stage, number
        self.path = open_part(stage.path(number))
        self.outcomes: dict[str, RowLine] = {}
        self.texts: dict[str, list[str]] = {}
        for data in (*json_objects(self.path, OpenLine), *drops):
            self.outcomes[data["in"]] = cast("RowLine", data)
        self.lines = append_to(self.path)
        self.drops = append_to(stage.folder / "drops.jsonl")
        stage.clock.start()

    def put(
        self, row_id: str, out: Sequence[object], tokens: Sequence[int], counts: Mapping[str, int] = NOTHING
    ) -> None:
        """Write what one input row gave; on disk when this returns, as far as a killed process is concerned.

        Args:
            counts: what the ledger counts of it beside its tokens.
        """
        data: RowLine = {"in": row_id, "tokens": list(tokens)}
        if counts:
            data["counts"] = dict(counts)
        rows = self.texts[row_id] = list(map(encode, out))  # kept, as the finished part has the same lines
        append_line(self.lines, f'{encode(data)[:-1]},"out":[{",".join(rows)}]}}')
        self.outcomes[row_id] = {**data, "out": out}

    def drop(self, drop: Drop, tokens: Sequence[int], counts: Mapping[str, int] = NOTHING) -> None:
        """Write that one input row is left out."""
        data = {"part": self.number, "in": drop.id, **plain(drop), "tokens": list(tokens)}
        if counts:
            data["counts"] = dict(counts)
        append_line(self.drops, encode(data))
        self.outcomes[drop.id] = cast("RowLine", data)

    def finish(self, order: Sequence[str], count: Callable[[PlainRow], str | None] | None = None) -> list[PlainRow]:
        """Complete the part: sort to input order, fsync, rename. Returns its rows."""
        tally = Tally(rows_in=len(order), seconds=self.stage.clock.lap())
        rows: list[PlainRow] = []
        lines: list[str] = []
        for row_id in order:
            data = self.outcomes[row_id]
            tally.spend(data.get("tokens") or (0, 0, 0))
            tally.counts.update(data.get("counts") or {})
            if "out" not in data:
                tally.dropped[data.get("reason", "")] += 1
                continue
            tally.rows_kept += 1
            rows += map(shallow, data["out"])
            lines += self.texts.get(row_id) or map(encode, data["out"])
        tally.rows_out = len(rows)
        tally.counts.update(filter(None, map(count, rows)) if count else ())
        sync(self.drops)  # a power cut must not leave a ledger that tells of drops which are in no file
        self.stage.complete(self.number, lines, earlier.added(self.stage.folder, self.number, tally))
        self.close()
        self.path.unlink()
        return rows

    def close(self) -> None:
        """Let go of the files."""
        self.stage.clock.stop()
        self.lines.close()
        self.drops.close()


def sort_drops(stage: Stage, order: Mapping[str, int]) -> None:
    """Bring ``drops.jsonl`` into input order, one line for each row, so that it does not tell of scheduling or kills.

    Only places are held in memory: a run of millions may drop hundreds of thousands.
    """
    path, offset = stage.folder / "drops.jsonl", 0
    places: dict[tuple[int, int, str], int] = {}
    for line, drop in zip(whole_lines(path), json_objects(path, DropLine), strict=True):
        places[drop["part"], order.get(drop["in"], 0), drop["in"]] = offset
        offset += len(line.encode()) + 1

    def in_order() -> Iterator[str]:
        with reading(path) as file:
            for _, place in sorted(places.items()):
                file.seek(place)
                yield file.readline()[:-1].decode("utf-8")

    if places:
        write_lines(path, in_order())
