"""Yes/no facts about each answer, added up by weight (rule-based rewards, Mu et al. 2024, section 4).

A principle's ``propositions`` are checked one by one on each answer alone. With P(yes) normalised over Yes and No, an
answer's score is Σ weight·P(yes), and P(a) = σ(s_a − s_b). The paper fits its weights on answers of known order; here the
author gives them, and a calibration scales their sum.
"""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.single import Prompted, Reading, Wanted
from cai.judge.methods.votes import ALONE, begun, by_scores
from cai.judge.settings import Judging
from cai.models.types import Request
from cai.store.rows import Pair, Vote
from constitution import judging, read
from constitution.model import Principle, Proposition


async def propositions(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote, whatever the orders; its rationale lists what was found true of each answer."""
    vote = begun(principle, ALONE, want, ask)
    a, b = [await check_one(row, each.text, principle, want, ask) for each in (row.a, row.b)]
    lines = [
        f"{each.says} a {a.parts[number]:.2f}, b {b.parts[number]:.2f}, weight {each.weight:g}"
        for number, each in enumerate(principle.propositions)
        if number in a.parts and number in b.parts
    ]
    vote = replace(vote, answer_mass=min(a.mass, b.mass), rationale="\n".join(lines))
    return [vote if a.value is None or b.value is None else by_scores(vote, (a.value, b.value))]


async def checked(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> float | None:
    """One answer's Σ weight·P(yes); None where yes and no hold less than the floor for one of the propositions."""
    return (await check_one(row, answer, principle, want, ask)).value


async def check_one(row: Prompted, answer: str, principle: Principle, want: Wanted, ask: Ask) -> Reading:
    """P(yes) of each proposition, by its number; ends at the first that cannot be read."""
    found: dict[int, float] = {}
    least = 1.0
    for number, each in enumerate(principle.propositions):
        found[number], mass = await _true(each, row, answer, ask)
        least = min(least, mass)
        if mass < want.floor or mass == 0:
            return Reading(None, least, {key: p for key, p in found.items() if key != number})
    return Reading(sum(principle.propositions[key].weight * p for key, p in found.items()), least, found)


async def _true(proposition: Proposition, row: Prompted, answer: str, ask: Ask) -> tuple[float, float]:
    """P(yes) among yes and no, and the probability that both hold."""
    asked = judging.statement(ask.constitution, proposition.says, row.messages, answer, ask.model.format)
    choices, begin = (judging.YES, judging.NO), asked.begin(judging.ANSWER_BEGINS)
    request = Request(asked.messages, asked.prompt, choices=choices, begin=begin, temperature=0.0)
    logprobs = (await ask(request)).choice_logprobs
    mass = read.mass(logprobs, choices)
    return (read.mass(logprobs, (judging.YES,)) / mass if mass else 0.0), mass
