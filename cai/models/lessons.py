"""An answer as a model learns it: what it is asked, and what it would then have to write.

What is asked is the truth: a model is trained on the very tokens with which it is asked, and learns those of the answer that
follow, the one that ends its turn among them. Many templates show a whole conversation otherwise: they leave out the thought
that they open for an answer, take a system message only before the last turn, or put line breaks behind the end. So the two are
put together here, never cut out of a whole conversation that begins otherwise than what is asked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from cai.errors import RowError
from cai.models.templates import ChatTemplate, Fields, Turns, calls_of, thought
from cai.models.thoughts import TAGS, THOUGHT_KEYS, open_tags, parts_of, skips_thought
from constitution.tools import definitions, without_definitions

MARK_OF_THOUGHT = "ThoughtGoesHere"
LEAST, MOST = 4, 80
"""Characters by which the place of an answer is found in a whole conversation."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """An answer to be learnt.

    Attributes:
        prompt_text: what a model is asked, to where its answer begins.
        answer_text: what it has to write, up to and with the token that ends its turn.
        prompt, answer: the same as tokens; trained on are those of the answer, and no other.
        has_end: whether the answer ends with such a token.
    """

    prompt_text: str
    answer_text: str
    prompt: list[int]
    answer: list[int]
    has_end: bool


def lesson(template: ChatTemplate, prompt: Turns, answer: Fields) -> Lesson:
    """An answer to a conversation, to be learnt; raises as ``texts``."""
    before, words, has_end = texts(template, prompt, answer)
    ids = template.ids(before)
    return Lesson(before, words, ids, continuation(template, ids, before, words), has_end)


def texts(template: ChatTemplate, prompt: Turns, answer: Fields) -> tuple[str, str, bool]:
    """What of a lesson is no tokens: what is asked, what is to be written, and whether that ends.

    Raises:
        RowError: the template does not take them, or leaves out what the answer says or thinks.
    """
    if tools := definitions(prompt):
        return texts(template.with_options(tools), without_definitions(prompt), answer)
    before, whole = template.prompt(prompt), template.whole([*prompt, answer])
    after = whole.removeprefix(before) if whole.startswith(before) else _after(template, prompt, answer, before)
    if str(answer.get("content") or "").strip() not in after:
        return texts(template, prompt, _in_parts(answer))
    _check(answer, after)
    return (before, *_to_end(template, prompt, answer, after))


def thought_tokens(template: ChatTemplate, whole: Lesson, answer: Fields) -> int:
    """How many of a lesson's answer tokens stand before its words: those of the thought and what is around it; 0 without one."""
    place = whole.answer_text.rfind(str(answer.get("content") or "").strip()) if thought(answer) else 0
    before = continuation(template, whole.prompt, whole.prompt_text, whole.answer_text[:place]) if place > 0 else []
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(before, whole.answer, strict=False)))


def continuation(template: ChatTemplate, prompt: Sequence[int], before: str, after: str) -> list[int]:
    """The tokens of an answer, which go on from those that are asked also where a tokenizer would have joined the two.

    Args:
        prompt: the tokens of the text before.
    """
    both = template.ids(before + after)
    return both[len(prompt) :] if both[: len(prompt)] == [*prompt] else template.ids(after)


def _after(template: ChatTemplate, prompt: Turns, answer: Fields, question: str) -> str:
    """How an answer goes on from what is asked, where the whole conversation does not begin so."""
    before, _ = template.around(prompt, answer)
    whole = template.whole([*prompt, answer])
    if not before and not open_tags(question):  # of a tool call some show no words beside
        return _introduction(question, whole)
    if not before or not whole.startswith(before):
        raise RowError("opened_otherwise", "the chat template does not show where the answer begins")
    words = whole[len(before) :]
    if tags := open_tags(question):
        return _thought_and_end(template, prompt, answer, question, tags[1]) + words
    return words if skips_thought(question) else _introduction(question, before) + words


def _thought_and_end(template: ChatTemplate, prompt: Turns, answer: Fields, question: str, closing: str) -> str:
    """The thought and its end, in answer to what has opened one: as the template puts them, or else as most models do."""
    before, _ = template.around(prompt, {**answer, THOUGHT_KEYS[0]: MARK_OF_THOUGHT})
    end = before.rpartition(MARK_OF_THOUGHT)[2]
    words = thought(answer)
    if MARK_OF_THOUGHT in before and closing in end:
        return words + end
    end = before[before.rfind(closing) :] if before.rstrip().endswith(closing) else f"{closing}\n\n"
    return f"{words}\n{end}" if question.endswith("\n") else words + end


def _introduction(question: str, before: str) -> str:
    """What stands between the place to which a model is asked and the words of its answer, in the whole conversation.

    Raises:
        RowError: that place is not in it.
    """
    for size in range(MOST, LEAST - 1, -1):
        place = before.rfind(question[-size:])
        if place >= 0:
            return before[place + size :]
    raise RowError("opened_otherwise", "the chat template opens an answer otherwise than it shows one")


def _in_parts(answer: Fields) -> Fields:
    """An answer with its thought under a key of its own, where the template has moved it there.

    Raises:
        RowError: its words begin with no thought, so that it is their sense that the template has changed.
    """
    words, text, _ = parts_of(str(answer["content"])) if thought(answer) == "" else ("", "", False)
    if not words or not str(answer["content"]).lstrip().startswith(tuple(opening for opening, _ in TAGS)):
        raise RowError("changed_by_template", "the chat template shows another answer than is to be learnt")
    return {**answer, "content": text, THOUGHT_KEYS[0]: words}


def _check(answer: Fields, text: str) -> None:
    """See that what is to be learnt thinks and calls what the answer does."""
    if (words := thought(answer)) and words not in text:
        raise RowError("thought_left_out", "the chat template leaves out the answer's thought; train without it")
    names = [each.get("function", each)["name"] for each in calls_of(answer)]
    if any(name not in text for name in names):
        raise RowError("tool_calls_left_out", "the chat template leaves out the answer's tool calls; it knows of none")


def _to_end(template: ChatTemplate, prompt: Turns, answer: Fields, text: str) -> tuple[str, bool]:
    """Up to and with the token that ends the turn: what a template puts behind it, no model gets to write."""
    tail = list(_tail(template, text))
    for stops in (template.stops, _ends(template, answer, tail)):
        if places := [place for place, token in tail if token in stops]:
            return text[: places[-1]], True
    opener = "" if template.closing else template.opener(prompt, answer)
    return (text + opener, True) if opener else (text, False)


def _ends(template: ChatTemplate, answer: Fields, tail: Sequence[tuple[int, str]]) -> set[str]:
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
