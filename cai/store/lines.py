"""The lines of a stage's files, whatever the kind of its rows: finished, of parts in progress, left out."""

from collections.abc import Sequence
from typing import Any, NotRequired, Protocol, TypedDict

from cai.store.files import Json


class Row(Protocol):
    """A row of any kind: it has an id."""

    @property
    def id(self) -> str: ...


RowLine = TypedDict(
    "RowLine",
    {
        "in": str,
        "tokens": NotRequired[list[int]],
        "counts": NotRequired[dict[str, int]],
        "out": NotRequired[Sequence[Any]],
        "reason": NotRequired[str],
    },
)
"""What became of one row that came in: ``out``, rows of a type or plain, where it was kept, ``reason`` where it was left out."""

DropLine = TypedDict(
    "DropLine",
    {
        "part": int,
        "in": str,
        "id": str,
        "reason": str,
        "detail": str,
        "partial": Json,
        "tokens": NotRequired[list[int]],
        "counts": NotRequired[dict[str, int]],
    },
)
"""One line of ``drops.jsonl``."""
