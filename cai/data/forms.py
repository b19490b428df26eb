"""In which form a row says which of its answers is the better, and what in the row speaks against reading it so."""

import re
from collections.abc import Mapping
from dataclasses import replace

from cai.data import label_questions
from cai.data.known_sets import KnownSet, set_of
from cai.data.labels import LABELS, Form, label_columns, number_of, side_of, value_of
from cai.errors import UserError

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
    ("conversation_a", "conversation_b"),
    ("response_A", "response_B"),
    ("response1", "response2"),
    ("a", "b"),
)
_SCORE = re.compile(r"score|rating|reward", re.IGNORECASE)

Data = Mapping[str, object]


def plain_rows(data: Data, columns: Data, known_set: KnownSet | None) -> list[tuple[Data, Form]]:
    """A row as rows with the usual columns, each with its form; nothing where it has none.

    Raises:
        UserError: see ``form_of``.
    """
    if known_set is None:
        form = form_of(data, columns)
        return [(data, form)] if form else []
    form = replace(known_set.form, set_name=known_set.name)
    if known_set.rows:
        return [(row, form) for row in known_set.rows(data)]
    if columns.get("a") == form.b:
        form = replace(form, a=form.b, b=form.a)
    return [(data, replace(form, prompt=str(columns.get("prompt", form.prompt))))]


def form_of(data: Data, columns: Data) -> Form | None:
    """How a row of no known set says which answer is the better.

    Raises:
        UserError: two columns say it, each in another sense.
    """
    labels, prompt = label_columns(columns), str(columns.get("prompt", ""))
    keys = tuple(each for each in LABELS if each in data)
    if "a" in columns and "b" in columns:
        form = Form("labelled", str(columns["a"]), str(columns["b"]), labels or keys[:1], prompt)
        return form if form.labels and {form.a, form.b, *form.labels} <= data.keys() else None
    if {"chosen", "rejected"} <= data.keys():
        if labels:
            raise UserError(
                f"chosen and rejected say which answer is better, and so does {labels[0]}; name the answers, a and b"
            )
        return Form("chosen", prompt=prompt)
    if {"corrects", "incorrects"} <= data.keys():
        return Form("choice", prompt=prompt)
    pair = answers(data, columns)
    if not pair or not (labels or keys) or not set(labels) <= data.keys():
        return None
    if not labels and len(keys) > 1 and all(each.endswith("_response_id") for each in keys):
        raise UserError(label_questions.several_labels(keys, columns))
    return Form("labelled", *pair, labels or keys[:1], prompt)


def answers(data: Data, columns: Data) -> tuple[str, str] | None:
    """The columns of the two answers."""
    if "a" in columns and "b" in columns:
        return str(columns["a"]), str(columns["b"])
    return next((pair for pair in ANSWERS if set(pair) <= data.keys()), None)


def has_pairs(data: Data) -> bool:
    """Whether a row, of whose columns nothing is said, is one of pairs, or may be one that has to be asked about."""
    try:
        return set_of(data, {}) is not None or form_of(data, {}) is not None or bool(hot(data, {}))
    except UserError:
        return True


def hot(data: Data, columns: Data) -> list[str]:
    """The columns of a row of which a 1 may say which answer is the better."""
    pair = answers(data, columns)
    return label_questions.one_hot(data, pair) if pair and not label_columns(columns) else []


def are_references(data: Data) -> bool:
    """Whether chosen and rejected are themselves no answers, but say which of others are: by a number, a letter, a name."""
    marks, pair = (data["chosen"], data["rejected"]), answers(data, {})
    numbers = [number_of(each) for each in marks]
    if not pair:
        longest = max((len(each) for each in data.values() if isinstance(each, list)), default=0)
        return all(each is not None and (0 <= each <= 1 or 0 <= each < longest) for each in numbers)
    if any(each in (data[pair[0]], data[pair[1]]) for each in marks):
        return False
    form = Form("labelled", *pair)
    words = [side_of(each, data, form) is not None or value_of(each) in ("true", "false") for each in marks]
    return all(word or number is not None for word, number in zip(words, numbers, strict=True))


def scores_bear_out(data: Data) -> bool | None:
    """Whether chosen has the higher of two scores, ratings or rewards; None where they say nothing of it."""
    for column in data:
        if "chosen" in column and _SCORE.search(column):
            scores = [number_of(data.get(each)) for each in (column, column.replace("chosen", "rejected"))]
            if scores[0] is not None and scores[1] is not None and scores[0] != scores[1]:
                return scores[0] > scores[1]
    return None


def is_split(label: object) -> bool:
    """Whether a label is a number for each answer, which sum to 1, and not the labels of several people."""
    numbers = [number_of(each) for each in label] if isinstance(label, list) and len(label) in (2, 3) else []
    shares = [each for each in numbers if each is not None and each >= 0]
    return bool(numbers) and len(shares) == len(numbers) and abs(sum(shares) - 1) < 1e-3
