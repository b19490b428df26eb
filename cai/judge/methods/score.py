"""Each answer alone, rated from 1 to 10 by Σ i·P(i) over the ratings' probabilities (Lee et al. 2023, section 2.2.2).

P(a) is the probability that a rating drawn for a is higher than one drawn for b, equal ones counted half: a comparison on
the judge's own scale, where σ(s_a − s_b) would have needed a scale of ours. No position can be preferred, as none is shown;
neither is one answer seen in the light of the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.choices import Distribution, Reasoning, by_logprobs, choosing, distribution
from cai.judge.methods.single import Prompted, Reading, Wanted, least
from cai.judge.methods.votes import ALONE, begun
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote
from cai.store.votes import LOGPROBS
from constitution import forms, judging
from constitution.model import Principle
from constitution.turns import Rendered

WORTH_ASKING = 0.001


async def score(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote, whatever the orders; its ``scores`` are the two expected ratings."""
    vote = begun(principle, ALONE, want, ask)
    first, second = [await read_one(row, each.text, principle, want, ask) for each in (row.a, row.b)]
    both = least((first.least, second.least))
    if first.value is None or second.value is None:
        return [both.on(vote)]
    return [both.on(replace(vote, scores=(first.value, second.value)), higher(first.parts, second.parts))]


async def rated(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> float | None:
    """One answer's expected rating, from 1 to 10; None where it cannot be read."""
    return (await read_one(row, answer, principle, want, ask)).value


async def read_one(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> Reading:
    """One answer's ratings with their probabilities, which add up to 1."""
    asked = judging.rating(ask.constitution, principle, row.messages, answer, ask.model.format)
    found = await distribution(asked, forms.rating(ask.constitution), want, ask)
    if found.status != "ok":
        return Reading(None, found, {})
    shares = await _with_ten(asked, found, ask)
    parts = {int(rating): share for rating, share in shares.items()}
    return Reading(_mean(parts), found, parts)


async def _with_ten(asked: Rendered, found: Distribution, ask: Ask) -> Mapping[str, float]:
    """Most tokenizers write 10 as two tokens: the second tells how much of the first one's "1" is a 10."""
    one = found.shares.get("1", 0.0)
    if found.kind != LOGPROBS or "10" in found.shares or one * found.mass <= WORTH_ASKING or not ask.model.continues:
        return found.shares
    form = forms.rating(ask.constitution)
    form = replace(form, before=f"{form.before}1", choices=("0",))
    said = Reasoning("", found.thinking)
    ten = (await by_logprobs(choosing(asked, form, said), 0.0, ask, said)).mass
    return {**found.shares, "1": one * (1 - ten), "10": one * ten}


def higher(first: Mapping[int, float], second: Mapping[int, float]) -> float:
    """The probability that a rating from the first distribution is above one from the second, plus half that of a tie."""
    return sum(p * q * (1.0 if i > j else 0.5 if i == j else 0.0) for i, p in first.items() for j, q in second.items())


def _mean(ratings: Mapping[int, float]) -> float:
    return sum(rating * p for rating, p in ratings.items())
