"""Pair → preference, by the votes of a judge under one principle drawn for the pair.

``logprob`` reads the option letters' probabilities at once (Bai et al. 2022, section 4.1, without reasoning); ``cot``
lets the judge reason first, greedily, and then reads the letter after a forced beginning of the answer (Lee et al. 2023,
section 2.1.2). Both orders are asked and averaged unless told otherwise (Lee et al. 2023, section 2.1.1; Bai et al. ask
one order). What cannot be read has a status and no probability; it never becomes a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cai.flow import Ask
from cai.models import Request
from cai.rows import Pair, Preference, Status, Vote
from constitution import ask as asking
from constitution import draw, read
from constitution.model import Principle

REASONED = {"cot": True, "logprob": False}


@dataclass(frozen=True, slots=True)
class Label:
    """The ``label`` block.

    Attributes:
        method: "cot" or "logprob".
        orders: "both", or "one" (drawn for each pair).
        disagree: what orders that disagree give: "drop" (status inconsistent) or "average" (after Lee et al. 2023).
        clamp: bounds of the probability; None means (0.4, 0.6) for cot, as published, and no bounds for logprob.
        tie: a probability closer than this to one half is a tie.
        floor: the least probability that the option letters must hold together.
        max_tokens: of the reasoning; 512 in Lee et al.
        exemplars: how many of the constitution's exemplars to show; None shows all.
    """

    model: str
    method: str = "cot"
    orders: str = "both"
    disagree: str = "drop"
    clamp: tuple[float, float] | None = None
    tie: float = 0.01
    floor: float = 0.1
    max_tokens: int = 512
    exemplars: int | None = None


async def label(row: Pair, want: Label, ask: Ask) -> Preference:
    """A pair's votes and the probability they give."""
    principle = draw.for_judgment(ask.constitution, ask.rng)
    first = ask.rng.choice(("ab", "ba"))
    orders = (first,) if want.orders == "one" else ("ab", "ba")
    votes = tuple([await _vote(row, order, principle, want, ask) for order in orders])
    status = settle(votes, want)
    p_a = _mean(votes) if status in ("ok", "tie", "inconsistent") else None
    return Preference(row.id, row, votes, p_a, clamped(p_a, want) if status == "ok" else None, status)


def settle(votes: Sequence[Vote], want: Label) -> Status:
    """The status of the whole: that of the first vote that could not be read, else what the probabilities say."""
    for vote in votes:
        if vote.p_a is None:
            return vote.status
    sides = {vote.p_a > 0.5 for vote in votes if vote.p_a is not None and vote.p_a != 0.5}
    if len(sides) > 1 and want.disagree == "drop":
        return "inconsistent"
    return "tie" if abs(_mean(votes) - 0.5) < want.tie else "ok"


def clamped(p_a: float | None, want: Label) -> float | None:
    """The probability within the block's bounds."""
    low, high = want.clamp or ((0.4, 0.6) if want.method == "cot" else (0.0, 1.0))
    return None if p_a is None else min(max(p_a, low), high)


def _mean(votes: Sequence[Vote]) -> float:
    read_ones = [vote.p_a for vote in votes if vote.p_a is not None]
    return sum(read_ones) / len(read_ones)


async def _vote(row: Pair, order: str, principle: Principle, want: Label, ask: Ask) -> Vote:
    answers = (row.a.text, row.b.text) if order == "ab" else (row.b.text, row.a.text)
    reasoning = REASONED[want.method]
    messages = asking.judgment(ask.constitution, principle, row.messages, answers, reasoning, want.exemplars)
    seed = ask.seed()
    vote = Vote(principle.id, order, want.method, ask.model.name, seed, "unparsed")
    begin = asking.ANSWER_BEGINS
    if reasoning:
        request = Request(
            tuple(messages), max_tokens=want.max_tokens, temperature=0.0, stop=("The answer is",), seed=seed
        )
        reply = await ask(request)
        vote = replace(vote, rationale=reply.texts[0].strip())
        status = _unusable(vote.rationale, reply.finishes[0])
        if status:
            return replace(vote, status=status)
        begin = f"{vote.rationale}\n\n{begin}"
    reply = await ask(Request(tuple(messages), choices=asking.CHOICES, begin=begin, temperature=0.0))
    return _read(vote, reply.choice_logprobs, want)


def _unusable(rationale: str, finish: str) -> Status | None:
    if not rationale:
        return "unparsed"
    if read.is_refusal(rationale):
        return "refused"
    return "truncated" if finish == "length" else None


def _read(vote: Vote, logprobs: read.Logprobs, want: Label) -> Vote:
    p_first = read.verdict(logprobs, want.floor)
    mass = read.mass(logprobs)
    if p_first is None:
        return replace(vote, answer_mass=mass, status="unparsed")
    p_a = p_first if vote.order == "ab" else 1 - p_first
    return replace(vote, p_a=p_a, answer_mass=mass, status="tie" if p_a == 0.5 else "ok")
