"""Two answers compared by each judge under each of some principles: the one place where votes become a preference.

How a judge reads a comparison is its method's, in ``cai.judge.methods``; how votes become one probability is
``cai.judge.settle``'s. Both orders are asked and averaged unless told otherwise (Lee et al. 2023, section 2.1.1; Bai et al.
2022 ask one). What cannot be read has a status and no probability; it never becomes a label.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from cai.flow.ask import Ask
from cai.judge.methods import METHODS
from cai.judge.settings import Judging
from cai.judge.settle import settle
from cai.store.rows import Pair, Preference, Vote, pairs_of
from constitution.model import Principle

BOTH = ("ab", "ba")


async def compare(row: Pair, principles: Sequence[Principle], want: Judging, ask: Ask) -> list[Preference]:
    """A pair compared by each judge under each of these principles; a preference for each pair of a group."""
    orders, votes = _orders(want, ask.rng), METHODS[want.method].votes
    judges: list[tuple[str, list[list[Vote]]]] = []
    for number, role in enumerate(want.judges):
        own_ask = ask.of(role) if want.panel else ask
        turns = enumerate(principles or (None,), number)
        judges.append((role, [await votes(row, each, orders[turn % 2], want, own_ask) for turn, each in turns]))
    return [_preference(pair, judges, want) for pair in pairs_of(row)]


def _orders(want: Judging, rng: Random) -> tuple[Sequence[str], Sequence[str]]:
    """The orders of a comparison, and those of the next principle or judge: with one order, the other one in turn."""
    first = rng.choice(BOTH)
    if want.orders == "both" or rng.random() < want.both_share:
        return BOTH, BOTH
    return (first,), ("ba" if first == "ab" else "ab",)


def _preference(pair: Pair, judges: Sequence[tuple[str, Sequence[Sequence[Vote]]]], want: Judging) -> Preference:
    own_votes = [
        (role, [[vote for vote in votes if vote.pair in ("", pair.id)] for votes in under]) for role, under in judges
    ]
    status, p_a, calibrated = settle(own_votes, want)
    votes = tuple(replace(vote, pair="") for _, under in own_votes for each in under for vote in each)
    label = clamped(p_a if calibrated is None else calibrated, want) if status == "ok" else None
    return Preference(pair.id, pair, votes, p_a, label, status, calibrated)


def clamped(p_a: float | None, want: Judging) -> float | None:
    """The probability within the bounds that are wanted."""
    low, high = want.clamp or METHODS[want.method].clamp
    return None if p_a is None else min(max(p_a, low), high)
