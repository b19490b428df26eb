"""Harmless requests: what decides whether a server takes a request, and one of an innocent conversation that is alike in it."""

import json
from dataclasses import replace

from cai.models.types import Message, Request
from constitution.tools import CALLS, DEFINITIONS, RESULT, has_tools

Shape = tuple[object, ...]
HARMLESS = {"system": "You are a helpful assistant.", "assistant": "Hello!", "user": "Please say hello."}
TOOL_NAME = "name_of_the_tool"
TOOL = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": "Tells the time.",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string", "description": "Of the clock."}}},
    },
}
"""The one that servers and chat templates are tried with."""


def shape(request: Request) -> Shape:
    """What decides whether a server takes a request, beside what it says and how many turns it has."""
    system = tools = False
    for message in request.messages:  # in one go, as each request is looked at so
        system = system or message["role"] == "system"
        tools = tools or message["role"] in (DEFINITIONS, RESULT) or CALLS in message
    return (
        *(system, not request.messages, request.score, bool(request.tokens), request.choices),
        *(bool(request.begin), "\n\n" in request.begin, bool(request.thought), request.seed is None, request.n),
        request.max_tokens,
        *(request.temperature, request.top_p, len(request.stop), repr(request.more) if request.more else ""),
        *(request.thinking, request.budget, tools, len(request.options), request.likelihood),
    )


def harmless(request: Request) -> Request:
    """A request of the same shape, of an innocent conversation in the order that all servers know.

    So what only a long conversation is refused for, or one whose turns stand in an odd order, shows as the row's.
    """
    begin = request.begin
    if "\n\n" in begin:
        begin = f"Both say hello.\n\n{begin.rsplit(chr(10) * 2, 1)[1]}"
    prompt = "Human: Please say hello.\n\nAssistant:" if request.prompt else ""
    thought = "They both say hello." if request.thought else ""
    texts = {"messages": _innocent(request), "prompt": prompt, "begin": begin, "thought": thought}
    return replace(request, **texts, tokens=request.tokens[:1])


def wordier(request: Request, role: str) -> Request:
    """The same with more words in the messages of a role, for one sample: where it has no more tokens, they are not shown."""
    messages = [
        {**each, "content": f"{each['content']} " * 2} if each["role"] == role else each for each in request.messages
    ]
    return replace(request, messages=tuple(messages), n=1)


def _innocent(request: Request) -> tuple[Message, ...]:
    roles = [message["role"] for message in request.messages]
    if not roles:
        return ()
    tools = [{"role": DEFINITIONS, "content": json.dumps([TOOL])}] if has_tools(request.messages) else []
    turns = ["system"] if "system" in roles else []
    turns += ["user", "assistant"] if "assistant" in roles else ["user"]
    turns += ["user"] if turns[-1] == "assistant" and not request.score else []
    *before, last = [{"role": role, "content": HARMLESS[role]} for role in turns]
    if request.choices:  # else a letter would be unlikely, as where a thought comes first
        last["content"] += f" If you are asked for a choice, it may be any of these: {', '.join(request.choices)}."
    return (*tools, *before, last)
