"""Whether the log-probabilities of choices can be had from a model; where not, its verdicts have to be sampled."""

import math

from cai.errors import RunError, UserError
from cai.models.refusals import Refused
from cai.models.replies import THINKING
from cai.models.token_logprobs import NoLikelihoods
from cai.models.types import Model, Reply, Request

WITHOUT_LOGPROBS = "without_log_probabilities"
"""A reply is counted so that was to hold some and holds none."""
ADVICE = "set `verdict: sampled` where it judges, or name a judge that does, such as one served by vLLM"


class NoLogprobs(UserError):
    """A model gives no log-probabilities by which a verdict could be read.

    Attributes:
        why: what it does instead, after its name.
    """

    def __init__(self, text: str, why: str = "") -> None:
        super().__init__(text)
        self.why = why


async def gives_logprobs(model: Model, request: Request) -> bool:
    """Whether a model gives the log-probabilities of a request's choices; raises as ``Model.ask``.

    A model that may give none finds it out by its own ``gives_logprobs``.
    """
    finds_out = getattr(
        model, "gives_logprobs", None
    )  # for every verdict: a protocol's instance check takes far longer
    return finds_out is None or await finds_out(request)


async def takes_options(model: Model, request: Request) -> bool:
    """Whether a model's answer can be bound to a request's options; raises as ``Model.ask``.

    A model that can finds it out by its own ``takes_options``.
    """
    finds_out = getattr(model, "takes_options", None)
    return finds_out is not None and await finds_out(request)


def thinks(model: Model) -> bool:
    """Whether a model thinks before it answers, so that a verdict is asked for after its thought."""
    return bool(getattr(model, "thinks", False))


def draws(model: Model) -> bool:
    """Whether several samples of a model may differ: not where the role's own temperature is 0."""
    return getattr(getattr(model, "spec", None), "temperature", None) != 0


def look(reply: Reply, role: str, place: str, goes_on: bool) -> None:
    """What of a reply to a harmless request with choices shows that verdicts cannot be read.

    Args:
        goes_on: whether the server goes on from a forced beginning, after which no thought is opened; a letter is then likely
            enough whatever its parser takes the token for, unless it left the beginning out, as vLLM does for gpt-oss.

    Raises:
        NoLogprobs: it gave none, or its first token is that of a thought.
    """
    if reply.counts.get(WITHOUT_LOGPROBS):
        raise without(role, place)
    mass = sum(map(math.exp, reply.choice_logprobs.values()))
    if mass < (0.001 if goes_on else 0.5) and (reply.thinking or THINKING in reply.finishes):
        raise NoLogprobs(
            f"models.{role}: {place} thinks before it answers, so that its first token is no verdict; switch that off "
            "(`thinking: off`), set `verdict: sampled` where it judges, or name another judge",
            "thinks before it answers",
        )


def without(role: str, place: str, words: str = "") -> NoLogprobs:
    """What is said of a server without log-probabilities, with its own words where it has some."""
    return NoLogprobs(
        f"models.{role}: {place} gives no log-probabilities, by which a verdict is read{words}; {ADVICE}",
        "gives no log-probabilities",
    )


def refused(asked: Request, last: Refused, role: str, place: str) -> UserError | RunError:
    """What a server's refusal of a harmless request means for those like it."""
    if asked.choices and "logprob" in last.words.lower():
        return without(role, place, f" ({last})")
    if asked.likelihood and last.of_request:
        return NoLikelihoods(place, f"refuses to be asked for the log-probabilities of an answer ({last})")
    text = f"models.{role}: {place} refuses what would be asked ({last}); {last.advice()}"
    if asked.choices and last.of_request:
        return NoLogprobs(text, f"refuses to be asked for log-probabilities ({last})")
    return RunError(text) if last.status == 402 else UserError(text)
