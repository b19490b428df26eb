"""A group of answers, ranked at once: all its pairs from n − 1 short requests in each order.

The best is read off the letters' probabilities after "The ranking is: (", then the best of the others after that letter and
") > (", and so on; each request goes on from the one before, so a server's cache holds all but its end. A step's
probabilities are a Plackett-Luce choice among those left (Plackett 1975), so of two answers the one taken first, at a step
with probabilities p and q, is the better with p / (p + q). The second order is the first reversed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from cai.flow.ask import Ask
from cai.judge.methods.votes import begun, decided
from cai.judge.settings import Judging
from cai.models.types import Request
from cai.store.rows import Pair, Vote, pair_id
from constitution import judging, read
from constitution.model import Principle


async def rank(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote on each pair of the group in each order; ``vote.pair`` tells which pair."""
    count, votes = len(row.answers), []
    for order in orders:
        vote = begun(principle, order, want, ask)
        places = list(range(count)) if order == "ab" else list(reversed(range(count)))
        steps = await _steps(row, principle, places, want, ask)
        for one, other in combinations(range(count), 2):
            voted = _vote(replace(vote, pair=pair_id(row, one, other)), steps, (one, other), want)
            votes.append(voted)
    return votes


async def _steps(
    row: Pair, principle: Principle, places: Sequence[int], want: Judging, ask: Ask
) -> list[Mapping[int, float]]:
    """The probabilities of each step, by answer; the steps end where the letters hold too little."""
    texts = [row.answers[place].text for place in places]
    asked = judging.ranking(ask.constitution, principle, row.messages, texts, ask.model.format)
    begin, left, steps = asked.begin(judging.RANKING_BEGINS), dict(zip(judging.LETTERS, places, strict=False)), []
    while len(left) > 1:
        request = Request(asked.messages, asked.prompt, choices=tuple(left), begin=begin, temperature=0.0)
        logprobs = (await ask(request)).choice_logprobs
        steps.append({place: read.mass(logprobs, (letter,)) for letter, place in left.items()})
        if sum(steps[-1].values()) < want.floor:
            break
        best = max(left, key=lambda letter: steps[-1][left[letter]])
        begin = f"{begin}{best}) > ("
        del left[best]
    return steps


def _vote(vote: Vote, steps: Sequence[Mapping[int, float]], pair: tuple[int, int], want: Judging) -> Vote:
    """The vote on one pair, from the step at which the first of the two was taken."""
    one, other = pair
    for step in steps:
        mass = sum(step.values())
        if mass < want.floor or mass == 0:
            return replace(vote, answer_mass=mass)
        if max(step, key=lambda place: step[place]) in pair:
            held = step[one] + step[other]
            return decided(replace(vote, answer_mass=mass), step[one] / held)
    return vote
