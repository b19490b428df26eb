"""Yes/no facts about each answer, added up by weight (rule-based rewards, Mu et al. 2024, section 4).

A principle's ``propositions`` are checked one by one on each answer alone. With P(yes) normalised over Yes and No, an
answer's score is Σ weight·P(yes), and P(a) = σ(s_a − s_b). The paper fits its weights on answers of known order; here the
author gives them, and a calibration scales their sum.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cai.flow import Ask
from cai.methods.voting import ALONE, begun, by_scores
from cai.models import Request
from cai.rows import Pair, Vote
from constitution import judging, read
from constitution.model import Principle, Proposition

if TYPE_CHECKING:
    from cai.stages.label import Label


async def propositions(row: Pair, principle: Principle, orders: Sequence[str], want: "Label", ask: Ask) -> list[Vote]:
    """One vote, whatever the orders; its rationale lists what was found true of each answer."""
    vote = begun(principle, ALONE, want, ask)
    scores, masses, lines = [0.0, 0.0], [], []
    for each in principle.propositions:
        found = [await _true(each, row, text, ask) for text in (row.a.text, row.b.text)]
        masses += [mass for _, mass in found]
        if min(masses) < want.floor or min(masses) == 0:
            return [replace(vote, answer_mass=min(masses), rationale="\n".join(lines))]
        lines.append(f"{each.says} a {found[0][0]:.2f}, b {found[1][0]:.2f}, weight {each.weight:g}")
        scores = [score + each.weight * p for score, (p, _) in zip(scores, found, strict=True)]
    return [by_scores(replace(vote, answer_mass=min(masses), rationale="\n".join(lines)), scores)]


async def _true(proposition: Proposition, row: Pair, answer: str, ask: Ask) -> tuple[float, float]:
    """P(yes) among yes and no, and the probability that both hold."""
    asked = judging.statement(ask.constitution, proposition.says, row.messages, answer, ask.model.format)
    choices, begin = (judging.YES, judging.NO), asked.begin(judging.ANSWER_BEGINS)
    request = Request(asked.messages, asked.prompt, choices=choices, begin=begin, temperature=0.0)
    logprobs = (await ask(request)).choice_logprobs
    mass = read.mass(logprobs, choices)
    return (read.mass(logprobs, (judging.YES,)) / mass if mass else 0.0), mass
