"""A group of answers, ranked at once: all its pairs from n − 1 short requests in each order.

The best is read off the letters' probabilities after "The ranking is: (", then the best of the others after that letter and
") > (", and so on; each request goes on from the one before, so a server's cache holds all but its end. A step's
probabilities are a Plackett-Luce choice among those left (Plackett 1975), so of two answers the one taken first, at a step
with probabilities p and q, is the better with p / (p + q). The second order is the first reversed. Where verdicts are sampled,
each step asks for the line so far with the next letter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from cai.flow.ask import Ask
from cai.judge.methods.choices import NOTHING, Distribution, Reasoning, distribution
from cai.judge.methods.votes import begun
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote, pair_id
from cai.store.votes import LOGPROBS
from constitution import forms, judging
from constitution.forms import LETTERS
from constitution.model import Principle


async def rank(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote on each pair of the group in each order; ``vote.pair`` tells which pair."""
    count, votes = len(row.answers), []
    for order in orders:
        vote = begun(principle, order, want, ask)
        places = list(range(count)) if order == "ab" else list(reversed(range(count)))
        steps = await _steps(row, principle, places, want, ask)
        for one, other in combinations(range(count), 2):
            votes.append(_vote(replace(vote, pair=pair_id(row, one, other)), steps, (one, other)))
    return votes


@dataclass(frozen=True, slots=True)
class Step:
    """One place of a ranking: how likely each answer that is left comes next, by its number."""

    chances: Distribution
    shares: Mapping[int, float]


async def _steps(row: Pair, principle: Principle, places: Sequence[int], want: Judging, ask: Ask) -> list[Step]:
    """The steps of a ranking, which end with one that cannot be read."""
    texts = [row.answers[place].text for place in places]
    question = judging.ranking(ask.constitution, principle, row.messages, texts, ask.model.format)
    remaining, steps, reasoning = dict(zip(LETTERS, places, strict=False)), list[Step](), NOTHING
    line: list[str] = []
    while len(remaining) > 1:
        form = forms.ranking(ask.constitution, line, tuple(remaining))
        chances = await distribution(question, form, want, ask, reasoning)
        shares = {place: chances.shares.get(letter, 0.0) for letter, place in remaining.items()}
        steps.append(Step(chances, shares))
        if chances.status != "ok":
            break
        line.append(max(remaining, key=lambda letter: chances.shares.get(letter, 0.0)))
        del remaining[line[-1]]
        reasoning = (
            Reasoning("", chances.thinking) if chances.kind == LOGPROBS else NOTHING
        )  # one thought serves for all steps
    return steps


def _vote(vote: Vote, steps: Sequence[Step], pair: tuple[int, int]) -> Vote:
    """The vote on one pair, from the step at which the first of the two was taken."""
    one, other = pair
    for step in steps:
        if step.chances.status != "ok":
            return step.chances.on(vote)
        if max(step.shares, key=lambda place: step.shares[place]) in pair:
            return step.chances.on(vote, step.shares[one] / (step.shares[one] + step.shares[other]))
    return vote
