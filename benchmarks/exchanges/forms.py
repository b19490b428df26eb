"""What exchanges are written with: the form of a server, what several of them say alike, and how one answers a body."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cai.models.types import Request

Body = dict[str, Any]
Wrong = tuple[int, Any]
"""The status of an error, and its page."""
TURNS = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Row: is rye sour?"})
PLAIN = Request(TURNS, max_tokens=64)
BUSY, PASSING, ROW, LONG, ALL = "busy", "passing", "refused_by_server", "context_too_long", "everyone's"


@dataclass(frozen=True)
class Server:
    """A kind of server.

    Attributes:
        listed: its list of models.
        name: of the model.
        answer: to a row, as JSON.
        reply: what of it a ``Reply`` says.
        refuses: what it does not take.
        sent: request → what its body holds; None where a key is not there.
        notes: what a person is told where all of these are asked.
        errors: its errors, and whose they are; for everyone's, words of what a person is told.
        path: where it is asked.
        samples: whether it gives as many as asked, and not one.
        likeliest: of a verdict's first token, with their log-probabilities; nothing where it gives none.
        ends: its words for how an answer ended → what they become.
        judge: its answer to a judge's question; as ever unless told, with a verdict in its last line.
        bound: what of a body binds the answer to a verdict's options, and that answer.
    """

    listed: Any
    name: str
    answer: Body
    reply: Body
    refuses: Callable[[Body], Wrong | None] = lambda body: None
    sent: tuple[tuple[Request, Body], ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[tuple[Wrong, str], ...] = ()
    path: str = "/v1/chat/completions"
    samples: bool = False
    likeliest: tuple[tuple[str, float], ...] = ()
    ends: Mapping[str, str] = field(default_factory=dict)
    judge: Body | None = None
    bound: tuple[Body, Body] = ({}, {})


LETTERS = (("A", -0.3), ("B", -1.4))
THOUGHTS = (("<think>", -0.01), ("Okay", -5.0))
CHANNELS = (("<|channel|>", -0.0), ("A", -17.0))
"""vLLM writes gpt-oss's conversation itself, in which an answer begins with its channel."""


def answered(server: Server, body: Body) -> Body:
    """Its answer to a body, with as many samples and log-probabilities as it gives, and its words counted as tokens."""
    sent, answer = server.bound
    if sent and binds(body, sent):
        return answer
    if "choices" not in server.answer:
        return server.answer
    usage, words = server.answer["usage"], len(json.dumps(body["messages"]).split())
    usage = {**usage, **{key: usage[key] + words for key in ("prompt_tokens", "total_tokens")}}
    top = [{"token": token, "logprob": logprob} for token, logprob in server.likeliest if body.get("logprobs")]
    logprobs = {"content": [{**top[0], "top_logprobs": top[: body["top_logprobs"]]}]} if top else None
    count = body.get("n", 1) if server.samples else 1
    choice = {**server.answer["choices"][0], "logprobs": logprobs}
    return {**server.answer, "choices": [{**choice, "index": number} for number in range(count)], "usage": usage}


def binds(body: Body, sent: Body) -> bool:
    """Whether a body holds what binds an answer, its options in whichever order."""
    body = json.loads(json.dumps(body).replace('["B", "A"', '["A", "B"'))
    return body | sent == body


def unsupported(body: Body, key: str, words: str) -> Wrong | None:
    """OpenAI's refusal of a key."""
    error = {"message": words, "type": "invalid_request_error", "param": key, "code": "unsupported_parameter"}
    return (400, {"error": error}) if key in body else None


def claude(status: int, kind: str, words: str) -> Wrong:
    """An error of Anthropic's."""
    return status, {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_011"}


def chat(message: Body, finish: Any, usage: Any, **more: Any) -> Body:
    """A chat's answer of one sample."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, "logprobs": None}
    return {"id": "x", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage, **more}


def listed(name: str, owner: str, **more: Any) -> Body:
    """A list of one model, as the OpenAI protocol has it."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 1, "owned_by": owner, **more}]}


def told(message: str, kind: str | None, code: Any, **more: Any) -> Body:
    """An error as most servers have it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


OFF, ON = replace(PLAIN, thinking="off"), replace(PLAIN, thinking="on", budget=2000)
THOUGHT = {"thinking": ("Rye is a cereal.",)}
SAID = {"texts": ("Yes.",), "finishes": ("stop",)}
SPENT = {"texts": ("",), "finishes": ("thinking",)}
CHAT_ENDS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
FILTER_ENDS = {**CHAT_ENDS, "content_filter": "content_filter"}


def kwargs(on: bool) -> Body:
    return {"chat_template_kwargs": {"enable_thinking": on, "thinking": on}}


OPTIONS = ["A", "B", "None"]
"""A judge's verdict and the word for none, as the shipped constitutions have them."""
ENUM = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": OPTIONS}},
    "required": ["verdict"],
    "additionalProperties": False,
}
TOKENS = {"prompt_tokens": 40, "completion_tokens": 6, "total_tokens": 46}
SCHEMA = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": ENUM}}
}
CHOICES = {"structured_outputs": {"choice": OPTIONS}}
FORMAT = {"output_config": {"format": {"type": "json_schema", "schema": ENUM}}}
SAYS = "Puts the verdict of the answer on record."
FUNCTION = {
    "tools": [{"type": "function", "function": {"name": "verdict", "description": SAYS, "parameters": ENUM}}],
    "tool_choice": {"type": "function", "function": {"name": "verdict"}},
}
USE = {
    "tools": [{"name": "verdict", "description": SAYS, "input_schema": ENUM}],
    "tool_choice": {"type": "tool", "name": "verdict"},
}
CALL = {
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "verdict", "arguments": '{"verdict":"A"}'}}
    ],
}


def blocks(*content: Body, end: str) -> Body:
    """An answer of Anthropic's."""
    usage = {"input_tokens": 40, "output_tokens": 6}
    return {"type": "message", "model": "claude", "content": list(content), "stop_reason": end, "usage": usage}


TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
