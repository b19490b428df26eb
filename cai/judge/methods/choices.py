"""How likely each choice is as a judge's answer: by its log-probability, or by the share of several answers that say it.

By log-probability the answer's beginning is forced and one token's distribution is read; a judge that thinks does so first,
and its thought is closed before anything is forced. A judge whose first token cannot be read is asked several times to end
with a line in a fixed form, and read strictly from that line; nothing is forced there, as a judge that is made to choose
shows no doubt. What cannot be read is no answer; where that is more than half, there is no verdict.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from cai.flow.ask import Ask
from cai.models.forcing import CLOSED
from cai.models.replies import THINKING
from cai.models.types import Reply, Request
from cai.models.verdicts import draws, gives_logprobs, thinks
from cai.store.votes import LOGPROBS, SAMPLED, Status, Vote
from constitution import forms, read
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
class Said:
    """What a judge said and thought before its verdict; of one that said nothing yet it is not known that it thought.

    Attributes:
        tokens: the least that a request has which holds the thought; 0 where it is not known.
    """

    text: str = ""
    thought: str = ""
    tokens: int = 0

    @classmethod
    def of(cls, reply: Reply, number: int, text: str) -> "Said":
        """One sample of a reply, of which ``text`` is to stand before the verdict."""
        thought = reply.thinking[number] if reply.thinking else ""
        if not thought or not reply.tokens_in or len(reply.texts) > 1 or CLOSED in reply.counts:
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


NOTHING, USUAL = Said(), Draw()


@dataclass(frozen=True, slots=True)
class Distribution:
    """How likely each choice is.

    Attributes:
        shares: choice → its probability among the choices; one that was not among the likeliest tokens is missing.
        mass: the probability that they held together, or the share of the samples that could be read.
        kind, samples, read: as of a vote.
        said, thinking: what was said and thought, each once.
        status: what is wrong where no verdict can be made of it.
    """

    shares: Mapping[str, float]
    mass: float
    kind: str
    samples: int = 0
    read: int = 0
    said: str = ""
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
            rationale=_once((vote.rationale, self.said)) if self.said else vote.rationale,
            thinking=_once((vote.thinking, self.thinking)) if self.thinking else vote.thinking,
            p_a=p_a,
            status=status if p_a is None else "tie" if p_a == 0.5 else "ok",
        )


async def distribution(
    asked: Rendered, form: Form, want: Wanted, ask: Ask, said: Said = NOTHING, draw: Draw = USUAL
) -> Distribution:
    """The distribution of the choices of a form as the judge's answer, however it can be had.

    Args:
        said: what the judge said already, and thought.
    """
    request = choosing(asked, form, said)
    if await is_sampled(request, want, ask):
        return await by_samples(asked, form, want, ask, draw)
    if said == NOTHING and thinks(ask.model) and ask.model.continues:
        said, wrong = await _thought(asked, want, ask)
        if wrong:
            return Distribution({}, 0.0, LOGPROBS, thinking=said.thought, status=wrong)
        request = choosing(asked, form, said)
    return await by_logprobs(request, want.floor, ask, said)


def choosing(asked: Rendered, form: Form, said: Said = NOTHING) -> Request:
    """What asks for the choices' log-probabilities after the forced beginning of their line."""
    begin = asked.begin(f"{said.text}\n\n{form.before}" if said.text else form.before)
    return Request(
        asked.messages, asked.prompt, choices=form.choices, begin=begin, temperature=0.0, thought=said.thought
    )


async def is_sampled(request: Request, want: Wanted, ask: Ask) -> bool:
    """Whether this judge's verdicts are sampled, rather than read from the answer to a request as ``choosing`` makes it.

    Raises as ``Model.ask``.
    """
    if want.verdict != "auto":
        return want.verdict == SAMPLED
    if thinks(ask.model) and not ask.model.continues:
        return True
    return not await gives_logprobs(ask.model, request)


async def by_logprobs(request: Request, floor: float, ask: Ask, said: Said = NOTHING) -> Distribution:
    """Read off the first token after the forced beginning (Bai et al. 2022, section 4.1).

    Args:
        request: as ``choosing`` makes it, with what was said.
    """
    reply = await ask(request)
    if said.thought and 0 < reply.tokens_in < said.tokens:  # the model's template leaves thoughts out
        ask.counts["thoughts_left_out"] += 1
    held = {choice: math.exp(value) for choice, value in reply.choice_logprobs.items()}
    mass = sum(held.values())
    if mass < floor or mass == 0:
        return Distribution({}, mass, LOGPROBS, thinking=said.thought, status="unparsed")
    shares = {choice: p / mass for choice, p in held.items()}
    return Distribution(shares, mass, LOGPROBS, thinking=said.thought)


async def by_samples(asked: Rendered, form: Form, want: Wanted, ask: Ask, draw: Draw = USUAL) -> Distribution:
    """Read from the last lines of several answers; where less than half can be read, the commonest reason is the status."""
    reply = await ask(_sampling(asked.with_ending(forms.instruction(ask.constitution, form)), want, ask, draw))
    said = [_read(text, end, form) for text, end in zip(reply.texts, reply.finishes, strict=True)]
    choices = Counter(choice for choice, _ in said if choice)
    unread = Counter(why for choice, why in said if not choice)
    ask.counts.update({"verdicts_sampled": len(said)} | {f"verdicts_{why}": n for why, n in unread.items()})
    known, status = choices.total(), "ok"
    if 2 * known < len(said):
        status = STATUSES[unread.most_common(1)[0][0]]
    shares = {choice: n / known for choice, n in choices.items()} if status == "ok" else {}
    heard = _once(reply.texts), _once(reply.thinking)
    return Distribution(shares, known / len(said), SAMPLED, len(said), known, *heard, status)


def _sampling(asked: Rendered, want: Wanted, ask: Ask, draw: Draw) -> Request:
    heat = 1.0 if want.temperature is None else want.temperature
    seed = ask.seed() if draw.seed is None else draw.seed
    count = draw.count or want.verdicts if draws(ask.model) else 1  # at a temperature of 0 one says what all would
    return Request(asked.messages, asked.prompt, count, want.max_tokens, heat, stop=asked.stop, seed=seed)


STATUSES: Mapping[str, Status] = {
    "cut_while_thinking": "truncated",
    "truncated": "truncated",
    "refused": "refused",
    "unread": "unparsed",
}
"""Why a sample is no verdict, as the ledger counts it → the status of a vote of which most are so."""


def _read(text: str, finish: str, form: Form) -> tuple[str, str]:
    """The choice that a sample says, or why it says none; one that was cut off may have been about to say something else."""
    if finish == THINKING:
        return "", "cut_while_thinking"
    if finish in ("length", "content_filter"):
        return "", "truncated" if finish == "length" else "refused"
    if choice := form.read(text):
        return choice, ""
    return "", "refused" if read.is_refusal(text) else "unread"


async def _thought(asked: Rendered, want: Wanted, ask: Ask) -> tuple[Said, Status | None]:
    """What the judge thinks before it answers, and why that serves for nothing; its answer is not read here."""
    request = Request(asked.messages, asked.prompt, 1, want.max_tokens, 0.0, stop=asked.stop, seed=ask.seed())
    reply = await ask(request)
    said = Said.of(reply, 0, "")
    if reply.finishes[0] == THINKING:
        ask.counts["verdicts_cut_while_thinking"] += 1
        return said, "truncated"
    return said, "refused" if reply.finishes[0] == "content_filter" else None


def _once(texts: Iterable[str]) -> str:
    """Texts one below the other, each of them once."""
    return "\n\n".join(dict.fromkeys(filter(None, map(str.strip, texts))))
