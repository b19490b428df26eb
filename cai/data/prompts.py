"""Prompt files, Parquet, CSV and Hub datasets → prompts, with a share set aside that no training stage sees.

A prompt file is JSONL, one object a line with ``prompt`` (text) or ``messages``, optionally ``id``, ``track``,
``category``, ``tags`` and ``language``. Without an id, the hash of the content is it; an id seen before is dropped as a duplicate.

Prompts that say the same under ids of their own are rows of their own, as for several answers to each, but one prompt for what
is held out (``content_key``). On another track such a prompt is dropped: a red-team prompt's answer is no helpful example.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cai.data import records
from cai.data.records import Record
from cai.errors import UserError
from cai.store.rows import Drop, Prompt, content_id, content_key, is_text

K = TypeVar("K", str, int)

HELDOUT = "heldout"
"""The folder below the stage's with the prompts that no training stage sees."""
TRACKS = ("redteam", "helpful")


@dataclass(frozen=True, slots=True)
class PromptSource:
    """Where prompts come from.

    Attributes:
        path: a file; or
        hub: a dataset on the Hub, with its split and configuration.
        column: the column that holds the prompt (text, or a list of messages).
        limit: rows to take from the front; None takes all.
        tags: for every prompt of the source, beside its own.
        language: of every prompt of the source that has none of its own, such as "en".
    """

    path: str = ""
    hub: str = ""
    split: str = "train"
    config: str = ""
    column: str = "prompt"
    limit: int | None = None
    tags: tuple[str, ...] = ()
    language: str = ""


Sources = Mapping[str, Sequence[PromptSource]]
"""Track → where its prompts come from."""


def read(sources: Sources) -> Iterator[Prompt | Drop]:
    """Every prompt of every source, in order.

    Raises:
        UserError: a file or a column is not there, or a line cannot be read.
    """
    return (row for row, _ in keyed(sources))


def keyed(sources: Sources, said: dict[str, set[int]] | None = None) -> Iterator[tuple[Prompt | Drop, int]]:
    """The same with each prompt's key (``content_key``); 0 where a row is left out.

    Args:
        said: gains the keys, by track.
    """
    seen: set[str] = set()
    said = {} if said is None else said
    for track, some in ((track, sources.get(track, ())) for track in TRACKS):
        for source in some:
            for number, data in enumerate(_records(source)):
                if source.limit is not None and number >= source.limit:
                    break
                row = _prompt(data, number, source, track, seen)
                yield (row, 0) if isinstance(row, Drop) else _on_one_track(row, said)


def _on_one_track(row: Prompt, said: dict[str, set[int]]) -> tuple[Prompt | Drop, int]:
    """The prompt with its key, unless another track has it."""
    key = content_key(row.messages)
    for track in said.keys() - {row.track}:
        if key in said[track]:
            return Drop(row.id, "duplicate", f"{row.source}: the same prompt is there on the track {track}"), 0
    said.setdefault(row.track, set()).add(key)
    return row, key


def aside(sources: Sources, share: float, seed: int) -> set[int]:
    """The keys of the prompts that are held out, by the files: a share of each track."""
    tracks: dict[str, set[int]] = {}
    for _ in keyed(sources, tracks) if share else ():
        pass
    return {key for keys in tracks.values() for key in held_out(keys, share, seed)}


def those(sources: Sources, keys: Set[int]) -> Iterator[Prompt]:
    """The prompts with these keys, in order."""
    rows = keyed(sources) if keys else ()
    return (row for row, key in rows if key in keys and isinstance(row, Prompt))


def held_out(keys: Iterable[K], share: float, seed: int) -> set[K]:
    """The keys set aside: the share with the smallest hashes, so that the choice depends on nothing else.

    At least one is set aside, and one is left, where there are two and the share is above zero.
    """
    unique = keys if isinstance(keys, Set) else set(keys)
    count = round(share * len(unique))
    if share > 0 and len(unique) > 1:
        count = min(max(count, 1), len(unique) - 1)
    return set(heapq.nsmallest(count, unique, key=lambda each: hashlib.sha256(f"{seed}/{each}".encode()).digest()))


def _prompt(data: Record, number: int, source: PromptSource, track: str, seen: set[str]) -> Prompt | Drop:
    name = source.path or source.hub
    asked = data.get("messages") if source.column == "prompt" and "prompt" not in data else data.get(source.column)
    messages = _messages(asked)
    row_id = str(data.get("id") or (content_id(messages) if messages else f"{Path(name).name}:{number + 1}"))
    if messages is None:
        return Drop(
            row_id, "no_prompt", f"{name}, row {number + 1}: no text and no messages that end with the person's"
        )
    if row_id in seen:
        return Drop(row_id, "duplicate", f"{name}, row {number + 1}: the id was there before")
    seen.add(row_id)
    said = data.get("track") or track
    if said not in TRACKS:
        return Drop(row_id, "unknown_track", f"{name}, row {number + 1}: track {said!r}; known: {', '.join(TRACKS)}")
    language = str(data.get("language") or source.language)
    tags = tuple(dict.fromkeys((*source.tags, *_words(data.get("tags")))))
    category = str(data.get("category") or "")
    return Prompt(row_id, messages, Path(name).name, str(said), category, tags, language)


def _words(tags: object) -> list[str]:
    """A list of tags, or one tag as plain text."""
    return [str(tag) for tag in tags] if isinstance(tags, list) else [str(tags)] if tags else []


def _messages(asked: object) -> tuple[dict[str, str], ...] | None:
    messages = _said(asked)
    return messages if messages and all(is_text(each["content"]) for each in messages) else None


def _said(asked: object) -> tuple[dict[str, str], ...] | None:
    if isinstance(asked, str) and asked.strip():
        return ({"role": "user", "content": asked.strip()},)
    if isinstance(asked, list) and asked and all(isinstance(each, dict) and each.get("content") for each in asked):
        messages = tuple({"role": str(each.get("role", "user")), "content": str(each["content"])} for each in asked)
        return messages if messages[-1]["role"] == "user" else None
    return None


def _records(source: PromptSource) -> Iterator[Record]:
    def check(columns: list[str]) -> None:
        if source.column not in columns and not (source.column == "prompt" and "messages" in columns):
            listed = ", ".join(columns)
            name = source.path or source.hub
            raise UserError(f'{name}: there is no column "{source.column}"; name one of: {listed} (key `column`)')

    if source.hub:
        return records.from_hub(source.hub, source.split, source.config, check)
    return records.from_file(Path(source.path), check)
