"""Structured output: an answer that is one of some options, as each kind of server takes that.

The OpenAI protocol has a JSON schema as ``response_format`` (OpenAI, SGLang, llama.cpp, Ollama, Gemini's door, OpenRouter,
LiteLLM), and vLLM beside it a list of choices, after which nothing else can be written, as white space can within JSON. Where
no schema is taken, a tool that has to be called holds it. A server may take all of this and keep to none of it, as Ollama's
cloud does: that shows at a harmless request, whose answer is then none of the options.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cai.models.abilities import CHOICE, REASONING, SCHEMA, TOOL, Abilities
from cai.models.replies import whole
from cai.models.types import Reply, Request, Sample
from constitution.read import is_refusal

KEY = "verdict"
"""The schema's one key, also the name of the schema and of the tool."""
SAYS = "Puts the verdict of the answer on record."


def schema(options: Sequence[str]) -> dict[str, object]:
    """An object that holds one of the options."""
    choice = {"type": "string", "enum": list(options)}
    return {"type": "object", "properties": {KEY: choice}, "required": [KEY], "additionalProperties": False}


def fields(request: Request, now: Abilities) -> dict[str, object]:
    """What binds the answer, in a body of the OpenAI protocol; nothing where none is to be bound, or cannot be."""
    if not request.options or not now.structure:
        return {}
    if now.structure == CHOICE:
        return {"structured_outputs": {"choice": list(request.options)}}
    if now.structure == TOOL:
        function = {"name": KEY, "description": SAYS, "parameters": schema(request.options)}
        tool = {"type": "function", "function": function}
        return {"tools": [tool], "tool_choice": {"type": "function", "function": {"name": KEY}}}
    form = {"type": "json_schema", "json_schema": {"name": KEY, "strict": True, "schema": schema(request.options)}}
    # OpenRouter asks any provider that has the model, unless told that one which leaves this out will not do.
    needs = {"provider": {"require_parameters": True}} if now.switch == REASONING else {}
    return {"response_format": form, **needs}


def block_fields(request: Request, now: Abilities) -> dict[str, object]:
    """The same in a body of Anthropic's."""
    if not request.options or now.structure not in (SCHEMA, TOOL):
        return {}
    if now.structure == SCHEMA:
        return {"output_config": {"format": {"type": "json_schema", "schema": schema(request.options)}}}
    tool = {"name": KEY, "description": SAYS, "input_schema": schema(request.options)}
    return {"tools": [tool], "tool_choice": {"type": "tool", "name": KEY}}


def bound(sample: Sample, options: Sequence[str], call: str = "") -> Sample:
    """A sample whose text is the option that it says, in whatever form; as it was where it says none.

    A model that has to call the tool may decline beside the call: then it has decided nothing, and the text stands.

    Args:
        call: the arguments of the tool that it called instead of saying something, or beside it, as JSON.
    """
    finish = "stop" if sample.finish == "tool_calls" else sample.finish
    for text in (sample.text, call):
        if (option := _option(text.strip())) in options:
            return replace(sample, text=option, finish=finish)
        if is_refusal(text):
            return replace(sample, finish=finish)
    return sample


def bound_each(samples: list[Sample], choices: Sequence[Mapping[str, object]], options: Sequence[str]) -> list[Sample]:
    """The samples of the OpenAI protocol as ``bound`` has them, beside what the server sent; as they are without options."""
    if not options:
        return samples
    return [bound(each, options, _call(choice)) for each, choice in zip(samples, choices, strict=True)]


def _call(choice: Mapping[str, object]) -> str:
    """The arguments of the first tool that a sample of the OpenAI protocol calls; empty where it calls none."""
    message = choice.get("message")
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    first = calls[0] if isinstance(calls, list) and calls else None
    function = first.get("function") if isinstance(first, Mapping) else None
    arguments = function.get("arguments") if isinstance(function, Mapping) else None
    return arguments if isinstance(arguments, str) else ""


def call_of_blocks(blocks: Sequence[object]) -> tuple[list[object], str]:
    """Anthropic's blocks without its calls of tools, and what the first of these was called with, as JSON."""
    calls = [each for each in blocks if isinstance(each, Mapping) and each.get("type") == "tool_use"]
    return [each for each in blocks if each not in calls], json.dumps(calls[0].get("input")) if calls else ""


def ignored(request: Request, reply: Reply, now: Abilities) -> bool:
    """Whether a harmless request shows that a server does not keep to the options: an answer that is whole, and none of them."""
    if not request.options or not now.structure:
        return False
    return any(
        finish in ("stop", "tool_calls", "unknown") and text not in request.options
        for text, finish in zip(reply.texts, reply.finishes, strict=True)
    )


def _option(text: str) -> str:
    """What a text says: the value of the schema's key, or of a JSON text, or else its own words."""
    try:
        value = json.loads(text) if text[:1] in ("{", '"') else text
    except (ValueError, RecursionError):
        return text
    value = value.get(KEY) if isinstance(value, dict) else value
    return whole(value).strip() if isinstance(value, str) else ""
