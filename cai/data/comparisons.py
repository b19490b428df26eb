"""A row of a file of comparisons → two answers with what people said of them, in each form that is in use.

``chosen`` and ``rejected`` (texts, or whole conversations, see ``cai.data.conversations``); two answers and a label
(``response_a``, ``response_b``, ``label`` and the like); multiple choice (``prompt``, ``corrects``, ``incorrects``: each
correct answer beside each incorrect one). What a label stands for is settled for the whole file (``cai.data.survey``); a list
of labels is several people.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from cai.data import notation
from cai.data.conversations import ASSISTANT, USER, Conversation, Unusable, read
from cai.data.forms import plain_rows
from cai.data.known_sets import KnownSet, set_of
from cai.data.labels import LABELS, Form, Meaning, number_of, several
from cai.data.media import check
from cai.data.questions import COMPANIONS, SYSTEMS, question, with_system
from cai.data.survey import Survey
from cai.data.values import absent, blank
from cai.store.rows import Message
from constitution.tools import CALLS, RESULT

PROMPTS = (
    *("prompt", "messages", "conversations", "conversation", "question", "query", "instruction", "input", "context"),
)
"""Where a prompt is looked for, in this order; what stands beside it is ``cai.data.questions``."""
SENTENCE = 5
"""Words from which on a text may be a prompt: names of sets and models have fewer."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers as a file has them.

    Attributes:
        talk: the conversation before them, with all columns that were read.
        columns: of the two answers.
        people: 1 for each who found the first better, 0 for each who found the second, 0.5 for ties; between them for shares.
    """

    talk: Conversation
    columns: tuple[str, str]
    first: str
    second: str
    people: tuple[float, ...]

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said before the answers."""
        return self.talk.messages


def comparisons(data: Mapping[str, object], survey: Survey, errors: list[Unusable] | None = None) -> list[Comparison]:
    """The pairs of one row.

    Args:
        survey: what the labels of its file stand for.
        errors: gains why some of its answers give none, where others do.

    Raises:
        Unusable: there is none.
    """
    known_set, rows = _rows(data, survey)
    if known_set and known_set.witness(data) is False and survey.by_card.issuperset(form for _, form in rows):
        raise Unusable(
            "doubtful_label", f"its label and its other columns do not agree as those of {known_set.name} do"
        )
    pairs, bad = list[Comparison](), list[Unusable]()
    for row, form in rows:
        try:
            pairs += _pairs(row, form, survey, bad)
        except Unusable as error:
            bad.append(error)
    if bad and not pairs:
        raise bad[0]
    if errors is not None:
        errors += bad
    return [_in_own_columns(each, data, known_set) for each in pairs] if known_set and known_set.rows else pairs


def _in_own_columns(pair: Comparison, data: Mapping[str, object], known_set: KnownSet) -> Comparison:
    """A pair of a row that was built anew, with the columns of its file."""
    columns = tuple(each for each in data if each in known_set.columns or each in pair.talk.columns)
    return replace(pair, talk=replace(pair.talk, columns=columns))


def _rows(
    data: Mapping[str, object], survey: Survey
) -> tuple[KnownSet | None, Sequence[tuple[Mapping[str, object], Form]]]:
    """A row as rows with the usual columns, each with its form, and the known set that it is of.

    Raises:
        Unusable: it is no pair.
    """
    known_set = set_of(data, survey.columns)
    rows = plain_rows(data, survey.columns, known_set)
    if not rows and known_set is not None:
        raise Unusable("no_answers", f"holds no two answers as {known_set.name} has them")
    if any(form not in survey.meanings for _, form in rows) or not rows:
        raise Unusable(
            "no_pair", "has not the columns that other rows have, of two answers and what says which is better"
        )
    if known_set and known_set.rows:
        check(data)
        columns = (str(survey.columns.get(each, "")) for each in COMPANIONS)
        beside = {each: data[each] for each in (*SYSTEMS, *columns) if each in data}
        rows = [({**beside, **row}, form) for row, form in rows]
    return known_set, rows


def _names(form: Form, survey: Survey) -> dict[str, str]:
    """The columns of the prompt and of what stands beside it, where they are named."""
    beside = {key: str(survey.columns[key]) for key in COMPANIONS if key in survey.columns}
    return {**({"prompt": form.prompt} if form.prompt else {}), **beside}


def _answers(form: Form) -> tuple[str, str]:
    pairs = {"chosen": ("chosen", "rejected"), "choice": ("corrects", "incorrects")}
    return pairs.get(form.kind, (form.a, form.b))


def _pairs(data: Mapping[str, object], form: Form, survey: Survey, bad: list[Unusable]) -> list[Comparison]:
    """The pairs of one row with the usual columns; ``bad`` gains why there are no more."""
    columns, meaning, names = _names(form, survey), survey.meanings[form], _answers(form)
    better = (0.0,) if meaning.worse else (1.0,)
    if form.kind == "choice":
        talk = _question(data, columns)
        talk = replace(talk, columns=(*talk.columns, *names))
        right, wrong = (_texts(data[each], bad) for each in names)
        if not bad and not (right and wrong):
            raise Unusable("no_answers", f"{' or '.join(names)} is empty")
        return [Comparison(talk, names, *both, better) for both in product(right, wrong)]
    talk, first, second = answer_pair(data, names, columns)
    people = better if form.kind == "chosen" else _people(data, form, meaning)
    return [Comparison(replace(talk, columns=(*talk.columns, *form.labels)), names, first, second, people)]


def _people(data: Mapping[str, object], form: Form, meaning: Meaning) -> tuple[float, ...]:
    """What each person's label says of the first answer."""
    shares = [meaning.share(label, data, form) for label in several(data, form)]
    if any(each is None for each in shares):
        labels = ", ".join(f"{each}: {_label_text(data.get(each))}" for each in form.labels)
        raise Unusable(
            "unreadable_label", f"the label {labels} does not say whether {form.a} or {form.b} is the better"
        )
    return tuple(each for each in shares if each is not None)


def _label_text(label: object) -> str:
    try:
        return json.dumps(label, default=str)[:100]
    except (ValueError, RecursionError):  # an integer too long to write, lists too deep
        return f"one of type {type(label).__name__}"


def answer_pair(
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
    if CALLS in first[-1] or CALLS in second[-1]:
        raise Unusable("tool_call", f"{pair[0]} or {pair[1]} ends with the call of a tool, and not with an answer")
    one, other = first[-1]["content"], second[-1]["content"]
    column = _prompt_column(data, columns)
    if before and before[0]["role"] != ASSISTANT:
        # Whole conversations hold all that was said before the answers, a prompt column perhaps the first of it alone.
        talk = Conversation(f"{form} with the answers", before, (*pair, *filter(None, [column])))
        return _strip(with_system(data, talk, columns)), one, other
    if not column and not before:
        if others := [each for each in data if each not in (*pair, *LABELS) and _may_ask(data[each])]:
            raise Unusable(
                "no_prompt",
                f"no column has a prompt's name; name it under `columns` (prompt: {notation.names(others)})",
            )
        messages, one, other = _shared_beginning(one, other)
        return Conversation("paragraphs that both begin with", messages, pair), one, other
    question = _question(data, columns)
    return replace(question, messages=(*question.messages, *before), columns=(*question.columns, *pair)), one, other


def _answer(data: Mapping[str, object], column: str) -> tuple[str, tuple[Message, ...]]:
    """The form of an answer, and its turns: one, or those of the whole conversation."""
    value = data[column]
    if blank(value) or value in ("nan", "NaN"):  # which is what an empty cell becomes as text
        raise Unusable("empty_answer", f"{column} is empty")
    if number_of(value) is not None:
        value = str(value)
    talk = _strip(read(value, ASSISTANT))
    return talk.form, talk.messages


def _may_ask(value: object) -> bool:
    """Whether a column of another name may be the prompt: it holds a conversation, or a sentence."""
    try:
        talk = read(value)
    except Unusable:
        return False
    return talk.form != "text" or len(talk.messages[0]["content"].split()) >= SENTENCE


def _strip(talk: Conversation) -> Conversation:
    messages = tuple({**each, "content": each["content"].strip()} for each in talk.messages)
    return replace(talk, messages=messages)


def _shared_beginning(first: str, second: str) -> tuple[tuple[Message, ...], str, str]:
    """Two texts without a prompt: the paragraphs that both begin with are it."""
    one, other = re.split(r"\n\s*\n", first), re.split(r"\n\s*\n", second)
    alike = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if not alike:
        raise Unusable("no_prompt", "there is no prompt column, and the two texts begin with no paragraph in common")
    prompt = "\n\n".join(one[:alike]).strip()
    return ({"role": "user", "content": prompt},), "\n\n".join(one[alike:]).strip(), "\n\n".join(other[alike:]).strip()


def _prompt_column(data: Mapping[str, object], columns: Mapping[str, str]) -> str:
    """The column that holds the prompt; empty where there is none."""
    return columns.get("prompt") or next((key for key in PROMPTS if not absent(data.get(key))), "")


def _question(data: Mapping[str, object], columns: Mapping[str, str]) -> Conversation:
    """The prompt with what stands beside it.

    Raises:
        Unusable: there is none, or it does not end with the person's turn.
    """
    column = _prompt_column(data, columns)
    if absent(data.get(column)):
        raise Unusable("no_prompt", f"the prompt is empty (columns: {notation.names(data)}; name one under `columns`)")
    talk = _strip(question(data, column, columns))
    if talk.messages[-1]["role"] not in (USER, RESULT):
        raise Unusable("no_person_turn", f"{column} does not end with a turn of the person's")
    return talk


def _texts(value: object, bad: list[Unusable]) -> list[str]:
    """Answers, several in a list or the notation of one; ``bad`` gains why some are none."""
    items = notation.texts(value) if isinstance(value, str) else value
    texts = list[str]()
    for each in items if isinstance(items, list) else [items]:
        try:
            texts.append(_single(each))
        except Unusable as error:
            bad.append(error)
    return texts


def _single(value: object) -> str:
    _, (*before, answer) = _answer({"an answer": value}, "an answer")
    if before:
        raise Unusable("no_text", "an answer is a whole conversation")
    if CALLS in answer:
        raise Unusable("tool_call", "an answer is the call of a tool")
    return answer["content"]


def check_pair(pair: Comparison) -> Comparison:
    """The pair itself.

    Raises:
        Unusable: an answer is empty, or they are the same.
    """
    if not pair.first.strip() or not pair.second.strip():
        raise Unusable("empty_answer", "an answer is empty")
    if pair.first.strip() == pair.second.strip():
        raise Unusable("equal_answers", "the two answers are the same")
    return pair
