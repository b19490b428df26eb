"""How likely each choice is as a judge's answer: by its log-probability, or by the share of several answers that say it.

By log-probability the answer's beginning is forced and one token's distribution is read; a judge that thinks does so first,
and its thought is closed before anything is forced. A judge whose first token cannot be read is asked several times to end
with a line in a fixed form, see ``samples``; nothing is forced there, as a judge that is made to choose shows no doubt. What
cannot be read is no answer; where that is more than half, there is no verdict.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from cai.flow.ask import Ask
from cai.judge.methods.samples import STATUSES, read_samples
from cai.models.forcing import CLOSED
from cai.models.replies import THINKING
from cai.models.types import Reply, Request
from cai.models.verdicts import draws, gives_logprobs, thinks
from cai.store.votes import DRAWN, LOGPROBS, SAMPLED, STRUCTURED, Status, Vote
from constitution import forms
from constitution.forms import Form
from constitution.turns import Rendered


class Wanted(Protocol):
    """What of a stage's block decides how a choice is read.

    Attributes:
        floor: the least probability that the choices must hold together.
        verdict, verdicts, temperature, max_tokens: see ``Judging``.
    """

    @property
    def floor(self) -> float: ...

    @property
    def verdict(self) -> str: ...

    @property
    def verdicts(self) -> int: ...

    @property
    def temperature(self) -> float | None: ...

    @property
    def max_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a judge said and thought before its verdict; of one that said nothing yet it is not known that it thought.

    Attributes:
        tokens: the least that a request has which holds the thought; 0 where it is not known.
    """

    text: str = ""
    thought: str = ""
    tokens: int = 0

    @classmethod
    def of(cls, reply: Reply, number: int, text: str) -> "Reasoning":
        """One sample of a reply, of which ``text`` is to stand before the verdict."""
        thought = reply.samples[number].thinking
        if not thought or not reply.tokens_in or len(reply.samples) > 1 or CLOSED in reply.counts:
            return cls(text, thought)  # of several samples and closed thoughts the tokens are those of several requests
        spent = reply.tokens_out * len(thought) / len(thought + "".join(reply.texts))
        return cls(text, thought, reply.tokens_in + int(spent / 2))


@dataclass(frozen=True, slots=True)
class Draw:
    """How samples are drawn.

    Attributes:
        count: how many; as many as wanted unless given.
        seed: of the first; the next of the row's unless given.
    """

    count: int = 0
    seed: int | None = None


NOTHING, USUAL = Reasoning(), Draw()


@dataclass(frozen=True, slots=True)
class Distribution:
    """How likely each choice is.

    Attributes:
        shares: choice → its probability among the choices; one that was not among the likeliest tokens is missing.
        mass: the probability that they held together, or the share of the samples that could be read.
        kind, samples, read, structured: as of a vote.
        text, thinking: what was said and thought, each once.
        status: what is wrong where no verdict can be made of it.
    """

    shares: Mapping[str, float]
    mass: float
    kind: str
    samples: int = 0
    read: int = 0
    structured: int = 0
    text: str = ""
    thinking: str = ""
    status: Status = "ok"

    def on(self, vote: Vote, p_a: float | None = None) -> Vote:
        """The vote with how it was read, and its probability or why it has none."""
        status = vote.status if self.status == "ok" else self.status
        return replace(
            vote,
            answer_mass=self.mass,
            kind=self.kind,
            samples=self.samples,
            read=self.read,
            structured=self.structured,
            rationale=_once((vote.rationale, self.text)) if self.text else vote.rationale,
            thinking=_once((vote.thinking, self.thinking)) if self.thinking else vote.thinking,
            p_a=p_a,
            status=status if p_a is None else "tie" if p_a == 0.5 else "ok",
        )


async def distribution(
    question: Rendered, form: Form, want: Wanted, ask: Ask, reasoning: Reasoning = NOTHING, draw: Draw = USUAL
) -> Distribution:
    """The distribution of the choices of a form as the judge's answer, however it can be had.

    Args:
        reasoning: what the judge said already, and thought.
    """
    request = choosing(question, form, reasoning)
    if await is_sampled(request, want, ask):
        return await by_samples(question, form, want, ask, draw)
    if reasoning == NOTHING and thinks(ask.model) and ask.model.continues:
        reasoning, wrong = await _thought(question, want, ask)
        if wrong:
            return Distribution({}, 0.0, LOGPROBS, thinking=reasoning.thought, status=wrong)
        request = choosing(question, form, reasoning)
    return await by_logprobs(request, want.floor, ask, reasoning)


def choosing(question: Rendered, form: Form, reasoning: Reasoning = NOTHING) -> Request:
    """What asks for the choices' log-probabilities after the forced beginning of their line."""
    begin = question.begin(f"{reasoning.text}\n\n{form.before}" if reasoning.text else form.before)
    return Request(
        question.messages,
        question.prompt,
        choices=form.choices,
        begin=begin,
        temperature=0.0,
        thought=reasoning.thought,
    )


async def is_sampled(request: Request, want: Wanted, ask: Ask) -> bool:
    """Whether this judge's verdicts are sampled, rather than read from the answer to a request as ``choosing`` makes it.

    Raises as ``Model.ask``.
    """
    if want.verdict != "auto":
        return want.verdict in DRAWN
    if thinks(ask.model) and not ask.model.continues:
        return True
    return not await gives_logprobs(ask.model, request)


async def by_logprobs(request: Request, floor: float, ask: Ask, reasoning: Reasoning = NOTHING) -> Distribution:
    """Read off the first token after the forced beginning (Bai et al. 2022, section 4.1).

    Args:
        request: as ``choosing`` makes it, with what was said.
    """
    reply = await ask(request)
    if reasoning.thought and 0 < reply.tokens_in < reasoning.tokens:  # the model's template leaves thoughts out
        ask.counts["thoughts_left_out"] += 1
    masses = {choice: math.exp(value) for choice, value in reply.choice_logprobs.items()}
    mass = sum(masses.values())
    if mass < floor or mass == 0:
        return Distribution({}, mass, LOGPROBS, thinking=reasoning.thought, status="unparsed")
    shares = {choice: p / mass for choice, p in masses.items()}
    return Distribution(shares, mass, LOGPROBS, thinking=reasoning.thought)


async def by_samples(question: Rendered, form: Form, want: Wanted, ask: Ask, draw: Draw = USUAL) -> Distribution:
    """Read from several answers, see ``samples``; where less than half can be read, the commonest reason is the status."""
    asked = question.with_ending(forms.instruction(ask.constitution, form))
    reply = await ask(_sampling(asked, want, ask, draw))
    readings = await read_samples(asked, reply, form, want.verdict, want.max_tokens, ask)
    choices = Counter(each.choice for each in readings if each.choice)
    unread = Counter(each.why for each in readings if not each.choice)
    structured = sum(each.structured for each in readings)
    ask.counts.update({"verdicts_sampled": len(readings)} | {f"verdicts_{why}": n for why, n in unread.items()})
    ask.counts.update({"verdicts_structured": structured} if structured else {})
    count, status = choices.total(), "ok"
    if 2 * count < len(readings):
        status = STATUSES[unread.most_common(1)[0][0]]
    shares = {choice: n / count for choice, n in choices.items()} if status == "ok" else {}
    numbers = count / len(readings), STRUCTURED if structured else SAMPLED, len(readings), count, structured
    return Distribution(shares, *numbers, _once(reply.texts), _once(reply.thinking), status)


def _sampling(question: Rendered, want: Wanted, ask: Ask, draw: Draw) -> Request:
    heat = 1.0 if want.temperature is None else want.temperature
    seed = ask.seed() if draw.seed is None else draw.seed
    count = draw.count or want.verdicts if draws(ask.model) else 1  # at a temperature of 0 one says what all would
    return Request(question.messages, question.prompt, count, want.max_tokens, heat, stop=question.stop, seed=seed)


async def _thought(question: Rendered, want: Wanted, ask: Ask) -> tuple[Reasoning, Status | None]:
    """What the judge thinks before it answers, and why that serves for nothing; its answer is not read here."""
    request = Request(question.messages, question.prompt, 1, want.max_tokens, 0.0, stop=question.stop, seed=ask.seed())
    reply = await ask(request)
    reasoning = Reasoning.of(reply, 0, "")
    finish = reply.samples[0].finish
    if finish == THINKING:
        ask.counts["verdicts_cut_while_thinking"] += 1
        return reasoning, "truncated"
    return reasoning, "refused" if finish == "content_filter" else None


def _once(texts: Iterable[str]) -> str:
    """Texts one below the other, each of them once."""
    return "\n\n".join(dict.fromkeys(filter(None, map(str.strip, texts))))
