"""What the page holds for its search: rows drawn from every table, deflated, within a number of bytes."""

import base64
import heapq
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

T = TypeVar("T")
ROWS = 10_000
"""Of one table."""
BYTES = 6_900_000
"""Of all rows of a page together, deflated; base64 makes a third more of them."""
STEP = 1 << 18
"""Letters after which it is looked how much room is left."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Lines of JSON in base64, and how many lines of each table there are."""

    text: str
    counts: tuple[int, ...]


class Deflater:
    """Lines of JSON → bytes, as they come."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(9)
        self._parts: list[bytes] = []
        self._since = 0
        self.size = 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        text = (json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "replace")
        self._since += len(text)
        self._append(self._stream.compress(text))
        if self._since > STEP:
            self._since = 0
            self._append(self._stream.flush(zlib.Z_SYNC_FLUSH))

    def text(self) -> str:
        """All of it, in base64."""
        self._append(self._stream.flush())
        return base64.b64encode(b"".join(self._parts)).decode()

    def _append(self, part: bytes) -> None:
        self._parts.append(part)
        self.size += len(part)


def packed(tables: Sequence[Iterable[Mapping[str, Any]]], most: int = BYTES) -> Packed:
    """A line of each table in turn, until all are in or the room is used; each line says the number of its table."""
    deflater, counts = Deflater(), [0] * len(tables)
    waiting = {number: iter(table) for number, table in enumerate(tables)}
    while waiting and deflater.size < most:
        for number, lines in list(waiting.items()):
            if (line := next(lines, None)) is None:
                del waiting[number]
                continue
            deflater.add({"table": number, **line})
            counts[number] += 1
    return Packed(deflater.text(), tuple(counts))


def drawn(ids: Iterable[tuple[str, T]], most: int, seed: object) -> list[T]:
    """At most so many of them, at random, the same ones whenever they are drawn; what was drawn first comes first.

    Args:
        ids: each with what it is known by.
    """
    keyed: Iterator[tuple[bytes, int, T]] = (
        (blake2b(f"{seed}/{id}".encode("utf-8", "replace"), digest_size=8).digest(), number, each)
        for number, (id, each) in enumerate(ids)
    )
    return [each for _, _, each in heapq.nsmallest(most, keyed, key=lambda one: one[:2])]
