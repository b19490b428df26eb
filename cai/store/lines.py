"""The lines of a stage's files, whatever the kind of its rows: finished, of parts in progress, left out."""

from collections.abc import Sequence
from typing import Any, NotRequired, Protocol, TypedDict

from cai.store.files import Json
from cai.store.form import Count, TokenCounts


class Row(Protocol):
    """A row of any kind: it has an id."""

    @property
    def id(self) -> str: ...


_Done = TypedDict("_Done", {"in": str, "tokens": NotRequired[TokenCounts], "counts": NotRequired[dict[str, Count]]})


class RowLine(_Done):
    """What became of one row that came in: ``out``, rows of a type or plain, of one that was kept, ``reason`` of one left out."""

    out: NotRequired[Sequence[Any]]
    reason: NotRequired[str]


class OpenLine(_Done):
    """One line of a part in progress: a row that was kept."""

    out: Sequence[Any]


class DropLine(_Done):
    """One line of ``drops.jsonl``."""

    part: Count
    id: str
    reason: str
    detail: str
    partial: Json
