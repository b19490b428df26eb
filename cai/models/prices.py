"""What tokens cost, and what a request may cost at the most before its answer is there."""

import json
import math
from collections.abc import Mapping, Sequence

from cai.models.forcing import BUDGET
from cai.models.roles import RoleModel
from cai.models.types import Model, Request
from cai.models.verdicts import thinks

Price = Mapping[str, float]
"""Of a million tokens: ``in``, ``out`` and, where they are cheaper, ``cached``."""

SINGLY = " (singly)"
"""After the name of a role that is asked in batches: what it was asked without one, which costs twice as much."""
ASKED_SINGLY = "asked_singly"
"""A reply is counted so that a batch was to give and did not."""
BATCH_SHARE = 0.5
"""What batches cost of it, at OpenAI and Anthropic."""
FRAME = 64
"""Tokens at the most that a template puts around a conversation, and around each of its messages."""
BINDING = 1000
"""Tokens at the most by which a server tells a model of a form or a tool that it is bound to."""


def cost(price: Price, tokens: Sequence[int]) -> float:
    """What tokens cost: in (the cached ones among them), cached, out; nothing where the role has no price."""
    if not price:
        return 0.0
    tokens_in, cached, out = tokens
    fresh = max(tokens_in - cached, 0) * price["in"] + cached * price.get("cached", price["in"])
    return (fresh + out * price["out"]) / 1e6


def priced(role: str, price: Price, batch: bool) -> dict[str, Price]:
    """A role's price, of its batches where it is asked in such, and then of what it is asked singly."""
    alone = {key: each / BATCH_SHARE for key, each in price.items()}
    return ({role: price, f"{role}{SINGLY}": alone} if batch else {role: price}) if price else {}


def size(request: Request) -> int:
    """The bytes of what is asked: a token is one byte at the least, in any language."""
    texts = (request.messages, request.prompt, request.begin, request.thought)
    return len(json.dumps(texts, ensure_ascii=False, default=str).encode("utf-8", "replace")) + len(request.tokens)


def most(price: Price, request: Request, model: Model, density: float = 1.0) -> float:
    """What the answer may cost: each sample may be as long as is allowed.

    A model that thinks may be asked once more, to answer after a thought that took all it might.

    Args:
        density: tokens of a byte at the most.
    """
    tokens_in = math.ceil(size(request) * density) + FRAME * (1 + len(request.messages))
    tokens_in += BINDING + len(str(request.options).encode()) if request.options else 0
    out = 0 if request.score else 1 if request.choices else request.max_tokens
    if out > 1 and (thought := _thought(request, model)):
        tokens_in, out = 2 * tokens_in + thought, 2 * out + thought
    return cost(price, (request.n * tokens_in, 0, request.n * out))


def _thought(request: Request, model: Model) -> int:
    """Tokens that a thought may take."""
    if request.budget is not None or not thinks(model):
        return request.budget or 0
    thinking = model.spec.thinking if isinstance(model, RoleModel) else BUDGET
    return thinking["budget"] if isinstance(thinking, Mapping) else BUDGET
