"""Pairs of answers that are there already → pairs to be judged, with what people said of them.

Read as they come, by their columns: see ``cai.data.comparisons``. The same pair in several rows was compared by several people.
Which answer becomes a is drawn by the pair's own hash, so that the better one stands on either side.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from cai.data import records
from cai.data.account import Account
from cai.data.comparisons import Comparison, check_pair, comparisons
from cai.data.conversations import Unusable
from cai.data.labels import names_of
from cai.data.prompt_source import TRACKS, drop_of
from cai.data.questions import COMPANIONS, with_fields
from cai.data.records import Entry
from cai.data.survey import Survey, survey
from cai.errors import UserError
from cai.store.identity import content_id
from cai.store.ledger import ADDED
from cai.store.rows import Draft, Drop, Message, Pair

HALVES = ("search", "held_out")


@dataclass(frozen=True, slots=True)
class Pairs:
    """The ``pairs`` block.

    Attributes:
        path: a file, a folder or a path with wildcards; or
        hub: a dataset on the Hub; of it, or of a folder, the split and the configuration.
        columns: what is what, where it cannot be told by its name: prompt, a, b, label and system → column; and what the label's
            values stand for, where their words do not tell: first, second, tie → value; scale: signed or share; means: worse.
        limit: rows to take from the front; None takes all.
        half: of the conversations, "search" or "held_out": what was chosen on the one is measured on the other.
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
    half: str = field(default="", metadata=ADDED)


def half_of(pair: Pair, seed: int) -> str:
    """The half of a pair, by its conversation: all pairs of one are on the same side."""
    drawn = hashlib.sha256(f"{seed}/{pair.prompt_id}".encode()).digest()
    return HALVES[drawn[0] % 2]


def read(want: Pairs, account: Account | None = None) -> Iterator[Pair | Drop]:
    """Every pair, in order, once; what several rows say of one pair is together.

    Args:
        account: gains what was understood of the source, and how its labels are read, where it is more than their words.

    Raises:
        UserError: the file cannot be read, has no columns that say what is what, labels that do not say what they stand for,
            or no row that gives a pair.
    """
    labels: dict[str, list[float]] = {}
    account = account or Account(want.path or want.hub, "pairs")
    meaning = _survey(want, account)
    for pair in _each(want, meaning, account):
        if isinstance(pair, Pair):
            labels.setdefault(pair.id, []).extend(pair.people)
    account.complete({key: want.columns[key] for key in COMPANIONS if key in want.columns})
    for pair in _each(want, meaning):
        if isinstance(pair, Drop):
            yield pair
        elif pair.id in labels:
            people = tuple(labels.pop(pair.id))
            yield Pair(pair.id, pair.prompt_id, pair.messages, pair.a, pair.b, pair.track, people=people)
        else:
            yield Drop(pair.id, "same_pair", "counted with the first row of this pair")


def _survey(want: Pairs, account: Account) -> Survey:
    """What the labels of the file stand for, which the account gains; or at least its columns, where it has to be asked."""
    # A front part may hold one of two labels alone; a Hub dataset is not fetched whole for that.
    whole = want if want.hub else replace(want, limit=None)
    try:
        meaning = survey((entry.data for entry in _entries(whole)), want.columns, Path(want.path or want.hub).name)
    except UserError:
        for entry in _entries(want):
            account.enter(entry.file, entry.data)
        raise
    account.labels = meaning.says
    return meaning


def _each(want: Pairs, meaning: Survey, account: Account | None = None) -> Iterator[Pair | Drop]:
    for entry in _entries(want):
        good, drops = _of_row(entry, want, meaning)
        yield from (row for row, _ in good)
        yield from drops
        if account:
            account.enter(entry.file, entry.data)
            for drop in drops:
                account.leave(drop)
            if good:
                track = ["track"] if entry.data.get("track") in TRACKS else []
                account.read(good[0][1].talk, track, _answers(good[0][1]))


def _of_row(entry: Entry, want: Pairs, meaning: Survey) -> tuple[list[tuple[Pair, Comparison]], list[Drop]]:
    """The pairs of one row, and a drop for each that is none."""
    good, bad = list[tuple[Pair, Comparison]](), list[Unusable]()
    try:
        pairs = comparisons(entry.data, meaning, bad)
    except Unusable as error:
        pairs, bad = [], [error]
    for each in pairs:
        try:
            good.append((_pair(check_pair(each), _track(entry.data, want)), each))
        except Unusable as error:
            bad.append(error)
    return good, [drop_of(entry, error, "columns") for error in bad]


def _track(data: records.Record, want: Pairs) -> str:
    """A row's own track, where the column of that name holds one of ours."""
    own = data.get("track")
    return str(own) if own in TRACKS else want.track


def _answers(pair: Comparison) -> list[Message]:
    """The two answers under their columns' names, and which is the better."""
    share = sum(pair.people) / len(pair.people) if pair.people else 0.5
    better = pair.columns[share < 0.5] if share != 0.5 else "neither"
    texts = zip((*pair.columns, "the better, by people"), (pair.first, pair.second, better), strict=True)
    return [{"role": name, "content": text} for name, text in texts]


def _entries(want: Pairs) -> Iterator[Entry]:
    for entry in islice(records.entries(want), want.limit):
        data = entry.data
        for column in names_of(want.columns):
            data = with_fields(data, column)
        yield replace(entry, data=data)


def _pair(comparison: Comparison, track: str) -> Pair:
    context = content_id(comparison.messages)
    ordered = sorted((comparison.first.strip(), comparison.second.strip()))
    digest = hashlib.sha256(json.dumps([context, *ordered], ensure_ascii=False).encode()).digest()
    # Sorted first, so that two people who saw the same pair in different orders speak of one pair.
    texts = ordered if digest[-1] % 2 else ordered[::-1]
    a, b = (Draft(text, "", "stop", 0) for text in texts)
    straight = texts[0] == comparison.first.strip()
    people = tuple(each if straight else 1 - each for each in comparison.people)
    return Pair(f"{context}/{digest.hex()[:12]}", context, comparison.messages, a, b, track, people=people)
