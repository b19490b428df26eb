"""A row of a file of comparisons → two answers with what people said of them, in each form that is in use.

``chosen`` and ``rejected`` (texts, lists of messages, or whole Human/Assistant transcripts); two answers and a label
(``response_a``, ``response_b``, ``label`` and the like); multiple choice (``prompt``, ``corrects``, ``incorrects``: each
correct answer beside each incorrect one). What a label stands for is settled for the whole file (``cai.data.survey``); a list
of labels is several people.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from cai.data.known_sets import set_of
from cai.data.labels import Form, Meaning, several
from cai.data.survey import Survey, plain_rows
from cai.store.rows import Message, is_text

PROMPTS = ("prompt", "messages", "question", "instruction", "input", "context", "query")
"""Where a prompt is looked for, in this order; an instruction's ``input`` belongs to it."""
_TURN = re.compile(r"\n\n(Human|Assistant|System): ?")
_ROLES = {"Human": "user", "Assistant": "assistant", "System": "system"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers as a file has them.

    Attributes:
        people: 1 for each who found the first better, 0 for each who found the second, 0.5 for ties; between them for shares.
    """

    messages: tuple[Message, ...]
    first: str
    second: str
    people: tuple[float, ...]


class Unusable(ValueError):
    """A row that gives no pair; ``reason`` is counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def comparisons(data: Mapping[str, object], survey: Survey) -> list[Comparison]:
    """The pairs of one row.

    Args:
        survey: what the labels of its file stand for.

    Raises:
        Unusable: there is none.
    """
    known = set_of(data, survey.columns)
    rows = plain_rows(data, survey.columns, known)
    if not rows and known is not None:
        raise Unusable("no_answers", f"holds no two answers as {known.name} has them")
    if any(form not in survey.meanings for _, form in rows) or not rows:
        raise Unusable("no_pair", "has not the columns of the first row")
    return [pair for row, form in rows for pair in _pairs(row, form, survey.meanings[form])]


def _pairs(data: Mapping[str, object], form: Form, meaning: Meaning) -> list[Comparison]:
    """The pairs of one row with the usual columns."""
    columns = {"prompt": form.prompt} if form.prompt else {}
    better = (0.0,) if meaning.worse else (1.0,)
    match form.kind:
        case "chosen":
            messages, first, second = _answered(data, ("chosen", "rejected"), columns)
            return [Comparison(messages, first, second, better)]
        case "choice":
            messages = _prompt(data, columns)
            right, wrong = _texts(data["corrects"]), _texts(data["incorrects"])
            if not right or not wrong:
                raise Unusable("no_answers", "corrects or incorrects is empty")
            return [Comparison(messages, *both, better) for both in product(right, wrong)]
        case _:
            messages, first, second = _answered(data, (form.a, form.b), columns)
            return [Comparison(messages, first, second, _people(data, form, meaning))]


def _people(data: Mapping[str, object], form: Form, meaning: Meaning) -> tuple[float, ...]:
    """What each person's label says of the first answer."""
    shares = [meaning.share(label, data, form) for label in several(data, form)]
    if any(each is None for each in shares):
        labels = ", ".join(f"{each}: {_written(data.get(each))}" for each in form.labels)
        raise Unusable(
            "unreadable_label", f"the label {labels} does not say whether {form.a} or {form.b} is the better"
        )
    return tuple(each for each in shares if each is not None)


def _written(label: object) -> str:
    try:
        return json.dumps(label, default=str)[:100]
    except (ValueError, RecursionError):  # an integer too long to write, lists too deep
        return f"one of type {type(label).__name__}"


def _answered(
    data: Mapping[str, object], pair: tuple[str, str], columns: Mapping[str, str]
) -> tuple[tuple[Message, ...], str, str]:
    """The conversation before two answers, and the answers."""
    first, second = (_turns(data[key]) for key in pair)
    if not first or not second:
        raise Unusable("empty_answer", f"{pair[0]} or {pair[1]} is empty")
    prompted = bool(columns.get("prompt")) or any(data.get(key) for key in PROMPTS)
    if len(first) == len(second) == 1:
        if prompted:
            return _prompt(data, columns), first[0]["content"], second[0]["content"]
        return _begun_alike(first[0]["content"], second[0]["content"])
    # Whole conversations hold all that was said before the answers, a prompt column perhaps the first of it alone.
    if first[:-1] != second[:-1] or first[-1]["role"] != "assistant" or second[-1]["role"] != "assistant":
        raise Unusable("other_conversations", "the two do not differ in the last answer alone")
    return tuple(first[:-1]), first[-1]["content"], second[-1]["content"]


def _begun_alike(first: str, second: str) -> tuple[tuple[Message, ...], str, str]:
    """Two texts without a prompt: the paragraphs that both begin with are it."""
    one, other = re.split(r"\n\s*\n", first), re.split(r"\n\s*\n", second)
    alike = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if not alike:
        raise Unusable("no_prompt", "there is no prompt column, and the two texts begin with no paragraph in common")
    prompt = "\n\n".join(one[:alike]).strip()
    return ({"role": "user", "content": prompt},), "\n\n".join(one[alike:]).strip(), "\n\n".join(other[alike:]).strip()


def _prompt(data: Mapping[str, object], columns: Mapping[str, str]) -> tuple[Message, ...]:
    key = columns.get("prompt") or next((key for key in PROMPTS if data.get(key)), "")
    turns = _turns(data.get(key))
    more = data.get("input")
    if key == "instruction" and isinstance(more, str) and more.strip() and turns:
        turns = [{"role": "user", "content": f"{turns[0]['content']}\n\n{more.strip()}"}]
    if not turns:
        raise Unusable("no_prompt", f"the prompt is empty (columns: {', '.join(data)})")
    return tuple(turns)


def _turns(said: object) -> list[Message]:
    """A text, a transcript or a list of messages as messages; a bare text is the person's, or an answer."""
    if isinstance(said, list):
        kept = [each for each in said if isinstance(each, dict) and each.get("content")]
        return [{"role": str(each.get("role", "user")), "content": _text(each["content"]).strip()} for each in kept]
    text = "" if said is None else _text(said)
    if not _TURN.match("\n\n" + text.strip()):
        return [{"role": "user", "content": text.strip()}] if text.strip() else []
    parts = _TURN.split("\n\n" + text.strip())[1:]
    said_by = zip(parts[::2], parts[1::2], strict=True)
    turns = [{"role": _ROLES[role], "content": words.strip()} for role, words in said_by]
    # A prompt may end in "Assistant:", the turn that is to come.
    return turns[:-1] if turns and not turns[-1]["content"] and turns[-1]["role"] == "assistant" else turns


def _text(said: object) -> str:
    """A text, a number, or a list of parts that are texts, as chats have them.

    Raises:
        Unusable: it is something else, or no Unicode text.
    """
    if isinstance(said, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in said):
        said = "".join(part["text"] for part in said)
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        raise Unusable("no_text", f"expected a text, found {type(said).__name__}")
    if not is_text(str(said)):
        raise Unusable("no_text", "holds half a surrogate pair, which is no Unicode text")
    return str(said)


def _texts(said: object) -> list[str]:
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            said = [said]
    return [_text(each) for each in (said if isinstance(said, list) else [said])]


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
