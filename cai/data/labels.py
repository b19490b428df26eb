"""What a label says of two answers, by its words: a column's name, a letter, "first", a model's name, the answer itself, "tie".

A number says nothing by itself: 1 is the first answer in one file and the second in another. What numbers stand for comes
from a known set (``cai.data.known_sets``) or from the recipe (``columns``), or it is asked (``cai.data.survey``).
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from decimal import Decimal
from functools import cache

LABELS = (
    "label",
    "labels",
    "preference",
    "preferred",
    "preferred_text",
    "preferred_response",
    "human_preference",
    "winner",
    "better",
    "better_response",
    "better_response_id",
    "safer_response_id",
    "choice",
    "chosen",
    "verdict",
    "overall_preference",
    "preference_strength",
)
"""Where a label is looked for, in this order."""
TIES = ("tie", "tied", "draw", "both", "neither", "equal", "same", "both bad", "bothbad", "both good", "no preference")
NEITHER = "[[c]]"
HOT, COLD = ("1", "true"), ("0", "false")
SAYS = {"first": 1.0, "second": 0.0, "tie": 0.5}
"""Keys of ``columns`` that name a value of the label, and what that stands for."""

BITS = 1000
"""An integer of more is no label of anybody's, and Python would not write it out."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_NOUNS = "answer|assistant|candidate|chatbot|completion|conversation|model|option|output|reply|response|text"
_PLACE = re.compile(
    rf"(?:(?:{_NOUNS})[\s_-]*)?(a|b|\d+|first|second)(?:[\s_-]+(?:{_NOUNS}))?(?: (?:is better|better|wins|won))?"
)
_WORSE = re.compile(
    r"(?:^|[\W_])(?:los(?:er|ers|ing|es|t)|worse|worst|reject(?:ed)?|dispreferred|disliked|inferior|bad|least)(?:$|[\W_])",
    re.IGNORECASE,
)
_SIGNS = re.compile(r"([^<>=]+?)\s*(>+|<+|=+)\s*([^<>=]+)")


@dataclass(frozen=True, slots=True)
class Form:
    """How a row says which of its answers is the better.

    Attributes:
        kind: "chosen" and rejected; "choice" of correct and incorrect answers; or "labelled".
        a, b: of "labelled", the columns of the two answers.
        labels: the label's column; or two or three columns, of which the one that holds 1 says that a is the better, b, or neither.
        prompt: its column, where it is not one of the usual.
        set_name: of the known set whose columns these are.
    """

    kind: str
    a: str = ""
    b: str = ""
    labels: tuple[str, ...] = ()
    prompt: str = ""
    set_name: str = ""

    @property
    def label(self) -> str:
        """The label's column, or columns, in words."""
        return ", ".join(self.labels)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the labels of a file stand for.

    Attributes:
        values: a value's normal form → 1 where it stands for the first answer, 0 for the second, 0.5 for a tie.
        scale: "signed", numbers below ``middle`` for the first and above it for the second; "share", the probability of the
            first; or nothing. Words stand beside it for what they say.
        exhaustive: whether other values than these stand for nothing, though their words might.
        worse: whether a label is of the worse answer.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    scale: str = ""
    middle: float = 0
    exhaustive: bool = False
    worse: bool = False

    def share(self, label: object, data: Mapping[str, object], form: Form) -> float | None:
        """How far one label is for the first answer, from 0 to 1; None where what it stands for was not said."""
        if len(form.labels) > 1:
            share = _hot(data, form.labels)
        elif self.scale and (number := number_of(label)) is not None:
            share = self._on_scale(number)
        elif (value := value_of(label)) in self.values:
            share = self.values[value]
        elif self.exhaustive:
            share = 0.5 if is_tie(label) else None
        else:
            share = side_of(label, data, form)
        return 1 - share if self.worse and share is not None else share

    def mirror(self) -> "Meaning":
        """The same where the two answers have changed places."""
        if self.scale:
            return replace(self, worse=not self.worse)
        return replace(self, values={value: 1 - share for value, share in self.values.items()})

    def _on_scale(self, number: float) -> float | None:
        if self.scale == "signed":
            return 0.5 if number == self.middle else float(number < self.middle)
        return float(number) if 0 <= number <= 1 else None


def label_columns(columns: Mapping[str, object]) -> tuple[str, ...]:
    """The label's column, or columns, as a recipe names them; none where it names none."""
    label = columns.get("label", ())
    return (label,) if isinstance(label, str) else tuple(map(str, label)) if isinstance(label, list | tuple) else ()


def names_of(columns: Mapping[str, object]) -> list[str]:
    """The columns that a recipe's ``columns`` name; its other keys say what values stand for."""
    return [
        *(str(columns[key]) for key in ("prompt", "a", "b", "system", "context", "tools") if key in columns),
        *label_columns(columns),
    ]


def conflicts(columns: Mapping[str, object]) -> Iterator[str]:
    """What of the ``columns`` of a block cannot stand together, each a sentence."""
    values = [value_of(columns[key]) for key in SAYS if key in columns]
    scale, sides = columns.get("scale"), [key for key in ("first", "second") if key in columns]
    if ("a" in columns) != ("b" in columns):
        yield "names one answer's column alone; name both, a and b"
    if "means" not in columns and (worse := [each for each in label_columns(columns) if _WORSE.search(each)]):
        yield (
            f"has {' and '.join(worse)} under label, which by its name is of the worse answer; say `means: worse` beside it, or "
            "`means: better` if it is not"
        )
    if len(label_columns(columns)) > 1 and (keys := [*sides, *({"tie", "scale"} & columns.keys())]):
        yield f"has several columns under label, of which a 1 says which answer is better; take {' and '.join(keys)} out"
    elif scale and sides:
        yield f"has a scale beside {' and '.join(sides)}; say either"
    elif scale == "share" and "tie" in columns:
        yield "has a tie beside `scale: share`, where 0.5 is it; take tie out"
    elif scale and "tie" in columns and number_of(columns["tie"]) is None:
        yield "has a tie that is no number beside a scale; give the scale's middle"
    elif len(set(values)) < len(values):
        yield f"has {' and '.join(key for key in SAYS if key in columns)} of one value; a value stands for one thing"


def counts_from_one(label: str, form: Form) -> bool:
    """Whether a word says 1 of answers that are 0 and 1, and is not the name of the second: it may be counted otherwise."""
    match = _PLACE.fullmatch(_bare(label))
    return (
        match is not None and (suffix(form.a), suffix(form.b), match[1]) == ("0", "1", "1") and label != form.b.lower()
    )


def several(data: Mapping[str, object], form: Form) -> Sequence[object]:
    """The labels of one row, one for each person; of one-hot columns a single one."""
    label = data.get(form.labels[0])
    return label if isinstance(label, list) and label and len(form.labels) == 1 else [label]


def number_of(label: object) -> int | float | None:
    """A label as a number, where it is a finite one or is written as one; True is none."""
    if isinstance(label, str):
        text = label.strip()
        if len(text) > 300 or not _NUMBER.fullmatch(text):
            return None
        label = int(text) if text.lstrip("+-").isdigit() else float(text)
    elif isinstance(label, Decimal) and label.is_finite():
        label = float(label)
    if isinstance(label, int) and not isinstance(label, bool):
        return label if label.bit_length() < BITS else None
    return label if isinstance(label, float) and math.isfinite(label) else None


def value_of(label: object) -> str:
    """A label's normal form: 1, 1.0 and "1" are the same, as are "A" and " a"; empty of what is no label: nothing, no finite
    number, a list, a mapping."""
    if (number := number_of(label)) is not None:
        exact = isinstance(number, int) or (number.is_integer() and abs(number) < 2**53)
        return str(int(number)) if exact else repr(number)
    if isinstance(label, str):
        return "" if label.strip().lower() == "nan" else label.strip().lower()
    if isinstance(label, bool):
        return str(label).lower()
    return str(label) if isinstance(label, date | time) else ""


def is_tie(label: object) -> bool:
    """Whether a label's word is one for a tie; "[[C]]" is one where judges write "[[A]]" and "[[B]]" (Zheng et al. 2023)."""
    word = _bare(label)
    return word in TIES or bool(re.match(r"tie\b", word)) or value_of(label) == NEITHER


def side_of(label: object, data: Mapping[str, object], form: Form) -> float | None:
    """What a label's words say: 1 for the first answer, 0 for the second, 0.5 for a tie; None where they say nothing, or
    two things at once."""
    if not isinstance(label, str) or not label.strip() or number_of(label) is not None:
        return None
    sides = {0.5} if is_tie(label) and not _of_third(label, data, form) else set[float]()
    sides |= _sides(label.strip().lower(), (form.a.lower(), form.b.lower()))
    sides |= _place(_bare(label), form)
    sides |= _comparison(_bare(label), form)
    sides |= _sides(label.strip().lower(), _models(data, form))
    sides |= _sides(label.strip(), (str(data.get(form.a)).strip(), str(data.get(form.b)).strip()))
    return sides.pop() if len(sides) == 1 else None


def _of_third(label: str, data: Mapping[str, object], form: Form) -> bool:
    """Whether "[[C]]" may be the third of three answers."""
    return value_of(label) == NEITHER and any(suffix(each) == "c" for each in data if each not in (form.a, form.b))


@cache
def suffix(column: str) -> str:
    """What tells a column from its sibling: "a" of response_a and human_ref_A, "1" of response1."""
    last = re.split(r"[\W_]+", column)[-1]
    end = re.search(r"(\d+|(?<=[a-z])[AB])$", last)
    return (end[1] if end else last).lower()


def _sides(word: str, names: tuple[str, str]) -> set[float]:
    """The side whose name a word is; neither where both have it."""
    return {1.0 - place for place, name in enumerate(names) if word == name} if names[0] != names[1] else set()


def _bare(label: object) -> str:
    """A word without what it is dressed in: "[[A]]" is "a", "both_bad" is "both bad"."""
    return re.sub(r"[\s_-]+", " ", label.strip().strip("[]().").strip().lower()) if isinstance(label, str) else ""


def _place(word: str, form: Form) -> set[float]:
    """The side of "A", "model_b", "Response 2", "first": by the ends of the answers' columns, letters by their order too."""
    match = _PLACE.fullmatch(word)
    if not match or match[0].isdigit():
        return set()
    ends = suffix(form.a), suffix(form.b)
    if match[1] in ends:
        return _sides(match[1], ends)
    if ends[0] > ends[1] and max(map(len, ends)) == 1:  # the two have changed places: first of which order?
        return set()
    for places in (("a", "b"), ("first", "second")):
        if match[1] in places and not set(ends) & set(places):
            return _sides(match[1], places)
    return set()


def _comparison(word: str, form: Form) -> set[float]:
    """The side of "A>B", "B >> A" and "A=B"."""
    match = _SIGNS.fullmatch(word)
    left, right = (_place(match[n].strip(), form) for n in (1, 3)) if match else (set[float](), set[float]())
    if not match or len(left | right) != 2:
        return set()
    return {"=": {0.5}, ">": left, "<": right}[match[2][0]]


def _models(data: Mapping[str, object], form: Form) -> tuple[str, str]:
    """The names of the models that gave the two answers, where columns have them; else two names that are no label."""
    for columns in _model_columns(form.a, form.b):
        one, other = map(data.get, columns)
        if isinstance(one, str) and isinstance(other, str) and one.strip() and other.strip():
            return one.strip().lower(), other.strip().lower()
    return "", ""


@cache
def _model_columns(a: str, b: str) -> list[tuple[str, str]]:
    """Where models' names are looked for: model_a and model_b, response_a_model and response_b_model, and the like."""
    ends = suffix(a), suffix(b)
    tails = a[-len(ends[0]) :], b[-len(ends[1]) :]
    patterns = ("model_{}", "model{}", "{}_model", "generator_{}")
    return [(kind.format(one), kind.format(other)) for one, other in (ends, tails, (a, b)) for kind in patterns]


def _hot(data: Mapping[str, object], columns: tuple[str, ...]) -> float | None:
    values = [value_of(data.get(each)) for each in columns]
    if any(each not in (*HOT, *COLD) for each in values) or sum(each in HOT for each in values) != 1:
        return None
    return (1.0, 0.0, 0.5)[next(place for place, each in enumerate(values) if each in HOT)]
