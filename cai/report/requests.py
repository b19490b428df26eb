"""A request as a person reads it, exact to the letter: who says what, what is forced, what is asked for."""

from collections.abc import Iterator

from cai.models.types import Request
from constitution.wording import count


def lines_of(request: Request, start: int = 0) -> Iterator[str]:
    """Its texts, each under a mark of who says it, and last how its answer is drawn.

    Args:
        start: the first of its messages to be shown.
    """
    for message in request.messages[start:]:
        yield f"<<{message['role']}>>\n{message['content']}"
    if request.prompt:
        yield request.prompt
    if request.thought:
        yield f"<<the assistant's own thought>>\n{request.thought}"
    if request.begin:
        yield f"<<the answer begins>>\n{request.begin}"
    yield f"<<{_wish(request)}>>"


def alike(one: Request, other: Request) -> int:
    """How many messages two requests begin with alike."""
    pairs = enumerate(zip(one.messages, other.messages, strict=False))
    least = min(len(one.messages), len(other.messages))
    return next((place for place, (mine, theirs) in pairs if mine != theirs), least)


def _wish(request: Request) -> str:
    if request.choices:
        return f"the next token's probabilities of {', '.join(request.choices)}"
    many = f"{request.n} samples, " if request.n > 1 else ""
    stops = f", stops {list(request.stop)}" if request.stop else ""
    tokens = count(request.max_tokens, "token")
    return f"{many}seed {request.seed}, at most {tokens}, temperature {request.temperature:g}{stops}"


def plain(request: Request) -> dict[str, object]:
    """What of a request is not as usual, as JSON has it."""
    usual = Request()
    keys = (
        "messages",
        "prompt",
        "thought",
        "begin",
        "choices",
        "n",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
    )
    always = ("max_tokens", "temperature", "seed")
    return {key: getattr(request, key) for key in keys if key in always or getattr(request, key) != getattr(usual, key)}
