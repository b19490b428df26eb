"""Sources of prompts → prompts, with a share set aside that no training stage sees.

What a source may be is ``cai.data.locations``, what forms a prompt has ``cai.data.questions``, and what a row of it becomes
``cai.data.prompt_source``. Without an id, the hash of the content is it. Ids are unique within their file: one that another file
has too, for another prompt, gets its file's name before it; one that was there before for the same prompt is a duplicate.

Prompts that say the same under ids of their own are rows of their own, as for several answers to each, but one prompt for what
is held out (``content_key``). On another track such a prompt is dropped: a red-team prompt's answer is no helpful example.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TypeVar

from cai.data.account import Account
from cai.data.prompt_source import TRACKS, PromptSource, Registry, rows
from cai.store.rows import Drop, Prompt

K = TypeVar("K", str, int)

HELDOUT = "heldout"
"""The folder below the stage's with the prompts that no training stage sees."""
Sources = Mapping[str, Sequence[PromptSource]]
"""Track → where its prompts come from."""


def read(sources: Sources) -> Iterator[Prompt | Drop]:
    """Every prompt of every source, in order.

    Raises:
        UserError: a file or a column is not there, a file cannot be read, or a source gives no prompt.
    """
    return (row for row, _ in with_keys(sources))


def with_keys(
    sources: Sources, by_track: dict[str, set[int]] | None = None, accounts: list[Account] | None = None
) -> Iterator[tuple[Prompt | Drop, int]]:
    """The same with each prompt's key (``content_key``); 0 where a row is left out.

    Args:
        by_track: gains the keys, by track.
        accounts: gains what was understood of each source.
    """
    registry = Registry({} if by_track is None else by_track)
    for track, source in ((name, each) for name in TRACKS for each in sources.get(name, ())):
        account = Account(source.name, f"prompts, {track}")
        if accounts is not None:
            accounts.append(account)
        yield from rows(source, track, registry, account)


def heldout_keys(sources: Sources, share: float, seed: int, accounts: list[Account] | None = None) -> set[int]:
    """The keys of the prompts that are held out, by the files: a share of each track.

    Args:
        accounts: gains what was understood of each source; the files are then read even where no share is held out.
    """
    tracks: dict[str, set[int]] = {}
    for _ in with_keys(sources, tracks, accounts) if share or accounts is not None else ():
        pass
    return {key for keys in tracks.values() for key in smallest_hashes(keys, share, seed)}


def select(sources: Sources, keys: Set[int]) -> Iterator[Prompt]:
    """The prompts with these keys, in order."""
    rows = with_keys(sources) if keys else ()
    return (row for row, key in rows if key in keys and isinstance(row, Prompt))


def smallest_hashes(keys: Iterable[K], share: float, seed: int) -> set[K]:
    """The keys set aside: the share with the smallest hashes, so that the choice depends on nothing else.

    At least one is set aside, and one is left, where there are two and the share is above zero.
    """
    unique = keys if isinstance(keys, Set) else set(keys)
    count = round(share * len(unique))
    if share > 0 and len(unique) > 1:
        count = min(max(count, 1), len(unique) - 1)
    return set(heapq.nsmallest(count, unique, key=lambda each: hashlib.sha256(f"{seed}/{each}".encode()).digest()))
