"""OpenAI's chat bodies, read the other way round: what a program sends as ``/v1/chat/completions`` → ``Request``, ``Reply`` → JSON.

Nothing of a body is left out in silence: what a ``Request`` cannot say is refused by its name, as the program's figures would
otherwise be of another question than it asked.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cai.models.types import Message, Reply, Request
from constitution import ask as asking

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SAID = ("model", "messages", "n", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed")
IDLE: Mapping[str, tuple[object, ...]] = {
    "stream": (False,),
    "logprobs": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
"""Keys that ask for nothing with these values."""
UNHEARD = ("user", "metadata", "store", "stream_options", "service_tier", "prompt_cache_key", "safety_identifier")
"""Keys that change no answer."""
ENDS = {"stop": "stop", "length": "length", "thinking": "length", "content_filter": "content_filter"}
"""How an answer ended → OpenAI's word; one whose tokens were all spent on a thought is cut."""


class UnfitBody(ValueError):
    """A body that no ``Request`` can say; the text says which part of it."""


def read(body: Mapping[str, Any], most: int, form: str = "chat") -> Request:
    """What a body asks for.

    Args:
        most: tokens of an answer where the body has no limit.
        form: of the model, "chat" or "transcript".

    Raises:
        UnfitBody: it is none, or asks for what cannot be passed on.
    """
    for key, value in body.items():
        known = key in SAID or key in UNHEARD or value is None or value in IDLE.get(key, ())
        if not known:
            raise UnfitBody(f'"{key}" cannot be passed on to a model of a run')
    messages, begin = _conversation(body.get("messages"))
    rendered = asking.answer(messages, form)
    limit = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    return Request(
        rendered.messages,
        rendered.prompt,
        _whole(body, "n", 1, 1000),
        _whole(body, limit, most, 10**7),
        _number(body, "temperature", 1.0),
        _number(body, "top_p", 1.0),
        (*_stops(body.get("stop")), *rendered.stop),
        None if body.get("seed") is None else _whole(body, "seed", 0, 2**63, 0),
        begin=begin,
    )


def _conversation(data: object) -> tuple[list[Message], str]:
    """The messages before the answer, and the answer's beginning, where the last one is the assistant's."""
    if not isinstance(data, list) or not data:
        raise UnfitBody('"messages" must be a list of messages')
    messages = [_message(each) for each in data]
    if messages[-1]["role"] != "assistant":
        return messages, ""
    return messages[:-1], messages[-1]["content"]


def _message(data: object) -> Message:
    if not isinstance(data, dict) or data.get("role") not in list(ROLES):
        role = data.get("role") if isinstance(data, dict) else data
        raise UnfitBody(f"a message of the role {role!r} cannot be passed on")
    if data.get("tool_calls") or data.get("function_call"):
        raise UnfitBody("tool calls cannot be passed on")
    return {"role": ROLES[data["role"]], "content": _text(data.get("content"))}


def _text(content: object) -> str:
    """A message's content, which may be in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else [content]
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    if len(texts) < len(parts) or not all(isinstance(text, str) for text in texts):
        raise UnfitBody("content that is no text cannot be passed on")
    return "".join(map(str, texts))


def _stops(value: object) -> Sequence[str]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops):
        raise UnfitBody('"stop" must be texts')
    return [each for each in stops if each]


def _whole(body: Mapping[str, Any], key: str, usual: int, high: int, low: int = 1) -> int:
    value = usual if body.get(key) is None else body[key]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UnfitBody(f'"{key}" must be a whole number from {low} to {high}')
    return value


def _number(body: Mapping[str, Any], key: str, usual: float) -> float:
    value = usual if body.get(key) is None else body[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise UnfitBody(f'"{key}" must be a number from 0 to 100')
    return float(value)


def write(reply: Reply, name: str, number: int) -> dict[str, Any]:
    """A reply as OpenAI's chat has it, a thought in ``reasoning_content``.

    Args:
        name: under which the model was asked.
        number: of the answer, for its id.
    """
    choices = []
    for index, sample in enumerate(reply.samples):
        message = {"role": "assistant", "content": sample.text}
        message |= {"reasoning_content": sample.thinking} if sample.thinking else {}
        end = ENDS.get(sample.finish, "stop")
        choices.append({"index": index, "message": message, "finish_reason": end, "logprobs": None})
    tokens_in, cached, out = reply.spent
    usage = {"prompt_tokens": tokens_in, "completion_tokens": out, "total_tokens": tokens_in + out}
    usage |= {"prompt_tokens_details": {"cached_tokens": cached}} if cached else {}
    about = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": int(time.time()), "model": name}
    return {**about, "choices": choices, "usage": usage}


def refusal(text: str, code: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """An error's page."""
    return {"error": {"message": text, "type": kind, "code": code, "param": None}}
