"""A row of a file of comparisons → two answers with what people said of them, in each form that is in use.

``chosen`` and ``rejected`` (texts, lists of messages, or whole Human/Assistant transcripts); two answers and a label
(``response_a``, ``response_b``, ``label`` and the like); multiple choice (``prompt``, ``corrects``, ``incorrects``: each
correct answer beside each incorrect one). A label is the name, letter or number of the better answer's column, or a tie; a
list of labels is several people.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from cai.errors import UserError
from cai.store.rows import Message, is_text

PROMPTS = ("prompt", "messages", "question", "instruction", "input", "context", "query")
"""Where a prompt is looked for, in this order; an instruction's ``input`` belongs to it."""
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
_TURN = re.compile(r"\n\n(Human|Assistant|System): ?")
_ROLES = {"Human": "user", "Assistant": "assistant", "System": "system"}


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


class Unusable(ValueError):
    """A row that gives no pair; ``reason`` is counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


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
