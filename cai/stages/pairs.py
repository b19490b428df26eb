"""Pairs of answers that are there already → pairs to be judged, with what people said of them.

Read as they come, by their columns: ``chosen`` and ``rejected`` (texts, lists of messages, or whole Human/Assistant
transcripts); two answers and a label (``response_a``, ``response_b``, ``label`` and the like); multiple choice
(``prompt``, ``corrects``, ``incorrects``: each correct answer beside each incorrect one). A label is the name, letter or
number of the better answer's column, or a tie; a list of labels, or the same pair in several rows, is several people.

Which answer becomes a is drawn by the pair's own hash, so that the better one stands on either side.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from cai import records
from cai.errors import UserError
from cai.rows import Draft, Drop, Message, Pair, content_id

PROMPTS = ("prompt", "messages", "question", "instruction", "input", "context", "query")
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
class Pairs:
    """The ``pairs`` block.

    Attributes:
        path: a file; or
        hub: a dataset on the Hub, with its split and configuration.
        columns: what is what, where it cannot be told by its name: prompt, a, b and label → column.
        limit: rows to take from the front; None takes all.
        track: of every pair that has none of its own.
    """

    path: str = ""
    hub: str = ""
    split: str = "train"
    config: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    track: str = "redteam"
    part_size: int = 1000


@dataclass(frozen=True, slots=True)
class Compared:
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


def read(want: Pairs) -> Iterator[Pair | Drop]:
    """Every pair, in order, once; what several rows say of one pair is together.

    Raises:
        UserError: the file cannot be read, or has no columns that say what is what.
    """
    said: dict[str, list[float]] = {}
    for pair in _each(want):
        if isinstance(pair, Pair):
            said.setdefault(pair.id, []).extend(pair.people)
    for pair in _each(want):
        if isinstance(pair, Drop):
            yield pair
        elif pair.id in said:
            people = tuple(said.pop(pair.id))
            yield Pair(pair.id, pair.prompt_id, pair.messages, pair.a, pair.b, pair.track, people=people)
        else:
            yield Drop(pair.id, "same_pair", "counted with the first row of this pair")


def _each(want: Pairs) -> Iterator[Pair | Drop]:
    name = Path(want.path or want.hub).name
    for number, data in enumerate(_records(want)):
        if want.limit is not None and number >= want.limit:
            return
        try:
            found = compared(data, want.columns)
        except Unusable as error:
            yield Drop(f"{name}:{number + 1}", error.reason, f"{name}, row {number + 1}: {error}")
            continue
        yield from (_pair(each, str(data.get("track") or want.track)) for each in found)


def _records(want: Pairs) -> Iterator[dict[str, Any]]:
    rows = (
        records.from_hub(want.hub, want.split, want.config, lambda _: None)
        if want.hub
        else records.from_file(Path(want.path), lambda _: None)
    )
    for number, data in enumerate(rows):
        if not number and _form(data, want.columns) is None:
            raise UserError(
                f"{want.path or want.hub}: no pairs in the columns {', '.join(data)}; pairs are chosen and rejected, two "
                "answers and a label, or prompt, corrects and incorrects; name other columns under `columns`"
            )
        yield data


def compared(data: Mapping[str, Any], columns: Mapping[str, str]) -> list[Compared]:
    """The pairs of one row.

    Args:
        columns: of prompt, a, b and label, where their names do not tell.

    Raises:
        Unusable: there is none.
    """
    match _form(data, columns):
        case "chosen":
            messages, first, second = _answered(data, ("chosen", "rejected"), columns)
            return [_checked(Compared(messages, first, second, (1.0,)))]
        case "choice":
            messages = _prompt(data, columns)
            both = product(_texts(data["corrects"]), _texts(data["incorrects"]))
            return [_checked(Compared(messages, right, wrong, (1.0,))) for right, wrong in both]
        case (a, b, label):
            messages, first, second = _answered(data, (a, b), columns)
            people = tuple(_preferred(each, a, b) for each in _several(data.get(label)))
            return [_checked(Compared(messages, first, second, people))]
        case _:
            raise Unusable("no_pair", "has not the columns of the first row")


def _form(data: Mapping[str, Any], columns: Mapping[str, str]) -> str | tuple[str, str, str] | None:
    """How a row says which answer is better: "chosen", "choice", or the columns of two answers and the label."""
    if "a" in columns and "b" in columns:
        label = columns.get("label") or next((each for each in LABELS if each in data), "")
        return (columns["a"], columns["b"], label) if {columns["a"], columns["b"], label} <= data.keys() else None
    if {"chosen", "rejected"} <= data.keys():
        return "chosen"
    if {"corrects", "incorrects"} <= data.keys():
        return "choice"
    for a, b in ANSWERS:
        label = columns.get("label") or next((each for each in LABELS if each in data), "")
        if {a, b, label} <= data.keys():
            return a, b, label
    return None


def _answered(
    data: Mapping[str, Any], pair: tuple[str, str], columns: Mapping[str, str]
) -> tuple[tuple[Message, ...], str, str]:
    """The conversation before two answers, and the answers."""
    first, second = (_turns(data[key]) for key in pair)
    if not first or not second:
        raise Unusable("empty_answer", f"{pair[0]} or {pair[1]} is empty")
    if columns.get("prompt") or any(data.get(key) for key in PROMPTS):
        return _prompt(data, columns), first[-1]["content"], second[-1]["content"]
    if len(first) == len(second) == 1:
        return _begun_alike(first[0]["content"], second[0]["content"])
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


def _prompt(data: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Message, ...]:
    key = columns.get("prompt") or next((key for key in PROMPTS if data.get(key)), "")
    turns = _turns(data.get(key))
    if not turns:
        raise Unusable("no_prompt", f"the prompt is empty (columns: {', '.join(data)})")
    return tuple(turns)


def _turns(said: Any) -> list[Message]:
    """A text, a transcript or a list of messages as messages; a bare text is the person's, or an answer."""
    if isinstance(said, list):
        kept = [each for each in said if isinstance(each, dict) and each.get("content")]
        return [{"role": str(each.get("role", "user")), "content": str(each["content"]).strip()} for each in kept]
    text = said if isinstance(said, str) else ""
    if not _TURN.match("\n\n" + text.strip()):
        return [{"role": "user", "content": text.strip()}] if text.strip() else []
    parts = _TURN.split("\n\n" + text.strip())[1:]
    said_by = zip(parts[::2], parts[1::2], strict=True)
    turns = [{"role": _ROLES[role], "content": words.strip()} for role, words in said_by]
    # A prompt may end in "Assistant:", the turn that is to come.
    return turns[:-1] if turns and not turns[-1]["content"] and turns[-1]["role"] == "assistant" else turns


def _texts(said: Any) -> list[str]:
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except ValueError:
            said = [said]
    return [str(each) for each in said] if isinstance(said, list) else []


def _several(label: Any) -> Sequence[Any]:
    return label if isinstance(label, list) else [label]


def _preferred(label: Any, a: str, b: str) -> float:
    """What one person's label says of the first answer: 1, 0, or 0.5 for a tie."""
    word = f"{label:g}" if isinstance(label, float) else str(label).strip().lower()
    for value, column in ((1.0, a.lower()), (0.0, b.lower())):
        suffix = column.rpartition("_")[2]
        if word in (column, suffix, f"model_{suffix}", f"response_{suffix}"):
            return value
    if word in TIES or word.startswith("tie"):
        return 0.5
    if {a.rpartition("_")[2], b.rpartition("_")[2]} == {"a", "b"} and word in ("0", "1"):
        return 1.0 - float(word)
    raise Unusable("unreadable_label", f"the label {label!r} names neither {a} nor {b}")


def _checked(pair: Compared) -> Compared:
    if not pair.first.strip() or not pair.second.strip():
        raise Unusable("empty_answer", "an answer is empty")
    if pair.first.strip() == pair.second.strip():
        raise Unusable("equal_answers", "the two answers are the same")
    return pair


def _pair(found: Compared, track: str) -> Pair:
    context = content_id(found.messages)
    ordered = sorted((found.first.strip(), found.second.strip()))
    digest = hashlib.sha256(json.dumps([context, *ordered], ensure_ascii=False).encode()).digest()
    # Sorted first, so that two people who saw the same pair in different orders speak of one pair.
    texts = ordered if digest[-1] % 2 else ordered[::-1]
    a, b = (Draft(text, "", "stop", 0) for text in texts)
    straight = texts[0] == found.first.strip()
    people = tuple(each if straight else 1 - each for each in found.people)
    return Pair(f"{context}/{digest.hex()[:12]}", context, found.messages, a, b, track, people=people)
