"""What tokens cost, and what a request may cost at the most before its answer is there."""

from collections.abc import Mapping, Sequence

from cai.models.types import Request

Price = Mapping[str, float]
"""Of a million tokens: ``in``, ``out`` and, where they are cheaper, ``cached``."""

FRAME = 64
"""Tokens at the most that a template puts around a conversation, and around each of its messages."""


def cost(price: Price, tokens: Sequence[int]) -> float:
    """What tokens cost: in (the cached ones among them), cached, out; nothing where the role has no price."""
    if not price:
        return 0.0
    asked, cached, out = tokens
    fresh = max(asked - cached, 0) * price["in"] + cached * price.get("cached", price["in"])
    return (fresh + out * price["out"]) / 1e6


def most(price: Price, request: Request) -> float:
    """What the answer may cost: a token is one byte at the least, and each sample may be as long as is allowed.

    So it is two to four times what such an answer costs in English.
    """
    texts = [*(message["content"] for message in request.messages), request.prompt, request.begin]
    asked = sum(len(text.encode()) for text in texts) + len(request.tokens) + FRAME * (1 + len(request.messages))
    said = 1 if request.choices else request.max_tokens + (request.budget or 0)
    return cost(price, (request.n * asked, 0, 0 if request.score else request.n * said))
