"""Files of answers, whoever wrote them → answers to be measured.

A row has a prompt (``prompt``, ``messages`` or the column that is named) and an answer: a column of its own, or the last turn of
its messages. A row of an evaluation's own ``answers-<role>/`` is read as well. ``category``, ``tags``, ``label`` and ``type`` say
what the prompt is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from cai.data import records
from cai.data.conversations import ASSISTANT, read
from cai.data.notation import Unusable, names, printable
from cai.data.prompt_source import PROMPT, TRACKS, PromptSource
from cai.data.questions import MESSAGES, at
from cai.data.values import absent, blank
from cai.errors import UserError
from cai.store.identity import content_id
from cai.store.rows import Answers, Draft, Drop, Message

ANSWERS = ("answer", "completion", "response", "reply", "output", "generation")
"""Columns that an answer is looked for in, in this order."""
TAGS = ("category", "tags", "label", "type")
"""Columns that say what a prompt is."""


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """Where answers are.

    Attributes:
        column: that of the prompt.
        answer: that of the answer; looked for unless given.
        track: of rows that have none of their own; empty where it is not known.
    """

    path: str
    column: str = PROMPT
    answer: str = ""
    track: str = ""
    limit: int | None = None


def answers(source: AnswerSource) -> Iterator[Answers | Drop]:
    """Every row, or why it gives nothing.

    Raises:
        UserError: the file cannot be read, or none of its rows has an answer.
    """
    read_any, last = False, ""
    for entry in islice(records.entries(PromptSource(source.path)), source.limit):
        try:
            yield _row(entry.data, source)
            read_any = True
        except Unusable as error:
            last = f"{entry.place}: {error}"
            yield Drop(f"{entry.number}", error.reason, printable(last))
    if not read_any:
        raise UserError(printable(last) or f"{source.path} has no rows")


def _row(data: Mapping[str, object], source: AnswerSource) -> Answers:
    messages, said = _turns(data, source)
    row_id, track = data.get("id"), data.get("track")
    name = str(row_id) if isinstance(row_id, str | int) and str(row_id) else content_id(messages)
    language = data.get("language")
    return Answers(
        name,
        messages,
        Draft(said, "", "stop", 0),
        str(track) if track in TRACKS else source.track,
        tuple(_tags(data)),
        language if isinstance(language, str) else "",
    )


def _turns(data: Mapping[str, object], source: AnswerSource) -> tuple[tuple[Message, ...], str]:
    """What was asked, and what was answered.

    Raises:
        Unusable: either is missing.
    """
    usual = (source.column, *MESSAGES) if source.column == PROMPT else (source.column,)
    column = next((each for each in usual if not absent(at(data, each))), "")
    if not column:
        raise Unusable("no_prompt", f'there is no column "{source.column}"; name one of: {names(data)} with --column')
    turns = read(at(data, column)).messages
    if (said := _answer(data, source)) is not None:
        return turns, said
    if len(turns) > 1 and turns[-1]["role"] == ASSISTANT:
        return turns[:-1], str(turns[-1].get("content") or "")
    raise Unusable("no_answer", f"no column holds an answer; name one of: {names(data)} with --answer")


def _answer(data: Mapping[str, object], source: AnswerSource) -> str | None:
    """The text of an answer's column, which may hold messages; empty where it is, None where there is no such column."""
    draft = data.get("draft")
    if not source.answer and isinstance(draft, dict) and isinstance(draft.get("text"), str):
        return draft["text"]
    candidates = [source.answer] if source.answer else ANSWERS
    column = next((each for each in candidates if at(data, each) is not None), None)
    value = at(data, column) if column else None
    if isinstance(value, str | None):
        return value
    if isinstance(value, list) and value and isinstance(value[-1], dict) and blank(value[-1].get("content")):
        return ""
    return str(read(value, ASSISTANT).messages[-1].get("content") or "")


def _tags(data: Mapping[str, object]) -> Iterator[str]:
    for column in TAGS:
        value = data.get(column)
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str) and each)
