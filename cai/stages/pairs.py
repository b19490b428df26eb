"""Pairs of answers that are there already → pairs to be judged, with what people said of them.

Read as they come, by their columns: see ``cai.data.comparisons``. The same pair in several rows was compared by several people.
Which answer becomes a is drawn by the pair's own hash, so that the better one stands on either side.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from cai.data import records
from cai.data.comparisons import Comparison, Unusable, checked, comparisons
from cai.data.survey import Survey, survey
from cai.store.rows import Draft, Drop, Pair, content_id


@dataclass(frozen=True, slots=True)
class Pairs:
    """The ``pairs`` block.

    Attributes:
        path: a file; or
        hub: a dataset on the Hub, with its split and configuration.
        columns: what is what, where it cannot be told by its name: prompt, a, b and label → column; and what the label's values
            stand for, where their words do not tell: first, second, tie → value; scale: signed or share; means: worse.
        limit: rows to take from the front; None takes all.
        track: of every pair that has none of its own.
    """

    path: str = ""
    hub: str = ""
    split: str = "train"
    config: str = ""
    columns: Mapping[str, object] = field(default_factory=dict)
    limit: int | None = None
    track: str = "redteam"
    part_size: int = 1000


def read(want: Pairs, tell: Callable[[str], None] = lambda _: None) -> Iterator[Pair | Drop]:
    """Every pair, in order, once; what several rows say of one pair is together.

    Args:
        tell: is told how labels are read, where it is more than their words.

    Raises:
        UserError: the file cannot be read, has no columns that say what is what, or labels that do not say what they stand for.
    """
    said: dict[str, list[float]] = {}
    # A front part may hold one of two labels alone; a Hub dataset is not fetched whole for that.
    known = survey(_records(want if want.hub else replace(want, limit=None)), want.columns, _name(want))
    for line in known.says:
        tell(line)
    for pair in _each(want, known):
        if isinstance(pair, Pair):
            said.setdefault(pair.id, []).extend(pair.people)
    for pair in _each(want, known):
        if isinstance(pair, Drop):
            yield pair
        elif pair.id in said:
            people = tuple(said.pop(pair.id))
            yield Pair(pair.id, pair.prompt_id, pair.messages, pair.a, pair.b, pair.track, people=people)
        else:
            yield Drop(pair.id, "same_pair", "counted with the first row of this pair")


def _each(want: Pairs, known: Survey) -> Iterator[Pair | Drop]:
    name = _name(want)
    for number, data in enumerate(_records(want), 1):
        try:
            for each in comparisons(data, known):
                try:
                    yield _pair(checked(each), str(data.get("track") or want.track))
                except Unusable as error:
                    yield Drop(f"{name}:{number}", error.reason, f"{name}, row {number}: {error}")
        except Unusable as error:
            yield Drop(f"{name}:{number}", error.reason, f"{name}, row {number}: {error}")


def _name(want: Pairs) -> str:
    return Path(want.path or want.hub).name


def _records(want: Pairs) -> Iterator[records.Record]:
    rows = (
        records.from_hub(want.hub, want.split, want.config, lambda _: None)
        if want.hub
        else records.from_file(Path(want.path), lambda _: None)
    )
    return islice(rows, want.limit)


def _pair(found: Comparison, track: str) -> Pair:
    context = content_id(found.messages)
    ordered = sorted((found.first.strip(), found.second.strip()))
    digest = hashlib.sha256(json.dumps([context, *ordered], ensure_ascii=False).encode()).digest()
    # Sorted first, so that two people who saw the same pair in different orders speak of one pair.
    texts = ordered if digest[-1] % 2 else ordered[::-1]
    a, b = (Draft(text, "", "stop", 0) for text in texts)
    straight = texts[0] == found.first.strip()
    people = tuple(each if straight else 1 - each for each in found.people)
    return Pair(f"{context}/{digest.hex()[:12]}", context, found.messages, a, b, track, people=people)
