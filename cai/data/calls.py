"""Tools in a file's conversations → the keys of messages, see ``constitution.tools``. The forms that are known:

- *calls*: ``tool_calls`` of the OpenAI protocol, with or without its wrapping; ``function_call`` beside a turn's words; parts of
  the type ``tool_use``; a turn of the speaker ``function_call`` or ``tool_call``; ``<tool_call>…</tool_call>`` within a text.
- *results*: turns of a speaker that is a program; parts of the type ``tool_result``; ``<tool_response>…</tool_response>``.
- *definitions*: a list, or its JSON, of objects with a name and parameters, each in the OpenAI protocol's wrapping or bare.

Arguments are an object or its JSON. Calls without an id are numbered, and results without one answer the calls before them in
their order. What is of no such form is a reason to leave its row out.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from cai.data.notation import Unusable
from constitution.tools import CALLS, DEFINITIONS, RESULT, Call, Definition, FunctionDefinition, Message

CALLING = ("function_call", "tool_call", "tool_calls", "function-call")
"""Speakers whose words are a call."""
RESULTS = ("tool", "function", "ipython", "observation", "environment", "function_response", "tool_response", "tools")
"""Speakers whose words are what a tool gave."""
PARTS = ("tool_use", "tool_call", "tool_result", "tool_response")
"""Types of parts of a turn that are no words."""
Utterance = tuple[Message, list[Call]]
"""A message, and the calls that it makes."""
_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_RESPONSE = re.compile(r"\A\s*<tool_response>\s*(.*?)\s*</tool_response>\s*\Z", re.DOTALL)


def definitions(value: object) -> Message:
    """The message that tells of the tools.

    Raises:
        Unusable: it is no list of definitions.
    """
    tools = _parse(value, "the tools")
    if not isinstance(tools, list) or not tools:
        raise Unusable("unreadable_tools", "the tools are no list of definitions")
    return {"role": DEFINITIONS, "content": json.dumps(list(map(_definition, tools)), ensure_ascii=False)}


def _definition(tool: object) -> Definition:
    own = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(own, Mapping) or not isinstance(own.get("name"), str) or not own["name"]:
        raise Unusable("unreadable_tools", "one of the tools has no name")
    value = next((own[key] for key in ("parameters", "input_schema", "arguments") if own.get(key)), {})
    schema = _parse(value, "a tool's parameters")
    if not isinstance(schema, Mapping):
        raise Unusable("unreadable_tools", f"the parameters of the tool {own['name'][:40]} are no object")
    if schema and "properties" not in schema:  # parameter → what it is, without the words of JSON Schema
        schema = {"type": "object", "properties": dict(schema)}
    name, description = own["name"], str(own.get("description") or "")
    function: FunctionDefinition = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def calls(turn: Mapping[str, object], words: str, role: str) -> tuple[str, list[Call]]:
    """A turn's words without its calls, and these.

    Args:
        words: its words.
        role: who speaks, as the file says it.

    Raises:
        Unusable: it holds a call that cannot be read.
    """
    if role in CALLING:
        return "", list(_calls(words))
    value = turn.get("tool_calls") or turn.get("function_call")
    entries = list(_calls(value)) if value else []
    parts = turn.get("content")
    if isinstance(parts, Sequence) and not isinstance(parts, str):
        entries += [
            _call(each) for each in parts if isinstance(each, Mapping) and each.get("type") in ("tool_use", "tool_call")
        ]
    if tags := _TAGGED.findall(words):
        entries += [call for each in tags for call in _calls(each)]
        words = _TAGGED.sub("", words).strip()
    return words, entries


def results(content: object, words: Callable[[object], str]) -> list[Message]:
    """The messages of what tools gave, of those parts of a turn that are such.

    Args:
        words: a part's content → its text; raises Unusable.
    """
    parts = content if isinstance(content, list) else []
    blocks = [each for each in parts if isinstance(each, dict) and each.get("type") in ("tool_result", "tool_response")]
    return [result(each, words(each.get("content") or "")) for each in blocks]


def is_response(words: str) -> bool:
    """Whether a turn's words are what a tool gave, whoever is said to say it."""
    return _RESPONSE.match(words) is not None


def result(turn: Mapping[str, object], words: str) -> Message:
    """The message of what a tool gave."""
    match = _RESPONSE.match(words)
    fields = {"name": turn.get("name"), "tool_call_id": turn.get("tool_call_id") or turn.get("tool_use_id")}
    names = {key: value for key, value in fields.items() if isinstance(value, str) and value}
    return {"role": RESULT, "content": match[1] if match else words, **names}


def with_ids(turns: Sequence[Utterance]) -> tuple[Message, ...]:
    """The messages with their calls, each of which has an id that its result names.

    Raises:
        Unusable: a result answers no call.
    """
    messages, queue, count = list[Message](), list[Call](), 0
    for message, entries in turns:
        for each in entries:
            count += 1
            each["id"] = each["id"] or f"call_{count}"
        queue += entries
        if entries:
            message = {**message, CALLS: json.dumps(entries, ensure_ascii=False)}
        if message["role"] == RESULT:
            message = _with_id(message, queue)
        messages.append(message)
    return tuple(messages)


def _with_id(message: Message, queue: list[Call]) -> Message:
    """The result with the id of its call, which waits no more."""
    call_id, name = message.get("tool_call_id"), message.get("name")
    matches = [each for each in queue if each["id"] == call_id] if call_id else queue
    matches = [each for each in matches if each["function"]["name"] == name] or matches
    if not matches:
        raise Unusable("unreadable_tools", "a tool's result stands in it that answers no call")
    call = matches[0]
    queue.remove(call)
    return {**message, "tool_call_id": call["id"], "name": call["function"]["name"]}


def _calls(value: object) -> Iterator[Call]:
    data = _parse(value, "a call")
    yield from map(_call, data if isinstance(data, list) else [data])


def _call(value: object) -> Call:
    """A call in the form of the OpenAI protocol; its id is empty where it has none."""
    own = value.get("function", value) if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(own, Mapping) or not isinstance(own.get("name"), str):
        raise Unusable("unreadable_tools", "the call of a tool in it names none")
    raw = next((own[key] for key in ("arguments", "input", "parameters") if own.get(key) is not None), {})
    arguments = _parse(raw, "a call's arguments")
    if not isinstance(arguments, Mapping):
        raise Unusable("unreadable_tools", f"what {own['name'][:40]} is called with is no object")
    number = value.get("id") or value.get("tool_call_id") or ""
    text = json.dumps(arguments, ensure_ascii=False)
    return {"id": str(number), "type": "function", "function": {"name": own["name"], "arguments": text}}


def _parse(value: object, what: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value or "{}")
    except (ValueError, RecursionError):
        raise Unusable("unreadable_tools", f"{what} in it cannot be read: no JSON") from None
