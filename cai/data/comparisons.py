"""A row of a file of comparisons → two answers with what people said of them, in each form that is in use.

``chosen`` and ``rejected`` (texts, or whole conversations, see ``cai.data.conversations``); two answers and a label
(``response_a``, ``response_b``, ``label`` and the like); multiple choice (``prompt``, ``corrects``, ``incorrects``: each
correct answer beside each incorrect one). A label is the name, letter or number of the better answer's column, or a tie; a
list of labels is several people.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from cai.data import notation
from cai.data.conversations import ASSISTANT, USER, Conversation, Unusable, blank, read
from cai.data.questions import asked, with_system
from cai.errors import UserError
from cai.store.rows import Message

PROMPTS = (
    *("prompt", "messages", "conversations", "conversation", "question", "instruction", "input", "context", "query"),
)
"""Where a prompt is looked for, in this order; what stands beside it is ``cai.data.questions``."""
ANSWERS = (
    ("response_a", "response_b"),
    ("response_0", "response_1"),
    ("response_1", "response_2"),
    ("answer_a", "answer_b"),
    ("answer_0", "answer_1"),
    ("answer_1", "answer_2"),
    ("text_a", "text_b"),
    ("output_a", "output_b"),
    ("output_1", "output_2"),
    ("completion_a", "completion_b"),
    ("a", "b"),
)
LABELS = (
    "label",
    "labels",
    "preference",
    "preferred",
    "preferred_text",
    "winner",
    "better",
    "better_response_id",
    "safer_response_id",
    "choice",
)
TIES = ("tie", "both", "neither", "equal", "same", "0.5")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers as a file has them.

    Attributes:
        people: 1 for each who found the first better, 0 for each who found the second, 0.5 for ties.
    """

    messages: tuple[Message, ...]
    first: str
    second: str
    people: tuple[float, ...]


def comparisons(data: Mapping[str, object], columns: Mapping[str, str], base: int | None = None) -> list[Comparison]:
    """The pairs of one row.

    Args:
        columns: of prompt, a, b and label, where their names do not tell.
        base: what number stands for the first answer; None where its column's own number does.

    Raises:
        Unusable: there is none.
    """
    match form(data, columns):
        case "chosen":
            messages, first, second = _answered(data, ("chosen", "rejected"), columns)
            return [Comparison(messages, first, second, (1.0,))]
        case "choice":
            messages = _prompt(data, columns)
            right, wrong = _texts(data["corrects"]), _texts(data["incorrects"])
            if not right or not wrong:
                raise Unusable("no_answers", "corrects or incorrects is empty")
            return [Comparison(messages, *both, (1.0,)) for both in product(right, wrong)]
        case (a, b, label):
            messages, first, second = _answered(data, (a, b), columns)
            people = tuple(_preferred(each, a, b, base) for each in several(data.get(label)))
            return [Comparison(messages, first, second, people)]
        case _:
            raise Unusable("no_pair", "has not the columns of the first row")


def understood(data: Mapping[str, object], columns: Mapping[str, str]) -> Conversation:
    """The conversation before the answers of a row that gives a pair, with all columns that say what it is."""
    match form(data, columns):
        case "choice":
            talk, more = _question(data, columns), ("corrects", "incorrects")
        case (a, b, *more):
            (talk, _, _), more = answered(data, (a, b), columns), tuple(map(str, more))
        case _:
            (talk, _, _), more = answered(data, ("chosen", "rejected"), columns), ()
    return replace(talk, columns=(*talk.columns, *more))


def form(data: Mapping[str, object], columns: Mapping[str, str]) -> str | tuple[str, str, str] | None:
    """How a row says which answer is better: "chosen", "choice", or the columns of two answers and the label."""
    if "a" in columns and "b" in columns:
        label = columns.get("label") or next((each for each in LABELS if each in data), "")
        return (columns["a"], columns["b"], label) if {columns["a"], columns["b"], label} <= data.keys() else None
    if {"chosen", "rejected"} <= data.keys():
        return "chosen"
    if {"corrects", "incorrects"} <= data.keys():
        return "choice"
    for a, b in ANSWERS:
        labels = [columns["label"]] if "label" in columns else [each for each in LABELS if each in data]
        if {a, b, *labels[:1]} <= data.keys() and labels:
            if len(labels) > 1 and all(each.endswith("_response_id") for each in labels):
                raise UserError(
                    f"{' and '.join(labels)} both say which answer is better; choose one: label={labels[-1]}"
                )
            return a, b, labels[0]
    return None


def _answered(
    data: Mapping[str, object], pair: tuple[str, str], columns: Mapping[str, str]
) -> tuple[tuple[Message, ...], str, str]:
    talk, first, second = answered(data, pair, columns)
    return talk.messages, first, second


def answered(
    data: Mapping[str, object], pair: tuple[str, str], columns: Mapping[str, str]
) -> tuple[Conversation, str, str]:
    """The conversation before two answers, and the answers.

    Raises:
        Unusable: there is none, or the two do not answer the same.
    """
    form, first = _answer(data, pair[0])
    _, second = _answer(data, pair[1])
    before = first[:-1]
    if before != second[:-1]:
        raise Unusable("other_conversations", "the two do not differ in the last answer alone")
    if first[-1]["role"] != ASSISTANT or second[-1]["role"] != ASSISTANT:
        raise Unusable("no_answer", f"{pair[0]} or {pair[1]} does not end with a turn of the assistant's")
    one, other = first[-1]["content"], second[-1]["content"]
    column, system = _prompt_column(data, columns), columns.get("system")
    if before and before[0]["role"] != ASSISTANT:
        # Whole conversations hold all that was said before the answers, a prompt column perhaps the first of it alone.
        talk = Conversation(f"{form} with the answers", before, (*pair, *filter(None, [column])))
        return _stripped(with_system(data, talk, system)), one, other
    if not column and not before:
        messages, one, other = _begun_alike(one, other)
        return Conversation("paragraphs that both begin with", messages, pair), one, other
    question = _question(data, columns)
    return replace(question, messages=(*question.messages, *before), columns=(*question.columns, *pair)), one, other


def _answer(data: Mapping[str, object], column: str) -> tuple[str, tuple[Message, ...]]:
    """The form of an answer, and its turns: one, or those of the whole conversation."""
    value = data[column]
    if blank(value):
        raise Unusable("empty_answer", f"{column} is empty")
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        value = str(value)
    talk = _stripped(read(value, ASSISTANT))
    return talk.form, talk.messages


def _stripped(talk: Conversation) -> Conversation:
    messages = tuple({**each, "content": each["content"].strip()} for each in talk.messages)
    return replace(talk, messages=messages)


def _begun_alike(first: str, second: str) -> tuple[tuple[Message, ...], str, str]:
    """Two texts without a prompt: the paragraphs that both begin with are it."""
    one, other = re.split(r"\n\s*\n", first), re.split(r"\n\s*\n", second)
    alike = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if not alike:
        raise Unusable("no_prompt", "there is no prompt column, and the two texts begin with no paragraph in common")
    prompt = "\n\n".join(one[:alike]).strip()
    return ({"role": "user", "content": prompt},), "\n\n".join(one[alike:]).strip(), "\n\n".join(other[alike:]).strip()


def _prompt(data: Mapping[str, object], columns: Mapping[str, str]) -> tuple[Message, ...]:
    return _question(data, columns).messages


def _prompt_column(data: Mapping[str, object], columns: Mapping[str, str]) -> str:
    """The column that holds the prompt; empty where there is none."""
    return columns.get("prompt") or next((key for key in PROMPTS if not blank(data.get(key))), "")


def _question(data: Mapping[str, object], columns: Mapping[str, str]) -> Conversation:
    """The prompt with what stands beside it.

    Raises:
        Unusable: there is none, or it does not end with the person's turn.
    """
    column = _prompt_column(data, columns)
    if blank(data.get(column)):
        raise Unusable("no_prompt", f"the prompt is empty (columns: {notation.names(data)}; name one under `columns`)")
    talk = _stripped(asked(data, column, columns.get("system")))
    if talk.messages[-1]["role"] != USER:
        raise Unusable("no_person_turn", f"{column} does not end with a turn of the person's")
    return talk


def _texts(said: object) -> list[str]:
    """Answers, several in a list or the notation of one.

    Raises:
        Unusable: one is not a text.
    """
    given = notation.texts(said) if isinstance(said, str) else said
    return [_single(each) for each in (given if isinstance(given, list) else [given])]


def _single(value: object) -> str:
    _, (*before, answer) = _answer({"an answer": value}, "an answer")
    if before:
        raise Unusable("no_text", "an answer is a whole conversation")
    return answer["content"]


def several(label: object) -> Sequence[object]:
    """The labels of one row."""
    return label if isinstance(label, list) else [label]


def word_of(label: object) -> str:
    """A label as a word: 1, 1.0 and "1" are the same."""
    return f"{label:g}" if isinstance(label, float) else "" if label is None else str(label).strip().lower()


def _preferred(label: object, a: str, b: str, base: int | None) -> float:
    """What one person's label says of the first answer: 1, 0, or 0.5 for a tie."""
    word = word_of(label)
    if base is not None and word in (str(base), str(base + 1)):
        return float(word == str(base))
    for value, column in ((1.0, a.lower()), (0.0, b.lower())):
        suffix = column.rpartition("_")[2]
        if word in (column, suffix, f"model_{suffix}", f"response_{suffix}"):
            return value
    if word in TIES or word.startswith("tie"):
        return 0.5
    raise Unusable("unreadable_label", f"the label {json.dumps(label, default=str)} names neither {a} nor {b}")


def checked(pair: Comparison) -> Comparison:
    """The pair itself.

    Raises:
        Unusable: an answer is empty, or they are the same.
    """
    if not pair.first.strip() or not pair.second.strip():
        raise Unusable("empty_answer", "an answer is empty")
    if pair.first.strip() == pair.second.strip():
        raise Unusable("equal_answers", "the two answers are the same")
    return pair
