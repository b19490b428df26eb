"""Budget forcing: a thought that its budget cut off is closed by us, and the model asked to go on with its answer.

After Muennighoff et al. 2025 (s1, section 3.1), who append the end of a thought once its budget is spent. Only where a
server goes on from a forced beginning, word for word, and its template takes a thought within one; elsewhere such an answer
stays cut off while thinking.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

from cai.models.refusals import Refused
from cai.models.replies import THINKING
from cai.models.types import Reply, Request

CLOSED = "thoughts_closed"
"""A reply is counted so of which a thought was closed, so that its tokens are those of several requests."""
BUDGET = 4096
"""Tokens that a thought may take where nobody says."""


async def close_thoughts(
    reply: Reply, request: Request, tags: tuple[str, str], ask: Callable[[Request], Awaitable[Reply]]
) -> Reply:
    """The reply with an answer to each thought that was cut off.

    Args:
        request: what it answers.
        tags: what opens and closes a thought of this model.
        ask: answers a request; what is refused leaves the thought as it is.
    """
    for place, sample in enumerate(reply.samples):
        if sample.finish == THINKING and sample.thinking:
            thought = f"{tags[0]}\n{sample.thinking.strip()}\n{tags[1]}\n\n"
            seed = None if request.seed is None else request.seed + place
            more = replace(request, n=1, begin=thought, budget=None, seed=seed)
            try:
                reply = _with(reply, place, await ask(more))
            except Refused:  # a template that takes no thought in what it is to go on from
                return reply
    return reply


def _with(reply: Reply, place: int, answer: Reply) -> Reply:
    """The reply with its sample at a place answered; its tokens count twice, as they were asked twice."""
    # A parser that saw no thought closed takes all for one.
    said = answer.samples[0]
    text = said.text or said.thinking
    finish = "length" if said.finish == THINKING and text else said.finish
    sample = replace(reply.samples[place], text=text.strip(), finish=finish)
    return replace(
        reply,
        samples=(*reply.samples[:place], sample, *reply.samples[place + 1 :]),
        tokens_in=reply.tokens_in + answer.tokens_in,
        tokens_cached=reply.tokens_cached + answer.tokens_cached,
        tokens_out=reply.tokens_out + answer.tokens_out,
        counts=Counter(reply.counts) + Counter({CLOSED: 1}) - Counter(cut_while_thinking=1),
    )
