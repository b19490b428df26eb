"""The servers that people have, as mocks: what each lists, answers, refuses and errs with.

Written after their documentation and, of those that are open, after their source (vLLM 0.31, SGLang, llama.cpp, Ollama); the ids
and the words that are said are ours.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

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


def gpt5(body: Body) -> Wrong | None:
    """What GPT-5 does not take."""
    limit = ("max_tokens", " Use 'max_completion_tokens' instead.")
    for key, more in (limit, ("stop", ""), ("top_p", ""), ("logprobs", "")):
        if wrong := unsupported(body, key, f"Unsupported parameter: '{key}' is not supported with this model.{more}"):
            return wrong
    if body.get("temperature", 1) != 1:
        words = "'temperature' does not support 0.5 with this model. Only the default (1) value is supported."
        return unsupported(body, "temperature", f"Unsupported value: {words}")
    if body.get("reasoning_effort") == "none":
        words = "'reasoning_effort' does not support 'none' with this model. Supported values are: 'minimal', 'low'."
        return unsupported(body, "reasoning_effort", f"Unsupported value: {words}")
    return None


def mandatory(body: Body) -> Wrong | None:
    """What OpenRouter says of a model that always thinks."""
    error = {"message": "Reasoning is mandatory for this endpoint and cannot be disabled.", "code": 400}
    return (400, {"error": error}) if body.get("reasoning", {}).get("enabled") is False else None


def always(body: Body) -> Wrong | None:
    """What Gemini's door says of a model that always thinks; its errors come in a list."""
    words = "Logprobs is not enabled for models/gemini-2.5-pro" if body.get("logprobs") else ""
    if body.get("reasoning_effort") in ("none", "minimal"):
        words = "Budget 0 is invalid. This model only works in thinking mode."
    return (400, [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}]) if words else None


def adaptive(body: Body) -> Wrong | None:
    """What Claude 4.7 and later do not take."""
    if body.get("thinking", {}).get("type") in ("enabled", "disabled"):
        words = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" instead.'
        return claude(400, "invalid_request_error", words)
    if "temperature" in body:
        return claude(400, "invalid_request_error", "`temperature` is deprecated for this model.")
    return None


def unmapped(body: Body) -> Wrong | None:
    """What LiteLLM says of keys that a provider's API does not have."""
    keys = [key for key in ("reasoning_effort", "logprobs", "top_logprobs") if key in body]
    words = f"litellm.UnsupportedParamsError: anthropic does not support parameters: {keys}, for model=claude"
    return unsupported(body, keys[0], words) if keys else None


def claude(status: int, kind: str, words: str) -> Wrong:
    """An error of Anthropic's."""
    return status, {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_011"}


def parser_missing(body: Body) -> Wrong | None:
    """What vLLM says where it was started without a parser of thoughts."""
    words = "thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser"
    error = {"message": words, "type": "BadRequestError", "param": None, "code": 400}
    return (400, {"error": error}) if "thinking_token_budget" in body else None


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
SERVERS: dict[str, Server] = {
    "OpenAI, GPT-5": Server(
        listed("gpt-5-mini", "system"),
        "gpt-5-mini",
        chat(
            {"content": "Yes.", "refusal": None, "annotations": []},
            "stop",
            {
                "prompt_tokens": 1200,
                "completion_tokens": 210,
                "total_tokens": 1410,
                "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0},
            },
            model="gpt-5-mini-2025-08-07",
            service_tier="default",
        ),
        {**SAID, "tokens_in": 1200, "tokens_cached": 1024, "tokens_out": 210, "tokens_thought": 192, "thinking": ()},
        gpt5,
        (
            (
                replace(OFF, stop=("\n\n",)),
                {"max_completion_tokens": 64, "max_tokens": None, "stop": None, "reasoning_effort": "minimal"},
            ),
            (ON, {"max_completion_tokens": 2064, "reasoning_effort": "medium"}),
        ),
        (
            "the limit goes as max_completion_tokens",
            "answers are cut here at their stops",
            "top_p 1 is left to it",
            "its thinking cannot be switched off, so that it is asked for minimal effort",
        ),
        (
            ((429, told("Rate limit reached for gpt-5-mini on tokens per min", "tokens", "rate_limit_exceeded")), BUSY),
            ((503, told("Slow down", "service_unavailable_error", "slow_down")), BUSY),
            ((500, told("The server had an error", "server_error", None)), PASSING),
            ((400, told(TOO_LONG, "invalid_request_error", "context_length_exceeded")), LONG),
            ((400, told("Invalid prompt: flagged as violating our policy", "x", "invalid_prompt")), ROW),
            ((401, told("Incorrect API key provided", "x", "invalid_api_key")), ALL + ": check the key"),
            (
                (429, told("You exceeded your current quota", "insufficient_quota", "project_spend_limit_exceeded")),
                ALL + ": add to the account",
            ),
            ((404, told("The model `gpt-5-mini` does not exist", "x", "model_not_found")), ALL + ": check `model`"),
        ),
        samples=True,
        ends=FILTER_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict":"A"}', "refusal": None, "annotations": []}, "stop", TOKENS)),
    ),
    "vLLM, with a parser of thoughts": Server(
        listed("qwen3", "vllm", max_model_len=32768, root="qwen3"),
        "qwen3",
        chat(
            {"content": "\n\nYes.", "reasoning": "\nRye is a cereal.\n", "refusal": None, "function_call": None},
            "stop",
            {
                "prompt_tokens": 30,
                "total_tokens": 50,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 16},
                "completion_tokens_details": {"reasoning_tokens": 14},
            },
            model="qwen3",
            prompt_logprobs=None,
        ),
        {
            **{"texts": ("\n\nYes.",), "finishes": ("stop",), "thinking": ("\nRye is a cereal.\n",)},
            **{"tokens_in": 30, "tokens_cached": 16, "tokens_out": 20, "tokens_thought": 14},
        },
        sent=(
            (PLAIN, {"chat_template_kwargs": None, "reasoning_effort": None}),
            (OFF, {**kwargs(False), "max_tokens": 64, "thinking_token_budget": None}),
            (ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": 2000}),
            (replace(ON, thinking=""), {"chat_template_kwargs": None, "thinking_token_budget": 2000}),
        ),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            ((400, told(TOO_LONG, "BadRequestError", 400)), LONG),
            ((404, told("The model `qwen3` does not exist.", "NotFoundError", 404)), ALL + ": check `model`"),
            ((500, told("EngineCore encountered an issue", "InternalServerError", 500)), PASSING),
        ),
        samples=True,
        likeliest=LETTERS,
        ends={**CHAT_ENDS, "repetition": "length"},
        bound=(CHOICES, chat({"content": "A", "reasoning": None, "refusal": None}, "stop", TOKENS)),
    ),
    "vLLM, without a parser": Server(
        listed("qwen3", "vllm"),
        "qwen3",
        chat(
            {"content": "<think>\nRye is a cereal.\n</think>\n\nYes."},
            "stop",
            {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50},
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_cached": 0, "tokens_out": 20, "tokens_thought": 16},
        parser_missing,
        ((ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": None}),),
        ("it takes no bound for a thought, which shares the limit of tokens with its answer",),
        samples=True,
        likeliest=LETTERS,
        ends=CHAT_ENDS,
        # A release that knows no list of choices by this name leaves it out, and takes a schema.
        bound=(SCHEMA, chat({"content": '{ "verdict": "A" }'}, "stop", TOKENS)),
    ),
    "vLLM, gpt-oss": Server(
        listed("openai/gpt-oss-20b", "vllm"),
        "openai/gpt-oss-20b",
        chat(
            {"content": None, "reasoning": "The user asks"},
            "length",
            {
                "prompt_tokens": 90,
                "completion_tokens": 64,
                "total_tokens": 154,
                "completion_tokens_details": {"reasoning_tokens": 64},
            },
            model="openai/gpt-oss-20b",
        ),
        {**SPENT, "thinking": ("The user asks",), "tokens_in": 90, "tokens_out": 64, "tokens_thought": 64},
        sent=((OFF, kwargs(False)),),
        notes=(
            "it thinks although its thinking was switched off",
            "a thought took all 64 tokens of its answer to a greeting; give it more (max_tokens), or lessen its "
            "thinking (extra_body)",
        ),
        samples=True,
        likeliest=CHANNELS,
        errors=(
            ((400, told(TOO_LONG, "BadRequestError", 400)), LONG),
            ((500, told("unexpected tokens remaining in message header", "InternalServerError", 500)), PASSING),
        ),
        ends={"length": "thinking", "tool_calls": "tool_calls"},
        judge=chat({"content": "The answer is: (A)", "reasoning": "The user asks"}, "stop", {"prompt_tokens": 90}),
        bound=(CHOICES, chat({"content": "A", "reasoning": "The first one."}, "stop", TOKENS)),
    ),
    "SGLang": Server(
        listed("glm", "sglang", root="glm", max_model_len=131072),
        "glm",
        chat(
            {"content": "Yes.", "reasoning_content": "Rye is a cereal.", "tool_calls": None},
            "stop",
            {"prompt_tokens": 30, "total_tokens": 50, "completion_tokens": 20, "prompt_tokens_details": None}
            | {"reasoning_tokens": 15},
            model="glm",
            metadata={"weight_version": "default"},
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_cached": 0, "tokens_out": 20, "tokens_thought": 15},
        sent=(
            (OFF, {**kwargs(False), "thinking_token_budget": None}),
            (ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": None}),
        ),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            (
                (
                    400,
                    {
                        "object": "error",
                        "message": "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
                        "type": "BadRequestError",
                        "param": None,
                        "code": 400,
                    },
                ),
                LONG,
            ),
            ((503, {"object": "error", "message": "The request queue is full.", "type": "x", "code": 503}), BUSY),
        ),
        samples=True,
        likeliest=THOUGHTS,
        ends=CHAT_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict": "A"}', "reasoning_content": None}, "stop", TOKENS)),
    ),
    "llama.cpp": Server(
        listed("qwen3.gguf", "llamacpp", meta={"n_ctx_train": 40960}),
        "qwen3.gguf",
        chat(
            {"content": "Yes.", "reasoning_content": "Rye is a cereal."},
            "stop",
            {
                "completion_tokens": 20,
                "prompt_tokens": 30,
                "total_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 29},
            },
            model="qwen3.gguf",
            system_fingerprint="b6400",
            timings={"cache_n": 29, "prompt_n": 1, "predicted_n": 20},
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_cached": 29, "tokens_out": 20, "tokens_thought": 16},
        sent=((OFF, kwargs(False)), (ON, {**kwargs(True), "max_tokens": 2064, "thinking_token_budget": None})),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            ((503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}), BUSY),
            (
                (
                    400,
                    {
                        "error": {
                            "code": 400,
                            "message": "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
                            "type": "exceed_context_size_error",
                            "n_prompt_tokens": 5000,
                            "n_ctx": 4096,
                        }
                    },
                ),
                LONG,
            ),
            (
                (401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}),
                ALL + ": check the key",
            ),
        ),
        samples=True,
        likeliest=THOUGHTS,
        ends=CHAT_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict": "A"}'}, "stop", TOKENS)),
    ),
    "Ollama": Server(
        listed("qwen3:8b", "library"),
        "qwen3:8b",
        chat(
            {"content": "Yes.", "reasoning": "Rye is a cereal."},
            "stop",
            {"prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50},
            model="qwen3:8b",
            system_fingerprint="fp_ollama",
        ),
        {**SAID, **THOUGHT, "tokens_in": 30, "tokens_out": 20, "tokens_thought": 16},
        sent=(
            (OFF, {"reasoning_effort": "none", "max_tokens": 64}),
            (ON, {"reasoning_effort": "medium", "max_tokens": 2064}),
        ),
        notes=("it thinks although its thinking was switched off",),
        errors=(
            ((503, told("server busy, please try again.  maximum pending requests exceeded", "api_error", None)), BUSY),
            ((400, told("the input length exceeds the context length", "invalid_request_error", None)), LONG),
            (
                (404, told("model 'qwen3:8b' not found, try pulling it first", "not_found_error", None)),
                ALL + ": check `model`",
            ),
        ),
        likeliest=THOUGHTS,
        ends={**CHAT_ENDS, "load": "unknown"},
        bound=(SCHEMA, chat({"content": '{\n  "verdict": "A"\n}'}, "stop", TOKENS)),
    ),
    "Ollama, a model that does not think": Server(
        listed("llama3:latest", "library"),
        "llama3",
        chat({"content": "Yes."}, "length", {"prompt_tokens": 30, "completion_tokens": 64, "total_tokens": 94}),
        {"texts": ("Yes.",), "finishes": ("length",), "thinking": (), "tokens_out": 64, "tokens_thought": 0},
        lambda body: (
            (400, told('"llama3" does not support thinking', "invalid_request_error", None))
            if body.get("reasoning_effort", "none") != "none"
            else None
        ),
        ((OFF, {"reasoning_effort": "none"}), (ON, {"reasoning_effort": None, "max_tokens": 2064})),
        ("it takes no switch that puts thinking on",),
        likeliest=LETTERS,
        # Its cloud takes a schema, and keeps to the call of a tool alone.
        bound=(FUNCTION, chat(CALL, "tool_calls", TOKENS)),
    ),
    "Gemini's OpenAI door": Server(
        listed("models/gemini-2.5-pro", "google", display_name="Gemini 2.5 Pro"),
        "gemini-2.5-pro",
        # A thought is counted in the total alone.
        chat(
            {"content": "Yes."},
            "stop",
            {"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553},
            model="gemini-2.5-pro",
        ),
        {**SAID, "tokens_in": 20, "tokens_out": 533, "tokens_thought": 382},
        always,
        (
            (OFF, {"reasoning_effort": "low", "max_tokens": 64}),
            (ON, {"reasoning_effort": "medium", "max_tokens": 2064}),
        ),
        ("its thinking cannot be switched off, so that it is asked for low effort",),
        (
            (
                (
                    429,
                    [
                        {
                            "error": {
                                "code": 429,
                                "message": "You exceeded your current quota, please check your plan and billing details. "
                                "Please retry in 36.2s.",
                                "status": "RESOURCE_EXHAUSTED",
                            }
                        }
                    ],
                ),
                BUSY,
            ),
            ((503, [{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}]), BUSY),
            (
                (
                    400,
                    [
                        {
                            "error": {
                                "code": 400,
                                "message": "The input token count (5000) exceeds the maximum number of tokens allowed (4096).",
                                "status": "INVALID_ARGUMENT",
                            }
                        }
                    ],
                ),
                LONG,
            ),
            (
                (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]),
                ALL + ": check the key",
            ),
        ),
        ends={**FILTER_ENDS, "content_filter: PROHIBITED_CONTENT": "content_filter"},
        bound=(SCHEMA, chat({"content": '{"verdict":"A"}'}, "stop", TOKENS)),
    ),
    "OpenRouter": Server(
        {"data": [{"id": "z-ai/glm-5", "canonical_slug": "z-ai/glm-5", "supported_parameters": ["reasoning"]}]},
        "z-ai/glm-5",
        chat(
            {
                "content": "Yes.",
                "refusal": None,
                "reasoning": None,
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Rye is ", "signature": None, "index": 0},
                    {"type": "reasoning.summary", "summary": "a cereal.", "index": 1},
                    {"type": "reasoning.encrypted", "data": "EqoB", "index": 2},
                    {"type": "reasoning.server_tool_call", "index": 3},
                ],
            },
            "stop",
            {
                "prompt_tokens": 30,
                "completion_tokens": 20,
                "total_tokens": 50,
                "cost": 0.0001,
                "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 17},
            },
            provider="Z.AI",
            model="z-ai/glm-5",
        ),
        {**SAID, "thinking": ("Rye is \na cereal.",), "tokens_in": 30, "tokens_cached": 8, "tokens_out": 20}
        | {"tokens_thought": 17},
        mandatory,
        (
            (OFF, {"reasoning": {"effort": "minimal"}, "max_tokens": 64}),
            (ON, {"reasoning": {"enabled": True, "max_tokens": 2000}, "max_tokens": 2064}),
        ),
        ("its thinking cannot be switched off, so that it is asked for minimal effort",),
        (
            (
                (
                    200,
                    {
                        "error": {
                            "code": 502,
                            "message": "Provider returned error",
                            "metadata": {"raw": "upstream died"},
                        }
                    },
                ),
                PASSING,
            ),
            (
                (200, {"choices": [{"finish_reason": "error", "error": {"code": 429, "message": "Slow down"}}]}),
                BUSY,
            ),
            ((403, {"error": {"code": 403, "message": "flagged", "metadata": {"flagged_input": "rye"}}}), ROW),
            ((402, {"error": {"code": 402, "message": "Insufficient credits"}}), ALL + ": add to the account"),
            ((404, {"error": {"code": 404, "message": "No endpoints found for z-ai/glm-5."}}), ALL + ": check `model`"),
        ),
        ends=FILTER_ENDS,
        bound=(
            {**SCHEMA, "provider": {"require_parameters": True}},
            chat({"content": '{"verdict":"A"}'}, "stop", TOKENS),
        ),
    ),
    "LiteLLM": Server(
        listed("claude-sonnet", "openai"),
        "claude-sonnet",
        chat(
            {
                "content": "Yes.",
                "reasoning_content": None,
                "thinking_blocks": [{"type": "thinking", "thinking": "Rye is a cereal.", "signature": "EqoB"}],
                "tool_calls": None,
            },
            "stop",
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "total_tokens": 2306,
                "prompt_tokens_details": {"cached_tokens": 1920},
                "completion_tokens_details": {"reasoning_tokens": 0},
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 1920,
            },
            model="claude-sonnet",
        ),
        {**SAID, **THOUGHT, "tokens_in": 2006, "tokens_cached": 1920, "tokens_out": 300, "tokens_thought": 240},
        unmapped,
        ((ON, {"reasoning_effort": None, "max_tokens": 2064}),),
        ("it takes no switch that puts thinking on",),
        (
            (
                (
                    429,
                    told(
                        "No deployments available for selected model, Try again in 5 seconds.",
                        "throttling_error",
                        "429",
                    ),
                ),
                BUSY,
            ),
            (
                (
                    400,
                    told(
                        "litellm.ContextWindowExceededError: litellm.BadRequestError: prompt is too long: 5000",
                        None,
                        "400",
                    ),
                ),
                LONG,
            ),
            ((400, told("litellm.ContentPolicyViolationError: blocked", None, "400")), ROW),
            (
                (400, told("Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "budget_exceeded", "400")),
                ALL + ": add to the account",
            ),
        ),
        ends=FILTER_ENDS,
        bound=(SCHEMA, chat({"content": '{"verdict": "A"}', "tool_calls": None}, "stop", TOKENS)),
    ),
    "Anthropic, to Claude 4.5": Server(
        {
            "data": [
                {
                    "type": "model",
                    "id": "claude-haiku-4-5-20251001",
                    "display_name": "Claude Haiku 4.5",
                    "created_at": "x",
                }
            ],
            "has_more": False,
            "first_id": "claude-haiku-4-5-20251001",
            "last_id": "claude-haiku-4-5-20251001",
        },
        "claude-haiku-4-5",
        {
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-4-5-20251001",
            "content": [
                {"type": "thinking", "thinking": "Rye is a cereal.", "signature": "EqoB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "Yes."},
            ],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "stop_details": None,
            "usage": {
                "input_tokens": 21,
                "cache_creation_input_tokens": 9,
                "cache_read_input_tokens": 1000,
                "output_tokens": 300,
                "output_tokens_details": {"thinking_tokens": 280},
            },
        },
        {
            **{**SAID, **THOUGHT, "model": "claude-haiku-4-5-20251001"},
            **{"tokens_in": 1030, "tokens_cached": 1000, "tokens_out": 300, "tokens_thought": 280},
        },
        sent=(
            (
                replace(PLAIN, temperature=0.5, stop=("\n\n", "\n\nHuman:")),
                {"max_tokens": 64, "temperature": 0.5, "stop_sequences": ["\n\nHuman:"], "seed": None, "n": None}
                | {"system": "Be kind."}
                | {"messages": [{"role": "user", "content": "Row: is rye sour?"}], "thinking": None},
            ),
            (OFF, {"thinking": {"type": "disabled"}, "max_tokens": 64, "temperature": None}),
            (
                replace(ON, temperature=0.0),
                {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 2064, "temperature": None},
            ),
            (replace(ON, budget=10), {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1088}),
        ),
        notes=(
            "it thinks although its thinking was switched off",
            "its temperature is 1 while it thinks",
            "a thought has 1,024 tokens, as it takes no bound below that",
        ),
        errors=(
            (claude(529, "overloaded_error", "Overloaded"), BUSY),
            (claude(429, "rate_limit_error", "This request would exceed your organization's rate limit"), BUSY),
            (claude(500, "api_error", "Internal server error"), PASSING),
            (claude(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"), LONG),
            (claude(413, "request_too_large", "Request exceeds the maximum size"), LONG),
            (claude(400, "invalid_request_error", "Output blocked by content filtering policy"), ROW),
            (claude(401, "authentication_error", "invalid x-api-key"), ALL + ": check the key"),
            (
                claude(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
                ALL + ": add to the account",
            ),
            (
                claude(400, "invalid_request_error", "You have reached your specified API usage limits."),
                ALL + ": add to the account",
            ),
            (claude(404, "not_found_error", "model: claude-haiku-4-5"), ALL + ": check `model`"),
        ),
        path="/v1/messages",
        ends={
            **{"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "refusal": "content_filter"},
            **{"model_context_window_exceeded": "length", "tool_use": "tool_calls", "pause_turn": "tool_calls"},
        },
        bound=(FORMAT, blocks({"type": "text", "text": '{"verdict":"A"}'}, end="end_turn")),
    ),
    "Anthropic, Claude 4.7 and later": Server(
        {"data": [{"type": "model", "id": "claude-opus-5", "display_name": "Claude Opus 5"}], "has_more": False},
        "claude-opus-5",
        {
            "type": "message",
            "model": "claude-opus-5",
            "content": [],
            "stop_reason": "refusal",
            "stop_details": {"type": "refusal", "category": "bio", "explanation": None},
            "usage": {"input_tokens": 21, "output_tokens": 2},
        },
        {"texts": ("",), "finishes": ("content_filter",), "tokens_in": 21, "tokens_out": 2, "tokens_thought": 0},
        adaptive,
        (
            (OFF, {"thinking": None, "max_tokens": 64}),
            (ON, {"thinking": {"type": "adaptive", "display": "summarized"}, "max_tokens": 2064}),
        ),
        (
            "it takes no switch that puts thinking off",
            "it takes no bound for a thought, which shares the limit of tokens with its answer",
        ),
        path="/v1/messages",
        judge={
            "type": "message",
            "model": "claude-opus-5",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "EqoB"},
                {"type": "text", "text": "The answer is: (A)"},
            ],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 21, "output_tokens": 90},
        },
        bound=(FORMAT, blocks({"type": "text", "text": '{"verdict": "A"}'}, end="end_turn")),
    ),
}


@asynccontextmanager
async def running(
    server: Server, page: Callable[[Body], web.Response], seconds: float = 0.0
) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """The server's URL, and what it is asked.

    Args:
        seconds: that an answer takes; an error takes none.
    """
    asked: list[web.Request] = []

    async def models(_: web.Request) -> web.Response:
        return web.json_response(server.listed)

    async def exchange(request: web.Request) -> web.Response:
        asked.append(request)
        answer = page(await request.json())
        await asyncio.sleep(seconds if answer.status == 200 else 0)
        return answer

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post(server.path, exchange)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", asked
    finally:
        await runner.cleanup()
