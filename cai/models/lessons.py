"""An answer as a model learns it: what it is asked, and what it would then have to write.

What is asked is the truth: a model is trained on the very tokens with which it is asked, and learns those of the answer that
follow, the one that ends its turn among them. Many templates show a whole conversation otherwise: they leave out the thought
that they open for an answer, take a system message only before the last turn, or put line breaks behind the end. So the two are
put together here, never cut out of a whole conversation that begins otherwise than what is asked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from cai.errors import RowError
from cai.models.templates import THOUGHT_KEYS, ChatTemplate, Turns, calls_of, thought
from cai.models.thoughts import TAGS, apart
from constitution.tools import definitions, without_definitions

MARK_OF_THOUGHT = "ThoughtGoesHere"
LEAST, MOST = 4, 80
"""Characters by which the place of an answer is found in a whole conversation."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """An answer to be learnt.

    Attributes:
        asked: what a model is asked, to where its answer begins.
        written: what it has to write, up to and with the token that ends its turn.
        prompt, answer: the same as tokens; trained on are those of the answer, and no other.
        ended: whether the answer ends with such a token.
    """

    asked: str
    written: str
    prompt: list[int]
    answer: list[int]
    ended: bool


def lesson(template: ChatTemplate, prompt: Turns, answer: dict[str, Any]) -> Lesson:
    """An answer to a conversation, to be learnt; raises as ``texts``."""
    asked, written, ended = texts(template, prompt, answer)
    before = template.ids(asked)
    return Lesson(asked, written, before, continuation(template, before, asked, written), ended)


def texts(template: ChatTemplate, prompt: Turns, answer: dict[str, Any]) -> tuple[str, str, bool]:
    """What of a lesson is no tokens: what is asked, what is to be written, and whether that ends.

    Raises:
        RowError: the template does not take them, or leaves out what the answer says or thinks.
    """
    if tools := definitions(prompt):
        return texts(template.told(tools), without_definitions(prompt), answer)
    asked, whole = template.asked(prompt), template.whole([*prompt, answer])
    written = whole.removeprefix(asked) if whole.startswith(asked) else _continued(template, prompt, answer, asked)
    if str(answer.get("content") or "").strip() not in written:
        return texts(template, prompt, _parted(answer))
    _check(answer, written)
    return (asked, *_to_end(template, prompt, answer, written))


def thought_tokens(template: ChatTemplate, taught: Lesson, answer: dict[str, Any]) -> int:
    """How many of a lesson's answer tokens stand before its words: those of the thought and what is around it; 0 without one."""
    place = taught.written.rfind(str(answer.get("content") or "").strip()) if thought(answer) else 0
    before = continuation(template, taught.prompt, taught.asked, taught.written[:place]) if place > 0 else []
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(before, taught.answer, strict=False)))


def continuation(template: ChatTemplate, prompt: Sequence[int], asked: str, written: str) -> list[int]:
    """The tokens of an answer, which go on from those that are asked also where a tokenizer would have joined the two.

    Args:
        prompt: the tokens that are asked.
    """
    both = template.ids(asked + written)
    return both[len(prompt) :] if both[: len(prompt)] == [*prompt] else template.ids(written)


def opened(asked: str) -> tuple[str, str] | None:
    """The tags of a thought that the template has opened for the answer; None where it has opened none."""
    text = asked.rstrip()
    return next((tags for tags in TAGS if text.endswith(tags[0])), None)


def closed(asked: str) -> bool:
    """Whether the template has opened a thought for the answer and closed it, so that none is to be had."""
    return asked.rstrip().endswith(tuple(closing for _, closing in TAGS))


def said(asked: str, text: str) -> str:
    """What is said in answer to what is asked, without the thought before it; nothing where that has no end."""
    return apart(text, opened(asked) is not None)[1].strip()


def _continued(template: ChatTemplate, prompt: Turns, answer: dict[str, Any], asked: str) -> str:
    """How an answer goes on from what is asked, where the whole conversation does not begin so."""
    before, _ = template.around(prompt, answer)
    whole = template.whole([*prompt, answer])
    if not before and not opened(asked):  # of a tool call some show no words beside
        return _introduction(asked, whole)
    if not before or not whole.startswith(before):
        raise RowError("opened_otherwise", "the chat template does not show where the answer begins")
    words = whole[len(before) :]
    if opened(asked):
        return _thought_through(template, prompt, answer, asked) + words
    return words if closed(asked) else _introduction(asked, before) + words


def _thought_through(template: ChatTemplate, prompt: Turns, answer: dict[str, Any], asked: str) -> str:
    """The thought and its end, in answer to what has opened one: as the template puts them, or else as most models do."""
    _, closing = opened(asked) or ("", "")
    before, _ = template.around(prompt, {**answer, THOUGHT_KEYS[0]: MARK_OF_THOUGHT})
    end = before.rpartition(MARK_OF_THOUGHT)[2]
    said = thought(answer)
    if MARK_OF_THOUGHT in before and closing in end:
        return said + end
    end = before[before.rfind(closing) :] if before.rstrip().endswith(closing) else f"{closing}\n\n"
    return f"{said}\n{end}" if asked.endswith("\n") else said + end


def _introduction(asked: str, before: str) -> str:
    """What stands between the place to which a model is asked and the words of its answer, in the whole conversation.

    Raises:
        RowError: that place is not in it.
    """
    for size in range(MOST, LEAST - 1, -1):
        place = before.rfind(asked[-size:])
        if place >= 0:
            return before[place + size :]
    raise RowError("opened_otherwise", "the chat template opens an answer otherwise than it shows one")


def _parted(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with its thought apart, where the template has moved it there.

    Raises:
        RowError: its words begin with no thought, so that it is their sense that the template has changed.
    """
    thinks, said, _ = apart(str(answer["content"])) if thought(answer) == "" else ("", "", False)
    if not thinks or not str(answer["content"]).lstrip().startswith(tuple(opening for opening, _ in TAGS)):
        raise RowError("changed_by_template", "the chat template shows another answer than is to be learnt")
    return {**answer, "content": said, THOUGHT_KEYS[0]: thinks}


def _check(answer: dict[str, Any], written: str) -> None:
    """See that what is to be learnt thinks and calls what the answer does."""
    if (said := thought(answer)) and said not in written:
        raise RowError("thought_left_out", "the chat template leaves out the answer's thought; train without it")
    called = [each.get("function", each)["name"] for each in calls_of(answer)]
    if any(name not in written for name in called):
        raise RowError("tool_calls_left_out", "the chat template leaves out the answer's tool calls; it knows of none")


def _to_end(template: ChatTemplate, prompt: Turns, answer: dict[str, Any], written: str) -> tuple[str, bool]:
    """Up to and with the token that ends the turn: what a template puts behind it, no model gets to write."""
    tail = list(_tail(template, written))
    for stops in (template.stops, _ends(template, answer, tail)):
        if found := [place for place, token in tail if token in stops]:
            return written[: found[-1]], True
    opener = "" if template.closing else template.opener(prompt, answer)
    return (written + opener, True) if opener else (written, False)


def _ends(template: ChatTemplate, answer: dict[str, Any], tail: Sequence[tuple[int, str]]) -> set[str]:
    """What ends an answer where none of the tokens is there by which generation stops."""
    if answer.get("tool_calls"):
        return {tail[0][1]} if tail else set()
    return {template.end} - {""}


def _tail(template: ChatTemplate, text: str) -> Iterator[tuple[int, str]]:
    """The special tokens with which a text ends, from the last on, each with the place behind it."""
    while (text := text.rstrip()).endswith(template.special):
        token = next(each for each in template.special if text.endswith(each))
        yield len(text), token
        text = text.removesuffix(token)
