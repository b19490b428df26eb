"""How likely a model finds an answer that it is given: the mean log-probability of its tokens, in nats a token.

The mean rather than the sum, as a sum prefers whatever is shorter (RRHF, Yuan et al. 2023, section 3.1, ranks answers so).
The answer is read as one that the model would have written: after the very text with which it is asked. The token that ends
its turn is not counted, as not every server shows it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cai.errors import RowError
from cai.flow.ask import Ask
from cai.models.token_logprobs import NoLikelihoods
from cai.models.types import Message, Reply, Request
from constitution import ask as asking
from constitution.turns import CHAT


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A given answer's log-probability, in nats, and its tokens."""

    logprob: float
    tokens: int

    @property
    def mean(self) -> float:
        """Nats a token; never above 0."""
        return self.logprob / self.tokens


async def likelihoods(messages: Sequence[Message], answers: Sequence[str], ask: Ask) -> list[Likelihood]:
    """How likely the model finds each of several answers to one conversation.

    Raises:
        NoLikelihoods: it cannot tell (``cai.models.token_logprobs``).
        RowError: an answer has no token, or its place among what was given cannot be told.
    """
    asked = asking.answer(messages, ask.model.format)
    request = Request(asked.messages, asked.prompt, max_tokens=1, temperature=0.0, likelihood=True)
    if not (before := (await ask(request)).tokens):
        raise NoLikelihoods(ask.model.name)
    space = "" if ask.model.format == CHAT else " "
    return [_of(await ask(replace(request, begin=f"{space}{text.strip()}")), before) for text in answers]


def _of(reply: Reply, before: Sequence[int]) -> Likelihood:
    """What stands after the tokens that ask; by those in common, as a tokenizer may join the last of them to the answer."""
    same = next(
        (n for n, pair in enumerate(zip(before, reply.tokens, strict=False)) if pair[0] != pair[1]), len(before)
    )
    count = len(reply.tokens) - same
    if count < 1 or same < len(before) - 1 or len(reply.logprobs) < count:
        raise RowError("no_likelihood", "the answer's tokens cannot be told from those that ask for it")
    logprob = math.fsum(reply.logprobs[-count:])
    if not math.isfinite(logprob):
        raise RowError("no_likelihood", "the answer's log-probability is no number")
    return Likelihood(logprob, count)
