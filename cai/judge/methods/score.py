"""Each answer alone, rated from 1 to 10 by Σ i·P(i) over the ratings' probabilities (Lee et al. 2023, section 2.2.2).

P(a) is the probability that a rating drawn for a is higher than one drawn for b, equal ones counted half: a comparison on
the judge's own scale, where σ(s_a − s_b) would have needed a scale of ours. No position can be preferred, as none is shown;
neither is one answer seen in the light of the other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.single import Prompted, Reading, Wanted
from cai.judge.methods.votes import ALONE, begun, decided
from cai.judge.settings import Judging
from cai.models.types import Request
from cai.store.rows import Pair, Vote
from constitution import judging, read
from constitution.model import Principle
from constitution.turns import Rendered

RATINGS = tuple(str(number) for number in range(1, 11))
WORTH_ASKING = 0.001


async def score(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote, whatever the orders; its ``scores`` are the two expected ratings."""
    vote = begun(principle, ALONE, want, ask)
    first, second = [await read_one(row, each.text, principle, want, ask) for each in (row.a, row.b)]
    vote = replace(vote, answer_mass=min(first.mass, second.mass))
    if first.value is None or second.value is None:
        return [vote]
    return [decided(replace(vote, scores=(first.value, second.value)), higher(first.parts, second.parts))]


async def rated(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> float | None:
    """One answer's expected rating, from 1 to 10; None where the ratings hold less than the floor."""
    return (await read_one(row, answer, principle, want, ask)).value


async def read_one(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> Reading:
    """One answer's ratings with their probabilities, which add up to 1."""
    asked = judging.rating(ask.constitution, principle, row.messages, answer, ask.model.format)
    found = await ratings(asked, ask)
    mass = sum(found.values())
    if mass < want.floor or mass == 0:
        return Reading(None, mass, {})
    parts = {rating: p / mass for rating, p in found.items()}
    return Reading(_mean(parts), mass, parts)


async def ratings(asked: Rendered, ask: Ask) -> dict[int, float]:
    """The probability of each rating as the judge's answer."""
    begin = asked.begin(judging.RATING_BEGINS)
    request = Request(asked.messages, asked.prompt, choices=RATINGS, begin=begin, temperature=0.0)
    found = {int(each): math.exp(value) for each, value in (await ask(request)).choice_logprobs.items()}
    if 10 not in found and found.get(1, 0.0) > WORTH_ASKING and ask.model.continues:
        # Most tokenizers write 10 as two tokens; the second tells how much of the first one's "1" is a 10.
        request = replace(request, begin=f"{begin}1", choices=("0",))
        ten = read.mass((await ask(request)).choice_logprobs, ("0",))
        found[1], found[10] = found[1] * (1 - ten), found[1] * ten
    return found


def higher(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    """The probability that a rating from the first distribution is above one from the second, plus half that of a tie."""
    return sum(p * q * (1.0 if i > j else 0.5 if i == j else 0.0) for i, p in first.items() for j, q in second.items())


def _mean(ratings: Mapping[int, float]) -> float:
    return sum(rating * p for rating, p in ratings.items())
