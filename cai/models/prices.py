"""What tokens cost, and what a request may cost at the most before its answer is there."""

from collections.abc import Mapping, Sequence

from cai.models.asked import AskedAs
from cai.models.forcing import BUDGET
from cai.models.types import Model, Request
from cai.models.verdicts import thinks

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


def most(price: Price, request: Request, model: Model) -> float:
    """What the answer may cost: a token is one byte at the least, and each sample may be as long as is allowed.

    So it is two to four times what such an answer costs in English. A model that thinks may be asked once more, to answer after
    a thought that took all it might.
    """
    texts = [*(message["content"] for message in request.messages), request.prompt, request.begin]
    asked = sum(len(text.encode()) for text in texts) + len(request.tokens) + FRAME * (1 + len(request.messages))
    said = 0 if request.score else 1 if request.choices else request.max_tokens
    if said > 1 and (thought := _thought(request, model)):
        asked, said = 2 * asked + thought, 2 * said + thought
    return cost(price, (request.n * asked, 0, request.n * said))


def _thought(request: Request, model: Model) -> int:
    """Tokens that a thought may take."""
    if request.budget is not None or not thinks(model):
        return request.budget or 0
    said = model.spec.thinking if isinstance(model, AskedAs) else BUDGET
    return said["budget"] if isinstance(said, Mapping) else BUDGET
