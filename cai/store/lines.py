"""The lines of a stage's files that are no rows: of parts in progress, and of what was left out."""

from typing import NotRequired, TypedDict

from cai.store.rows import Json

RowLine = TypedDict(
    "RowLine",
    {
        "in": str,
        "tokens": NotRequired[list[int]],
        "out": NotRequired[list[dict[str, Json]]],
        "reason": NotRequired[str],
    },
)
"""What became of one row that came in: ``out`` where it was kept, ``reason`` where it was left out."""

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
    },
)
"""One line of ``drops.jsonl``."""
