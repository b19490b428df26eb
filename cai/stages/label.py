"""Pair → preference, by the votes of a judge under one principle drawn for the pair, or under all of them.

``logprob`` reads the option letters' probabilities at once (Bai et al. 2022, section 4.1, without reasoning); ``cot``
lets the judge reason first, greedily, and then reads the letter after a forced beginning of the answer (Lee et al. 2023,
section 2.1.2). Both orders are asked and averaged unless told otherwise (Lee et al. 2023, section 2.1.1; Bai et al. ask
one order). What cannot be read has a status and no probability; it never becomes a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from cai.flow import Ask
from cai.models import Request
from cai.rows import Drop, Pair, Preference, Status, Vote
from constitution import ask as asking
from constitution import draw, read
from constitution.model import Constitution, Principle

REASONED = {"cot": True, "logprob": False}


@dataclass(frozen=True, slots=True)
class Label:
    """The ``label`` block.

    Attributes:
        method: "cot" or "logprob".
        choice: how the principle is chosen, see ``constitution.draw``; under "all", each has its votes and those that
            settle are averaged.
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
    choice: str = "uniform"
    orders: str = "both"
    disagree: str = "drop"
    clamp: tuple[float, float] | None = None
    tie: float = 0.01
    floor: float = 0.1
    max_tokens: int = 512
    exemplars: int | None = None


async def label(row: Pair, want: Label, ask: Ask) -> Preference | Drop:
    """A pair's votes and the probability they give."""
    principles = chosen(row, want, ask.constitution, ask.rng)
    if not principles:
        return Drop(row.id, "no_principle_applies")
    return await judge(row, principles, want, ask)


def chosen(row: Pair, want: Label, constitution: Constitution, rng: Random) -> tuple[Principle, ...]:
    """The principles of a comparison; the first thing that a row draws from its generator."""
    return draw.for_judgment(constitution, row.about, want.choice, rng)


async def judge(row: Pair, principles: Sequence[Principle], want: Label, ask: Ask) -> Preference:
    """A pair compared under each of these principles."""
    first = ask.rng.choice(("ab", "ba"))
    orders = (first,) if want.orders == "one" else ("ab", "ba")
    votes = [[await _vote(row, order, principle, want, ask) for order in orders] for principle in principles]
    status, p_a = settle(votes, want)
    label = clamped(p_a, want) if status == "ok" else None
    return Preference(row.id, row, tuple(vote for under in votes for vote in under), p_a, label, status)


def settle(votes: Sequence[Sequence[Vote]], want: Label) -> tuple[Status, float | None]:
    """The status of the whole and P(a), from the votes under each principle.

    What settles under its own principle is averaged; where nothing does, the first principle's votes say why.
    """
    under_each = [_settle(under, want) for under in votes]
    settled = [p_a for status, p_a in under_each if status in ("ok", "tie") and p_a is not None]
    if not settled:
        return under_each[0]
    mean = sum(settled) / len(settled)
    return "tie" if abs(mean - 0.5) < want.tie else "ok", mean


def _settle(votes: Sequence[Vote], want: Label) -> tuple[Status, float | None]:
    """One principle's votes: the status of the first that could not be read, else what the probabilities say."""
    for vote in votes:
        if vote.p_a is None:
            return vote.status, None
    mean = sum(vote.p_a or 0.0 for vote in votes) / len(votes)
    sides = {vote.p_a > 0.5 for vote in votes if vote.p_a is not None and vote.p_a != 0.5}
    if len(sides) > 1 and want.disagree == "drop":
        return "inconsistent", mean
    return "tie" if abs(mean - 0.5) < want.tie else "ok", mean


def clamped(p_a: float | None, want: Label) -> float | None:
    """The probability within the block's bounds."""
    low, high = want.clamp or ((0.4, 0.6) if want.method == "cot" else (0.0, 1.0))
    return None if p_a is None else min(max(p_a, low), high)


async def _vote(row: Pair, order: str, principle: Principle, want: Label, ask: Ask) -> Vote:
    answers = (row.a.text, row.b.text) if order == "ab" else (row.b.text, row.a.text)
    reasoning = REASONED[want.method]
    style = asking.Style(want.exemplars, ask.model.format, reasoning)
    asked = asking.judgment(ask.constitution, principle, row.messages, answers, style)
    seed = ask.seed()
    vote = Vote(principle.id, order, want.method, ask.model.name, seed, "unparsed")
    begin = asking.ANSWER_BEGINS
    if reasoning:
        request = Request(
            asked.messages,
            asked.prompt,
            max_tokens=want.max_tokens,
            temperature=0.0,
            stop=(*asked.stop, "The answer is"),
            seed=seed,
        )
        reply = await ask(request)
        vote = replace(vote, rationale=reply.texts[0].strip())
        status = _unusable(vote.rationale, reply.finishes[0])
        if status:
            return replace(vote, status=status)
        begin = f"{vote.rationale}\n\n{begin}"
    last = Request(asked.messages, asked.prompt, choices=asking.CHOICES, begin=asked.begin(begin), temperature=0.0)
    reply = await ask(last)
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
