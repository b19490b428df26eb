"""Pairs of answers that are there already → pairs to be judged, with what people said of them.

Read as they come, by their columns: see ``cai.data.comparisons``. The same pair in several rows was compared by several people.
Which answer becomes a is drawn by the pair's own hash, so that the better one stands on either side.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from cai.data import records
from cai.data.account import Account
from cai.data.comparisons import Comparison, checked, comparisons, form, several, understood, word_of
from cai.data.conversations import Unusable
from cai.data.notation import names
from cai.data.prompt_source import TRACKS, left_out
from cai.data.questions import opened
from cai.data.records import Entry
from cai.errors import UserError
from cai.store.rows import Draft, Drop, Pair, content_id


@dataclass(frozen=True, slots=True)
class Pairs:
    """The ``pairs`` block.

    Attributes:
        path: a file, a folder or a path with wildcards; or
        hub: a dataset on the Hub; of it, or of a folder, the split and the configuration.
        columns: what is what, where it cannot be told by its name: prompt, a, b, label and system → column.
        limit: rows to take from the front; None takes all.
        track: of every pair that has none of its own.
    """

    path: str = ""
    hub: str = ""
    split: str = "train"
    config: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    track: str = "redteam"
    part_size: int = 1000


def read(want: Pairs, account: Account | None = None) -> Iterator[Pair | Drop]:
    """Every pair, in order, once; what several rows say of one pair is together.

    Args:
        account: gains what was understood of the source.

    Raises:
        UserError: the file cannot be read, or has no columns that say what is what, or no row that gives a pair.
    """
    said: dict[str, list[float]] = {}
    base = _numbering(want)
    account = account or Account(want.path or want.hub, "pairs")
    for pair in _each(want, base, account):
        if isinstance(pair, Pair):
            said.setdefault(pair.id, []).extend(pair.people)
    account.complete()
    for pair in _each(want, base):
        if isinstance(pair, Drop):
            yield pair
        elif pair.id in said:
            people = tuple(said.pop(pair.id))
            yield Pair(pair.id, pair.prompt_id, pair.messages, pair.a, pair.b, pair.track, people=people)
        else:
            yield Drop(pair.id, "same_pair", "counted with the first row of this pair")


def _each(want: Pairs, base: int | None, account: Account | None = None) -> Iterator[Pair | Drop]:
    for entry in _entries(want):
        if account:
            account.enter(entry.file, entry.data)
        for row in _of_row(entry, want, base):
            if account and isinstance(row, Drop):
                account.leave(row)
            yield row
            if account and isinstance(row, Pair):
                _understood(entry.data, want, row, account)


def _of_row(entry: Entry, want: Pairs, base: int | None) -> Iterator[Pair | Drop]:
    """The pairs of one row; a drop for each that is none."""
    try:
        for each in comparisons(entry.data, want.columns, base):
            try:
                yield _pair(checked(each), _track(entry.data, want))
            except Unusable as error:
                yield left_out(entry, error, "columns")
    except Unusable as error:
        yield left_out(entry, error, "columns")


def _track(data: records.Record, want: Pairs) -> str:
    """A row's own track, where the column of that name holds one of ours."""
    own = data.get("track")
    return str(own) if own in TRACKS else want.track


def _understood(data: records.Record, want: Pairs, row: Pair, account: Account) -> None:
    share = sum(row.people) / len(row.people) if row.people else 0.5
    better = "a" if share > 0.5 else "b" if share < 0.5 else "neither"
    answers = [{"role": f"answer {name}", "content": each.text} for name, each in (("a", row.a), ("b", row.b))]
    track = ["track"] if data.get("track") in TRACKS else []
    account.read(
        understood(data, want.columns), track, [*answers, {"role": "the better, by people", "content": better}]
    )


def _numbering(want: Pairs) -> int | None:
    """Whether labels that are numbers count from 0 or from 1, by those of the whole file; None where no number tells.

    Raises:
        UserError: they do neither.
    """
    numbers: set[str] = set()
    # A front part may hold one of the two numbers alone; a Hub dataset is not fetched whole for that.
    for data in _records(want if want.hub else replace(want, limit=None)):
        columns = form(data, want.columns)
        if isinstance(columns, tuple):
            numbers |= {word for each in several(data.get(columns[2])) if (word := word_of(each)) in ("0", "1", "2")}
    if numbers >= {"0", "2"}:
        raise UserError(
            f"{want.path or want.hub}: labels are 0, 1 and 2; write them as the names of the answers' columns"
        )
    return 0 if "0" in numbers else 1 if "2" in numbers else None


def _records(want: Pairs) -> Iterator[records.Record]:
    return (entry.data for entry in _entries(want))


def _entries(want: Pairs) -> Iterator[Entry]:
    for place, entry in enumerate(islice(records.entries(want), want.limit)):
        data = entry.data
        for column in want.columns.values():
            data = opened(data, column)
        if not place and form(data, want.columns) is None:
            raise UserError(
                f"{want.path or want.hub}: no pairs in the columns {names(data)}; pairs are chosen and rejected, two "
                "answers and a label, or prompt, corrects and incorrects; name other columns under `columns`"
            )
        yield replace(entry, data=data)


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
