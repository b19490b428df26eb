"""The one reader of conversations, for prompts and for pairs: a value of a row → messages. The forms that it knows:

- *text*: what the person says; in a column of answers, what the assistant says.
- *messages*: a list of objects with ``role`` and ``content``, or ``from`` and ``value``; one such object; or one object of two
  lists. Content is text, or a list of parts that are all text. Roles are those of ``ROLES``. Or a list of lists of a role and
  a text; or of objects of what was asked and answered (``input`` and ``output``, ``user`` and ``assistant``).
- *transcript*: ``Human: …``, ``Assistant: …``, see ``cai.data.transcripts``.
- *messages as text*: messages in the notation of JSON or Python, as a CSV file has them.

What stands beside a question and belongs to it is ``cai.data.questions``. Contents stay as they are, but for a text's ends.

Calls of tools and what these gave are read by ``cai.data.calls``.

A conversation is read whole or not at all: an image, a call that cannot be read, a turn without text or of an unknown role is
a reason to leave its row out. Only an empty last turn of the assistant's, the one that is to come, goes, and an empty first one
of the system's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cai.data import calls, media, notation, transcripts
from cai.data.notation import Unusable
from cai.data.values import blank, kind, text
from cai.store.rows import Message
from constitution.tools import RESULT
from constitution.visible import invisible

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), USER),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bard", "bing", "bot", "model", "ai"), ASSISTANT),
    **dict.fromkeys(("system", "developer"), SYSTEM),
}
"""What files call who speaks → what we call them."""
TOOLS = (*calls.RESULTS, *calls.CALLING)
"""Speakers that are programs; their turns, and the calls before them, are more than text."""
CALLS = ("<tool_call>", "<tool_response>", "<function_call>", "<functioncall>")
"""How a turn begins that calls a tool, or is what one gave back, in the text of one."""
QUESTION_KEYS, ANSWER_KEYS = (
    ("user", "human", "question", "prompt", "input"),
    ("assistant", "gpt", "answer", "response", "output"),
)
"""Keys of a pair of what was asked and answered, where it is an object."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, and the form that they were read from.

    Attributes:
        columns: which ones they come from.
        unread: columns that may belong to them, in a shape that is not known.
    """

    form: str
    messages: tuple[Message, ...]
    columns: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def read(value: object, speaker: str = USER) -> Conversation:
    """A conversation in any of the forms.

    Args:
        speaker: whose a bare text is.

    Raises:
        Unusable: it is none of them, or would not be whole.
    """
    if isinstance(value, str):
        return _from_text(text(value), speaker)
    if isinstance(value, list | dict):
        return Conversation("messages", _messages(value))
    raise Unusable("no_text", f"expected a text or messages, found {kind(value)}")


def _from_text(words: str, speaker: str) -> Conversation:
    if (data := notation.messages(words)) is not None:
        return Conversation("messages as text", _messages(data))
    if speaker == USER and notation.is_texts(words):
        raise Unusable("no_roles", "is the notation of a list of texts, which does not tell who says what")
    words = words.strip()
    if turns := transcripts.turns(words):
        return Conversation(
            "transcript", _whole([{"role": ROLES[who.lower()], "content": content} for who, content in turns])
        )
    if blank(words):
        raise Unusable("empty_turn", "it is empty")
    return Conversation("text", _whole([{"role": speaker, "content": words}]))


def _messages(value: list[object] | dict[str, object]) -> tuple[Message, ...]:
    turns = _one_by_one(value) if isinstance(value, dict) else value
    if turns and all(isinstance(each, str) for each in turns):
        raise Unusable("no_roles", "a list of texts does not tell who says what; name one, such as `column: turns.0`")
    if turns and all(isinstance(each, dict) and "type" in each and not _role_of(each) for each in turns):
        return _whole([{"role": USER, "content": _content(turns)}])  # the parts of one turn
    if all(isinstance(each, dict) for each in turns) and (pairs := exchanges(turns)):
        return _whole(pairs)
    return _whole(calls.with_ids([utterance for each in _with_roles(turns) for utterance in _utterances(each)]))


def _with_roles(turns: Sequence[object]) -> Sequence[object]:
    """Turns that are lists of a role and a text as objects; otherwise themselves."""
    names = [each[0] if isinstance(each, list) and len(each) == 2 else None for each in turns]
    if not all(isinstance(name, str) and name.strip().lower() in (*ROLES, *TOOLS) for name in names):
        return turns
    return [dict(zip(("role", "content"), each, strict=True)) for each in turns if isinstance(each, list)]


def exchanges(value: object) -> list[Message]:
    """Pairs of what was asked and answered, as turns, of which some may be empty; none where it is something else."""
    pairs = [_exchange(each) for each in value] if isinstance(value, list) and _with_roles(value) is value else []
    texts = [each for pair in pairs for each in pair]
    if not all(pairs) or any(not isinstance(each, str | None) for each in texts):
        return []
    return [{"role": (USER, ASSISTANT)[place % 2], "content": text(each or "")} for place, each in enumerate(texts)]


def _exchange(value: object) -> list[object]:
    """What was asked and what was answered; empty where it is something else."""
    if isinstance(value, dict):
        value = (
            [value[key] for names in (QUESTION_KEYS, ANSWER_KEYS) for key in names if key in value]
            if len(value) == 2
            else []
        )
    return value if isinstance(value, list) and len(value) == 2 else []


def _one_by_one(value: Mapping[str, object]) -> Sequence[object]:
    """One message alone, or an object of two lists, which some files have for a list of objects."""
    for names in (("role", "content"), ("from", "value")):
        roles, contents = (value.get(name) for name in names)
        if isinstance(roles, list) and isinstance(contents, list) and len(roles) == len(contents):
            return [dict(zip(names, each, strict=True)) for each in zip(roles, contents, strict=True)]
    if notation.is_turn(value.keys()):
        return [value]
    raise Unusable(
        "no_text",
        f"is an object with {notation.names(value) or 'nothing'}; name one of its fields, such as `column: a.b`",
    )


def _role_of(turn: Mapping[str, object]) -> object:
    return turn.get("role") or turn.get("from")


def _utterances(turn: object) -> Iterator[calls.Utterance]:
    """What a turn of a file says, with the tools it calls, and what tools gave before it; its words may be empty.

    Raises:
        Unusable: it is more, or less, than what somebody says.
    """
    if not isinstance(turn, dict):
        raise Unusable("no_roles", f"one of its turns is {kind(turn)}, and not an object with role and content")
    role = _role_of(turn)
    name = role.strip().lower() if isinstance(role, str) else ""
    if name not in ROLES and name not in TOOLS:
        speaker = text(role)[:40] if isinstance(role, str) else kind(role)
        raise Unusable("unknown_role", f"who speaks is {speaker}; known: {', '.join(ROLES)}")
    media.check(turn)
    content = next((turn[key] for key in ("content", "value", "text", "parts") if not blank(turn.get(key))), "")
    results = calls.results(content, _content)
    yield from ((each, []) for each in results)
    words = content if name in TOOLS and isinstance(content, str) else _content(content)
    if name in calls.RESULTS or calls.is_response(words):
        yield calls.result(turn, words), []
    elif not results or words:
        words, entries = calls.calls(turn, words, name)
        yield {"role": ASSISTANT if entries and name in TOOLS else ROLES[name], "content": words}, entries


def _content(content: object) -> str:
    if isinstance(content, str) and (data := notation.messages(text(content))) is not None:
        if not isinstance(data, list) or any(isinstance(each, dict) and _role_of(each) for each in data):
            raise Unusable("unreadable_messages", "one of its turns is the notation of further messages")
        content = data
    return "".join(map(_part, content)) if isinstance(content, list) else text(content)


def _part(part: object) -> str:
    if isinstance(part, str):
        return text(part)
    if not isinstance(part, dict):
        raise Unusable("unknown_part", f"one of its parts is {kind(part)}, and no text")
    name = str(part.get("type") or "text")
    media.check({name: True})
    if name in calls.PARTS:  # they are no words, and are read as what they are
        return ""
    if name not in ("text", "input_text", "output_text") or not isinstance(part.get("text"), str):
        raise Unusable("unknown_part", f'one of its parts has the type "{text(name)[:40]}", and no text')
    return text(part["text"])


def _whole(turns: Sequence[Message]) -> tuple[Message, ...]:
    """The turns, without an empty last one of the assistant's, and an empty first one of the system's.

    Raises:
        Unusable: there is none, or one is empty, or needs more than its text.
    """
    if turns and turns[-1]["role"] == ASSISTANT and _speaks(turns[-1]) and invisible(turns[-1]["content"]):
        turns = turns[:-1]
    if turns and turns[0]["role"] == SYSTEM and invisible(turns[0]["content"]):
        turns = turns[1:]
    if not turns or any(invisible(each["content"]) for each in turns if _speaks(each)):
        raise Unusable("empty_turn", "one of its turns is empty" if turns else "it has no turn with text")
    if any(map(_has_stray_call, turns)):
        raise Unusable("tool_call", "a tool is called in it, in a form that is not known")
    for each in turns:
        media.check_places(each["content"])
    return tuple(turns)


def _speaks(turn: Message) -> bool:
    """Whether a turn is words alone: a call needs none, and a tool may give nothing."""
    return turn["role"] != RESULT and calls.CALLS not in turn


def _has_stray_call(turn: Message) -> bool:
    """Whether the mark of a call, or of what one gave, was left in a turn, as where it is never closed."""
    inside = any(each in turn["content"] for each in CALLS) if turn["role"] == ASSISTANT else False
    return _speaks(turn) and (inside or turn["content"].lstrip().startswith(CALLS))
