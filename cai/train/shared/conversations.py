"""Conversations as trainers read them: what is asked as it is asked, and of an answer what a model has to write.

TRL renders and tokenizes by the tokenizer it is given, asking for what is asked and for the whole conversation, and trains on
what the two do not share. So that tokenizer answers with the tokens of ``cai.models.lessons``, of which the first are always
what is asked.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset
from transformers import GenerationConfig, PreTrainedTokenizerBase

from cai.errors import RowError
from cai.models.lessons import Lesson, lesson, texts
from cai.models.templates import ChatTemplate
from cai.stages.train import Train
from cai.train.shared.job import Job
from constitution.wording import count

Row = dict[str, Any]
OF_TOKENIZER = ("return_dict", "return_tensors", "return_assistant_tokens_mask", "padding", "truncation", "max_length")
ANSWERS = ("completion", "chosen", "rejected")
"""The columns of one answer; ``completions`` holds several."""


def template(job: Job[Train], tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
    """The chat template of what a job starts from."""
    try:
        generation = GenerationConfig.from_pretrained(job.base)
    except OSError:  # a model need not have settings for generation
        generation = None
    return ChatTemplate(tokenizer, generation, job.template)


def fitting(
    rows: tuple[Dataset, Dataset | None], takes: Callable[[Row], object]
) -> tuple[Dataset, Dataset | None, dict[str, int]]:
    """The rows that can be trained on, and how many cannot, by their reason.

    Args:
        takes: raises RowError where one cannot.

    Raises:
        ValueError: none of the training rows can.
    """
    counts: Counter[str] = Counter()
    reasons: dict[str, str] = {}

    def fits(row: Any) -> bool:
        try:
            takes(row)
        except RowError as error:
            counts[error.reason] += 1
            reasons.setdefault(error.reason, str(error))
            return False
        return True

    splits = [each and each.select([n for n, row in enumerate(each) if fits(row)]) for each in rows]
    if not splits[0]:
        raise ValueError(f"none of {count(len(rows[0]), 'row')} can be trained on: {'; '.join(reasons.values())}")
    return splits[0], splits[1] or None, dict(counts)


def learnable(template: ChatTemplate, most: int | None = None) -> Callable[[Row], object]:
    """For ``fitting``: whether each answer of a row can be learnt.

    Args:
        most: tokens of a conversation with its answer; None for any number. A trainer would cut the others, and with its end
            an answer loses the token by which a model learns to stop.
    """

    def takes(row: Row) -> None:
        own = template.with_options(row.get("tools"))
        for answer in [row[key] for key in ANSWERS if key in row] + list(row.get("completions", ())):
            if most is None:
                texts(own, row["prompt"], only(answer))
            else:
                _check_length(lesson(own, row["prompt"], only(answer)), most)

    return takes


def _check_length(whole: Lesson, most: int) -> None:
    if (length := len(whole.prompt) + len(whole.answer)) > most:
        raise RowError(
            "too_long", f"a conversation with its answer has {length} tokens, and max_length is {most}; raise it"
        )


def scorable(template: ChatTemplate) -> Callable[[Row], object]:
    """For ``fitting``: whether both conversations of a pair can be scored."""

    def takes(row: Row) -> object:
        return [
            template.with_options(row.get("tools")).whole(row["prompt"] + row[side]) for side in ("chosen", "rejected")
        ]

    return takes


def only(answer: Sequence[Row]) -> Row:
    """The one message of an answer.

    Raises:
        RowError: there are several, of which the model would have written some and not others.
    """
    if len(answer) != 1:
        raise RowError("several_messages", f"an answer has {len(answer)} messages; end its prompt before the last")
    return answer[0]


class TemplateCall:
    """In place of a tokenizer's ``apply_chat_template``, with the signature that TRL uses.

    Args:
        scored: whether whole conversations are read to be scored, rather than their last answer to be learnt.
    """

    def __init__(self, template: ChatTemplate, scored: bool = False) -> None:
        self.template, self.scored = template, scored
        self.own = template.tokenizer.apply_chat_template

    def __call__(
        self,
        conversation: Sequence[Any],
        tools: Sequence[object] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        tokenize: bool = True,
        **more: Any,
    ) -> object:
        """Token ids; text, and what another template makes of a conversation, are the tokenizer's own affair."""
        if not tokenize or chat_template is not None:
            options = {"tools": tools, "chat_template": chat_template, "add_generation_prompt": add_generation_prompt}
            return self.own(conversation, tokenize=tokenize, **options, **more)
        several = isinstance(conversation[0], list)
        # What is not for the tokenizer is for the template, such as enable_thinking.
        template = self.template.with_options(
            tools, **{key: value for key, value in more.items() if key not in OF_TOKENIZER}
        )
        tokens = [
            self._read(template, each, add_generation_prompt) for each in (conversation if several else [conversation])
        ]
        if not more.get("return_dict", True):
            return [ids for ids, _ in tokens] if several else tokens[0][0]
        columns = {
            "input_ids": [ids for ids, _ in tokens],
            "attention_mask": [[1] * len(ids) for ids, _ in tokens],
        }
        if more.get("return_assistant_tokens_mask"):
            columns["assistant_masks"] = [[0] * prompt + [1] * (len(ids) - prompt) for ids, prompt in tokens]
        return columns if several else {key: rows[0] for key, rows in columns.items()}

    def _read(self, template: ChatTemplate, messages: Sequence[Row], begins: bool) -> tuple[list[int], int]:
        """The tokens, and how many of them are asked."""
        if begins:
            ids = template.ids(template.prompt(messages))
            return ids, len(ids)
        if self.scored:
            return template.score_ids(messages), 0
        target = lesson(template, messages[:-1], messages[-1])
        return target.prompt + target.answer, len(target.prompt)


def trainer_tokenizer(template: ChatTemplate, scored: bool = False) -> PreTrainedTokenizerBase:
    """The template's tokenizer, by which TRL reads conversations as we do; arguments as in ``TemplateCall``."""
    template.tokenizer.apply_chat_template = TemplateCall(template, scored)
    return template.tokenizer
