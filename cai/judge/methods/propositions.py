"""Yes/no facts about each answer, added up by weight (rule-based rewards, Mu et al. 2024, section 4).

A principle's ``propositions`` are checked one by one on each answer alone. With P(yes) normalised over Yes and No, an
answer's score is Σ weight·P(yes), and P(a) = σ(s_a − s_b). The paper fits its weights on answers of known order; here the
author gives them, and a calibration scales their sum.
"""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.choices import Distribution, distribution
from cai.judge.methods.single import Prompted, Reading, Wanted, least
from cai.judge.methods.votes import ALONE, begun, by_scores
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote
from constitution import forms, judging
from constitution.model import Principle


async def propositions(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote, whatever the orders; its rationale lists what was found true of each answer."""
    vote = begun(principle, ALONE, want, ask)
    a, b = [await check_one(row, each.text, principle, want, ask) for each in (row.a, row.b)]
    lines = [
        f"{each.says} a {a.parts[number]:.2f}, b {b.parts[number]:.2f}, weight {each.weight:g}"
        for number, each in enumerate(principle.propositions)
        if number in a.parts and number in b.parts
    ]
    vote = least((a.least, b.least)).on(replace(vote, rationale="\n".join(lines)))
    return [vote if a.value is None or b.value is None else by_scores(vote, (a.value, b.value))]


async def truth_score(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> float | None:
    """One answer's Σ weight·P(yes); None where one of the propositions cannot be read."""
    return (await check_one(row, answer, principle, want, ask)).value


async def check_one(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> Reading:
    """P(yes) of each proposition, by its number; ends at the first that cannot be read."""
    form, shares, readings = forms.truth(ask.constitution), dict[int, float](), list[Distribution]()
    for number, each in enumerate(principle.propositions):
        question = judging.statement(ask.constitution, each.says, row.messages, answer, ask.model.format)
        truth = await distribution(question, form, want, ask)
        readings.append(truth)
        if truth.status != "ok":
            return Reading(None, truth, shares)
        shares[number] = truth.shares.get(form.choices[0], 0.0)
    score = sum(principle.propositions[key].weight * p for key, p in shares.items())
    return Reading(score, least(readings), shares)
