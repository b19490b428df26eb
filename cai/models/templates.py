"""A conversation in its model's chat template: to where an answer begins, as it is asked, and with its answer, as it is scored.

How an answer is learnt is in ``cai.models.lessons``. A template's tokens are all in its text, the one that begins a text among
them: so none is ever put before it by the tokenizer.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from transformers import GenerationConfig, PreTrainedTokenizerBase

from cai.errors import RowError
from cai.models import thoughts
from cai.models.abilities import without_system
from constitution.tools import definitions, without_definitions

Fields = dict[str, Any]
"""An object as JSON and the columns of a file have it."""
Turns = Sequence[Fields]
"""Messages with ``role`` and ``content``; an assistant's may have ``tool_calls`` and its thought as ``reasoning_content``. The
definitions of tools may stand first, see ``constitution.tools``."""
BROKEN = (TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What else is raised within a template."""
QUESTION = {"role": "user", "content": "question"}
MARK, SYSTEM_MARK = "AnswerGoesHere", "SystemGoesHere"


class ChatTemplate:
    """A tokenizer's chat template.

    Args:
        generation: the model's settings for generation, which name further tokens that end an answer.
        options: what the template is told beside the conversation, such as ``enable_thinking`` and ``tools``.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        generation: GenerationConfig | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.tokenizer: Any = tokenizer
        self.generation, self.options = generation, dict(options or {})

    def with_options(self, tools: object = None, **more: object) -> "ChatTemplate":
        """The same template, told more: the tools of a row, in objects or as JSON, and other variables."""
        if tools:
            more["tools"] = _objects(tools)
        if not more:
            return self
        other = copy(self)
        other.options = {**self.options, **more}
        return other

    def prompt(self, messages: Turns) -> str:
        """A conversation to where the next answer begins.

        Raises:
            RowError: the template does not take the conversation.
        """
        return self._text(messages, True)

    def whole(self, messages: Turns) -> str:
        """A conversation with its answer, as the template shows it; raises as ``prompt``."""
        return self._text(messages, False)

    def score_ids(self, messages: Turns) -> list[int]:
        """The tokens of a conversation with its answer, as a reward model is trained on them and asked for a score.

        transformers scores at the last token that is not padding. Where the token that ends a turn is also the padding, as
        with many templates, that is the one before the end; other servers do not know it, so such an end is left out here.

        Raises:
            RowError: as ``prompt``.
        """
        ids = self.ids(self.whole(messages))
        while len(ids) > 1 and ids[-1] == self.tokenizer.pad_token_id:
            ids.pop()
        return ids

    def unfinished(self, messages: Turns) -> str:
        """A conversation whose last answer is not at its end; raises as ``prompt``."""
        return self._text(messages, False, True)

    def ids(self, text: str) -> list[int]:
        """The tokens of a text that has its special tokens already, so that none is put before it a second time."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def text(self, ids: Sequence[int]) -> str:
        """What tokens say, without special ones, but for those around a thought, which would else be part of the answer."""
        return self.tokenizer.decode([each for each in ids if each not in self.silent])

    @cached_property
    def silent(self) -> set[int]:
        """The special tokens that say nothing."""
        special = dict(zip(self.tokenizer.all_special_tokens, self.tokenizer.all_special_ids, strict=True))
        marks = {mark for both in (*thoughts.TAGS, *thoughts.ANSWERS) for mark in both}
        marks |= set(thoughts.HARMONY) if thoughts.CHANNEL in special else set()
        return {id for token, id in special.items() if not any(token in mark for mark in marks)}

    @cached_property
    def stops(self) -> set[str]:
        """The tokens by which generation stops."""
        return set(self.tokenizer.convert_ids_to_tokens(sorted(ends(self.tokenizer, self.generation))))

    @cached_property
    def special(self) -> tuple[str, ...]:
        """The tokens that are no part of a text, the longest first."""
        tokens = {*self.tokenizer.get_added_vocab(), *self.tokenizer.all_special_tokens}
        return tuple(sorted(tokens, key=len, reverse=True))

    @cached_property
    def end(self) -> str:
        """The token that ends the assistant's turn; empty where there is none, so that no model could learn to stop."""
        return self.closing or self.opener((QUESTION,), {"role": "assistant"})

    @cached_property
    def closing(self) -> str:
        """The same, where the template puts it behind the last answer, too."""
        tail = self.around((QUESTION,))[1]
        tokens = [token for token in self.tokenizer.tokenize(tail, add_special_tokens=False) if token in self.special]
        return next((token for token in tokens if token in self.stops), tokens[0] if tokens else "")

    def takes_system(self, messages: Turns, answer_begins: bool) -> bool:
        """Whether the system messages of a conversation are there when it is rendered."""
        marks = [{**each, "content": SYSTEM_MARK} if each["role"] == "system" else each for each in messages]
        try:
            return SYSTEM_MARK in self.render(marks, answer_begins)
        except TemplateError:
            return False

    def render(self, messages: Turns, answer_begins: bool = False, goes_on: bool = False) -> str:
        """The template's own text, whatever it leaves out.

        Args:
            goes_on: whether the last message is not at its end.

        Raises:
            TemplateError: it does not take the conversation.
        """
        refusal = TemplateError()
        for form in _forms(messages):
            try:
                text = self.tokenizer.apply_chat_template(
                    form,
                    tokenize=False,
                    add_generation_prompt=answer_begins,
                    continue_final_message=goes_on,
                    **self.options,
                )
            except BROKEN as error:
                refusal = TemplateError(str(error))
            else:
                assert isinstance(text, str)
                return text
        raise refusal

    def _text(self, messages: Turns, answer_begins: bool, goes_on: bool = False) -> str:
        """A system message that the template refuses, or leaves out, stands before the words of the first turn."""
        if tools := definitions(messages):
            return self.with_options(tools)._text(without_definitions(messages), answer_begins, goes_on)
        if any(each["role"] == "system" for each in messages) and not self.takes_system(messages, answer_begins):
            messages = without_system(tuple(messages))  # pyright: ignore[reportArgumentType]
        try:
            return self.render(messages, answer_begins, goes_on)
        except TemplateError as error:
            raise RowError("refused_by_template", f"the chat template: {error}") from None

    def around(self, prompt: Turns, answer: Fields | None = None) -> tuple[str, str]:
        """What stands before the words of an answer and what after them; the answer's other parts are as given."""
        text = self.whole([*prompt, {"role": "assistant", **(answer or {}), "content": MARK}])
        before, _, after = text.rpartition(MARK)
        return before, after

    def opener(self, prompt: Turns, answer: Fields) -> str:
        """The token that begins the next turn, where it is one by which generation stops, as with GLM; empty elsewhere."""
        calls, mark = answer.get("tool_calls"), {**answer, "content": MARK}
        try:
            if calls:
                text = self.render([*prompt, answer, {"role": "tool", "content": "next"}])
                end = self.render([*prompt, answer])
            else:
                text, end = self.render([*prompt, mark, {"role": "user", "content": "next"}]), MARK
        except TemplateError:
            return ""
        rest = text.rpartition(end.rstrip())[2].lstrip()
        token = next((token for token in self.special if rest.startswith(token)), "")
        return token if token in self.stops else ""


def ends(tokenizer: Any, generation: GenerationConfig | None) -> set[int]:
    """The tokens that end an answer: the tokenizer's, and those of the model's settings for generation."""
    also = getattr(generation, "eos_token_id", None) or []
    return {tokenizer.eos_token_id, *(also if isinstance(also, list) else [also])} - {None}


def calls_of(message: Mapping[str, object]) -> list[Fields]:
    """A message's tool calls, which are objects or JSON by where it comes from."""
    return _objects(message.get("tool_calls"))


def thought(answer: Fields) -> str:
    """What an answer's message says was thought before it."""
    return next((str(answer[key]).strip() for key in thoughts.THOUGHT_KEYS if answer.get(key)), "")


def _forms(messages: Turns) -> Iterator[list[Fields]]:
    """Messages as templates read them: first with the arguments of tool calls as objects, then as text, which some want."""
    plain = [_keys(each) for each in messages]
    yield [_with_arguments(each, _object) for each in plain]
    if any(each.get("tool_calls") for each in plain):
        yield [_with_arguments(each, _as_text) for each in plain]


def _keys(message: Mapping[str, object]) -> Fields:
    """What a message has; a column of a file has all keys in all rows, and nothing under most of them."""
    fields = {key: value for key, value in message.items() if value is not None or key == "content"}
    return fields | (dict.fromkeys(thoughts.THOUGHT_KEYS, words) if (words := thought(fields)) else {})


def _with_arguments(message: Fields, form: Callable[[object], object]) -> Fields:
    if not message.get("tool_calls"):
        return message
    calls = []
    for each in calls_of(message):
        function = each.get("function", each)
        whole = {"type": "function", **each} if "function" in each else {"type": "function"}
        calls.append({**whole, "function": {**function, "arguments": form(function.get("arguments", {}))}})
    return {**message, "tool_calls": calls}


def _objects(rows: object) -> list[Any]:
    """A list of objects, or its JSON, of which each may be JSON, too."""
    items = _object(rows)
    return [_object(each) for each in items] if isinstance(items, Iterable) else []


def _object(data: object) -> object:
    """What JSON says; what is none is itself."""
    try:
        return json.loads(data) if isinstance(data, str) else data
    except ValueError:
        return data


def _as_text(arguments: object) -> object:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
