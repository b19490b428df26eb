"""Pair → preference, by the votes of judges under one principle drawn for the pair, or under all of them.

How a judge reads a comparison is its method's, in ``cai.methods``; how votes become one probability is ``cai.settle``'s.
Both orders are asked and averaged unless told otherwise (Lee et al. 2023, section 2.1.1; Bai et al. 2022 ask one). What
cannot be read has a status and no probability; it never becomes a label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from cai.calibration import Calibration
from cai.flow import Ask
from cai.methods import METHODS
from cai.rows import Drop, Pair, Preference, Vote, pairs_of
from cai.settle import settle
from constitution import draw
from constitution.model import Constitution, Principle

BOTH = ("ab", "ba")


@dataclass(frozen=True, slots=True)
class Label:
    """The ``label`` block.

    Attributes:
        model: the judge; or
        panel: several judges, role → weight.
        method: a file of ``cai.methods``.
        choice: how the principle is chosen, see ``constitution.draw``.
        combine: what several principles give together: "average", "minimum" or "strongest", see ``cai.settle``.
        orders: "both"; or "one", drawn for each pair and taken in turn by its principles and judges.
        both_share: of the pairs judged in one order, the share judged in both all the same, which measures the bias.
        mean: of the orders, over their "probabilities" (Lee et al. 2023), or over their "logits", where a liking for one
            position that adds to the log-odds cancels out.
        disagree: what orders that disagree give: "drop" (status inconsistent) or "average" (after Lee et al. 2023).
        apart: probabilities of the two orders that are further apart than this disagree as well.
        clamp: bounds of the label; None means the method's, (0.4, 0.6) after reasoning, as published, and none without.
        calibration: role → what its probabilities stand for, fitted by ``cai judge-eval``.
        tie: a probability closer than this to one half is a tie.
        floor: the least probability that the options must hold together.
        max_tokens: of a text that the judge writes; 512 in Lee et al.
        exemplars: how many of the constitution's exemplars to show; None shows all.
        samples: reasonings of ``cot``, averaged.
        temperature: of those; None means 0 for one and 1 for several.
        layout: "cached" puts the question last, "paper" before the answers, as published.
        rules: detector → weight, for ``rules``; its own where none are given.
    """

    model: str = ""
    method: str = "cot"
    choice: str = "uniform"
    orders: str = "both"
    disagree: str = "drop"
    clamp: tuple[float, float] | None = None
    tie: float = 0.01
    floor: float = 0.1
    max_tokens: int = 512
    exemplars: int | None = None
    panel: Mapping[str, float] = field(default_factory=dict)
    combine: str = "average"
    both_share: float = 0.1
    apart: float = 1.0
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    samples: int = 1
    temperature: float | None = None
    layout: str = "cached"
    rules: Mapping[str, float] = field(default_factory=dict)
    mean: str = "probabilities"

    @property
    def judges(self) -> tuple[str, ...]:
        """The roles that are asked; one without a name where no model is."""
        return tuple(self.panel) or (self.model,)


async def label(row: Pair, want: Label, ask: Ask) -> list[Preference] | Drop:
    """A pair's votes and the probability they give; for a group of answers, a preference for each of its pairs."""
    principles = chosen(row, want, ask.constitution, ask.rng)
    if METHODS[want.method].by and not principles:
        return Drop(row.id, "no_principle_applies")
    return await judge(row, principles, want, ask)


def chosen(row: Pair, want: Label, constitution: Constitution, rng: Random) -> tuple[Principle, ...]:
    """The principles of a comparison; the first thing that a row draws from its generator."""
    method = METHODS[want.method]
    return draw.for_judgment(constitution, row.about, want.choice, rng, method.judges_by) if method.by else ()


async def judge(row: Pair, principles: Sequence[Principle], want: Label, ask: Ask) -> list[Preference]:
    """A pair compared by each judge under each of these principles."""
    ordered, votes = _orders(want, ask.rng), METHODS[want.method].votes
    judges: list[tuple[str, list[list[Vote]]]] = []
    for number, role in enumerate(want.judges):
        mine = ask.of(role) if want.panel else ask
        turns = enumerate(principles or (None,), number)
        judges.append((role, [await votes(row, each, ordered[turn % 2], want, mine) for turn, each in turns]))
    return [_preference(pair, judges, want) for pair in pairs_of(row)]


def _orders(want: Label, rng: Random) -> tuple[Sequence[str], Sequence[str]]:
    """The orders of a comparison, and those of the next principle or judge: with one order, the other one in turn."""
    first = rng.choice(BOTH)
    if want.orders == "both" or rng.random() < want.both_share:
        return BOTH, BOTH
    return (first,), ("ba" if first == "ab" else "ab",)


def _preference(pair: Pair, judges: Sequence[tuple[str, Sequence[Sequence[Vote]]]], want: Label) -> Preference:
    mine = [
        (role, [[vote for vote in votes if vote.pair in ("", pair.id)] for votes in under]) for role, under in judges
    ]
    status, p_a, calibrated = settle(mine, want)
    votes = tuple(replace(vote, pair="") for _, under in mine for each in under for vote in each)
    label = clamped(p_a if calibrated is None else calibrated, want) if status == "ok" else None
    return Preference(pair.id, pair, votes, p_a, label, status, calibrated)


def clamped(p_a: float | None, want: Label) -> float | None:
    """The probability within the block's bounds."""
    low, high = want.clamp or METHODS[want.method].clamp
    return None if p_a is None else min(max(p_a, low), high)
