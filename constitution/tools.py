"""Tools in a conversation, and how a reader is shown them.

A message is text by its keys, here as everywhere: the definitions of tools stand first, as JSON in a message of the role
``tools``; an assistant's calls are JSON in its ``tool_calls``, in the form of the OpenAI protocol; what a tool gave is a
message of the role ``tool``. ``wire`` makes of these what servers and chat templates take.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict, cast

Message = dict[str, str]
DEFINITIONS, RESULT, CALLS = "tools", "tool", "tool_calls"
LONGEST = 4000
"""Characters of a tool's result or a call that a critic or judge is shown; of longer ones the middle is left out."""
TAIL = 1000
"""Of those, how many are the end's."""


class FunctionDefinition(TypedDict):
    """A function that may be called; ``parameters`` are a JSON schema."""

    name: str
    description: NotRequired[str]
    parameters: NotRequired[Mapping[str, object]]


class Definition(TypedDict):
    """A tool that may be called."""

    type: str
    function: FunctionDefinition


class FunctionCall(TypedDict):
    """What is called; ``arguments`` are JSON, or an object where a chat template is to show them."""

    name: str
    arguments: object


class Call(TypedDict):
    """The call of a tool."""

    id: str
    type: str
    function: FunctionCall


def definitions(messages: Sequence[Message]) -> list[Definition]:
    """The tools that the assistant may call; none where the conversation has none."""
    return json.loads(messages[0]["content"]) if messages and messages[0]["role"] == DEFINITIONS else []


def without_definitions(messages: Sequence[Message]) -> Sequence[Message]:
    """The conversation without the definitions."""
    return messages[1:] if messages and messages[0]["role"] == DEFINITIONS else messages


def has_tools(messages: Sequence[Message]) -> bool:
    """Whether there are tools, or calls of some."""
    return any(each["role"] in (DEFINITIONS, RESULT) or CALLS in each for each in messages)


def features(messages: Sequence[Message]) -> tuple[str, ...]:
    """What a conversation has, in the words of ``About.has``."""
    roles = [each["role"] for each in messages]
    flags = {"system": "system" in roles, "turns": roles.count("user") > 1, "tools": has_tools(messages)}
    return tuple(name for name, has in flags.items() if has)


def everything(message: Message) -> str:
    """All that a message says, calls of tools included."""
    return f"{message['content']} {message.get(CALLS, '')}"


def wire(messages: Sequence[Message], as_objects: bool = False) -> list[dict[str, object]]:
    """The conversation as servers take it, without the definitions.

    Args:
        as_objects: whether a call's arguments are an object, as chat templates want them, rather than JSON, as servers do.
    """
    turns = without_definitions(messages)
    return [_turn(each, as_objects) if CALLS in each else cast("dict[str, object]", each) for each in turns]


def _turn(message: Message, as_objects: bool) -> dict[str, object]:
    calls = json.loads(message[CALLS])
    for each in calls if as_objects else ():
        each["function"]["arguments"] = json.loads(each["function"]["arguments"])
    return {**message, CALLS: calls}


def turn_text(message: Message) -> str:
    """What a turn says to who reads the conversation as a text: its words, then its calls, one a line."""
    if message["role"] == DEFINITIONS:
        return "\n".join(_signature(each) for each in json.loads(message["content"]))
    if message["role"] == RESULT:
        return excerpt(message["content"])
    if CALLS not in message:
        return message["content"]
    calls = [each["function"] for each in json.loads(message[CALLS])]
    lines = [f"[calls {each['name']}({excerpt(each['arguments'])})]" for each in calls]
    return "\n".join([message["content"], *lines] if message["content"] else lines or [""])


def speaker(message: Message) -> str:
    """Who speaks, for the same reader."""
    names = {"user": "Human", "assistant": "Assistant", "system": "System", DEFINITIONS: "Tools", RESULT: "Tool"}
    name = names.get(message["role"], message["role"])
    return f"{name} {message['name']}" if message.get("name") and message["role"] == RESULT else name


def excerpt(text: str) -> str:
    """A text of at most ``LONGEST`` characters, or its beginning and its end with what is left out counted."""
    if len(text) <= LONGEST:
        return text
    left_out = len(text) - LONGEST
    return f"{text[: LONGEST - TAIL]}\n[… {left_out:,} characters left out …]\n{text[-TAIL:]}"


def _signature(tool: Mapping[str, object]) -> str:
    """``name(city, day): what it does``."""
    function = tool.get("function")
    own: Mapping[str, object] = function if isinstance(function, Mapping) else tool
    parameters = own.get("parameters") or {}
    names = ", ".join(parameters.get("properties") or {}) if isinstance(parameters, Mapping) else ""
    about = " ".join(str(own.get("description") or "").split())
    return f"{own['name']}({names})" + (f": {about}" if about else "")
