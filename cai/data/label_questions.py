"""What people are asked, or told, of the labels of a file of pairs: a sentence with what they hold and the YAML that answers."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cai.data.labels import COLD, HOT, SAYS, Form, Meaning, is_tie, number_of, suffix, value_of
from cai.data.notation import names
from constitution.wording import count

SHOWN, LONGEST = 6, 40
_WON = re.compile(r"win|won|better|best|prefer|chosen|vote", re.IGNORECASE)
_PLAIN = re.compile(r"(?!(?:true|false|yes|no|on|off|null|nan|[yn])$)[a-z][\w/-]*", re.ASCII | re.IGNORECASE)

Data = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """What a label's column holds.

    Attributes:
        values: with how many labels hold each.
        others: those that say nothing by their words, the commonest first.
        words: a value that says by its words that the first answer is the better (1), the second (0), or neither (0.5).
        beside: further columns that may be the label.
    """

    values: Mapping[str, int]
    others: Sequence[str]
    words: Mapping[float, str]
    beside: Sequence[str]


def what_stands_for(form: Form, column: LabelColumn, columns: Data, name: str) -> str:
    """The label's values say nothing by themselves."""
    holds = f"holds {_counts(column.values)}"
    if form.set_name and ", " in form.label:
        todo = "write the label into one column, as the name of the better answer's"
        return f"{name}: {form.label} {holds}, which are not all values of {form.set_name}; {todo}"
    absent = [key for key in ("first", "second") if key in columns and value_of(columns[key]) not in column.values]
    if absent:
        holds += f", and not {' or '.join(_quote(str(columns[key])) for key in absent)}"
        columns = {key: value for key, value in columns.items() if key not in absent}
    answer, why = _answer(form, column, columns)
    say = _mapping({**columns, "label": form.labels[0], **answer})
    which = f"{_which(column.others)} not say which answer is the better"
    other = (
        f", or name another column of these, if it is the label: {', '.join(column.beside)}" if column.beside else ""
    )
    return f"{name}: the label's column {_quote(form.label)} {holds}, and {which}; say `columns: {say}` {why}{other}"


def _answer(form: Form, column: LabelColumn, columns: Data) -> tuple[Data, str]:
    """What may be said of the values, and when it is right."""
    a, b, others = _quote(form.a), _quote(form.b), column.others
    numbers = [number for each in others if (number := number_of(each)) is not None]
    each_beside = f"with each value beside what it stands for: {a}, {b}, or neither"
    if keys := [key for key in ("first", "second", "tie") if key in columns]:
        rest = [key for key in ("first", "second", "tie") if key not in keys]
        return dict(zip(rest, _in_order(others), strict=False)), each_beside
    if {1.0, 0.0} <= column.words.keys():
        if len(others) == 1:
            return {"tie": others[0]}, f"if {_quote(others[0])} stands for a tie"
        return {"first": column.words[1.0], "second": column.words[0.0]}, "if rows with other values may be left out"
    if len(numbers) == len(others) and (scale := _scale(numbers, a, b)):
        return scale[0], f"{scale[1]}, with `means: worse` beside it if it is the other way round"
    if len(others) > 2:
        return dict(zip(("first", "second", "tie"), _in_order(others[:3]), strict=True)), each_beside
    one, other = others[0], others[-1]
    also = f"`first: {_yaml(other)}` in its place if {_quote(other)} does"
    if one == other:
        also = f"`second: {_yaml(one)}` in its place if it stands for {b}"
    return {"first": one}, f"if {_quote(one)} stands for {a}, or {also}"


def _in_order(values: Sequence[str]) -> Sequence[str]:
    """The values as first, second and tie may be: numbers from the lowest, and last what may be a tie."""
    return sorted(values, key=_rank)


def _scale(numbers: Sequence[float], a: str, b: str) -> tuple[Data, str] | None:
    """The scale that these numbers may be on, and when it is right; None where they are too few to be on one."""
    if min(numbers) < 0:
        return {"scale": "signed"}, f"if numbers below 0 stand for {a}, those above it for {b}, and 0 for a tie"
    if all(0 <= each <= 1 for each in numbers) and any(each % 1 for each in numbers):
        return {"scale": "share"}, f"if it is the probability that {a} is the better"
    if len(numbers) < 4:
        return None
    middle = _middle(numbers)
    return {"scale": "signed", "tie": middle}, f"if numbers below {middle} stand for {a} and those above it for {b}"


def _rank(value: str) -> tuple[bool, float]:
    """Ties are 0 or stand between two numbers; words stay as they are."""
    number = number_of(value)
    return (False, 0) if number is None else (number == 0 or number % 1 != 0, number)


def _middle(numbers: Iterable[float]) -> str:
    """The middle of a scale by its ends, to one half: few of a file's numbers stand at its very ends."""
    ends = list(numbers)
    return value_of(round(min(ends) + max(ends)) / 2)


def no_scale(form: Form, values: Mapping[str, int], scale: str, name: str) -> str:
    """The label is not on the scale that the recipe names."""
    what = "numbers from 0 to 1" if scale == "share" else "numbers"
    holds = f"the label's column {_quote(form.label)} holds {_counts(values)}"
    return f"{name}: `scale: {scale}` is for {what}, and {holds}; name another column or scale"


def no_sign(form: Form, values: Mapping[str, int], columns: Data, name: str) -> str:
    """A signed scale has no number below its middle, which nobody named."""
    middle = _middle(number for value in values if (number := number_of(value)) is not None)
    return (
        f"{name}: `scale: signed` is for numbers below and above 0, and the label's column {_quote(form.label)} holds "
        f"{_counts(values)}; say `columns: {_mapping({**columns, 'tie': middle})}` if {middle} is its middle, or `tie: 0`"
    )


def not_held(form: Form, values: Mapping[str, int], columns: Data, name: str) -> str:
    """No label holds what the recipe speaks of."""
    keys = " and ".join(f"`{key}: {_yaml(columns[key])}`" for key in SAYS if key in columns)
    return f"{name}: {keys} speaks of no label, for the column {_quote(form.label)} holds {_counts(values)}; name one of these"


def several_labels(labels: Sequence[str], columns: Data, differences: Mapping[str, int] | None = None) -> str:
    """Two columns or more say which answer is better.

    Args:
        differences: those that differ from the first → in how many rows.
    """
    either = " or ".join(f"`columns: {_mapping({**columns, 'label': each})}`" for each in labels)
    differ = f", and differ in {count(max(differences.values()), 'row')}" if differences else ""
    return f"{' and '.join(map(_quote, labels))} both say which answer is better{differ}; say {either}"


def several_forms(forms: Sequence[Form], columns: Data, name: str) -> str:
    """What the recipe says of values cannot be meant of two columns, or pairs of answers, alike; empty where there are no two."""
    by_columns = {
        (each.a, each.b, each.label): each for each in forms if each.kind == "labelled" and len(each.labels) == 1
    }
    keys = [key for key in (*SAYS, "scale") if key in columns]
    if not keys or len(by_columns) < 2:
        return ""
    places = " and others in ".join(
        f"{_quote(a)} and {_quote(b)} (label: {_quote(label)})" for a, b, label in by_columns
    )
    return (
        f"{name}: some rows have their answers in {places}, and {' and '.join(keys)} under `columns` may not mean the same of "
        "both; name a, b and label, and read the others as a source of their own"
    )


def only_names(answers: tuple[str, str] | None, columns: Data, name: str) -> str:
    """Chosen and rejected seem to name answers that stand elsewhere.

    Args:
        answers: their columns, where they are known.
    """
    a, b = answers or ("…", "…")
    where = _mapping({**columns, "a": a, "b": b, "label": "chosen"})
    return (
        f"{name}: chosen and rejected hold numbers, letters or names, which say of two other columns which is the better; say "
        f"`columns: {where}` with the columns of the answers, or `columns: {_mapping({**columns, 'means': 'better'})}` if "
        "they are themselves the answers"
    )


def reversal(against: int, rows: int, columns: Data, name: str) -> str:
    """Scores say that rejected is the better."""
    worse, better = (_mapping({**columns, "means": word}) for word in ("worse", "better"))
    return (
        f"{name}: in {against} of {count(rows, 'row')} rejected has the higher score, rating or reward; say `columns: {worse}` if "
        f"chosen is the worse answer, or `columns: {better}` if it is not"
    )


def number_for_each(form: Form, values: Mapping[str, int], columns: Data, name: str) -> str:
    """The label is a list of a number for each answer."""
    label = form.labels[0]
    hot = values.keys() <= {"0", "1"}
    say = {"label": [f"{label}.0", f"{label}.1"]} if hot else {"label": f"{label}.0", "scale": "share"}
    return (
        f"{name}: the label's column {_quote(label)} holds lists of numbers that sum to 1, one for each answer, which are not "
        f"the labels of several people; say `columns: {_mapping({**columns, **say})}` if the first is of {_quote(form.a)}"
    )


def other_order(form: Form) -> str:
    """Columns of which a 1 says which answer is better, in another order than the answers'; empty where they are in theirs."""
    order = _by_answer(form.labels, (form.a, form.b))
    if order == list(form.labels):
        return ""
    labels = _mapping({"label": order})
    return (
        f"under label stand {', '.join(map(_quote, form.labels))}, of which the first is read as that of {_quote(form.a)}; by "
        f"their names say {labels[1:-1]}, or `means: better` beside them if they are in the right order"
    )


def no_pairs(data: Data, name: str) -> str:
    """There are no columns that say which answer is better.

    Args:
        data: the first row.
    """
    return (
        f"{name}: no pairs in the columns {names(data)}; pairs are chosen and rejected, two "
        "answers and a label, or prompt, corrects and incorrects; name other columns under `columns`"
    )


def hot_columns(hot: Sequence[str], rows: Iterable[Data], answers: tuple[str, str], columns: Data, name: str) -> str:
    """Several columns may say together which answer is better."""
    counts = {each: Counter[str]() for each in hot}
    for row in rows:
        for each in hot:
            counts[each][value_of(row.get(each))] += 1
    listing = ", ".join(f"{_quote(each)} with {_counts(counts[each])}" for each in hot)
    labels = _by_answer(hot, answers)
    return (
        f"{name}: which answer is better may stand in the columns {listing}; if a 1 in one of them says it, say "
        f"`columns: {_mapping({**columns, 'label': labels})}`, the column of {_quote(answers[0])} first, then that of "
        f"{_quote(answers[1])}, then that of ties"
    )


def one_hot(data: Data, answers: tuple[str, str]) -> list[str]:
    """The columns of a row of which a 1 may say which answer is the better; none where there is but one."""
    hot = [each for each in data if _WON.search(each) and each not in answers and value_of(data[each]) in (*HOT, *COLD)]
    return hot if len(hot) > 1 else []


def in_words(form: Form, meaning: Meaning) -> str:
    """What labels stand for, as it is said."""
    label, a, b = _quote(form.label), _quote(form.a), _quote(form.b)
    if len(form.labels) > 1:
        places = zip(form.labels, (a, b, "a tie"), strict=False)
        return "a 1 " + ", ".join(f"in {_quote(column)} means {place}" for column, place in places)
    if meaning.scale == "share":
        return f"{label} is the probability that {a} is the better"
    if meaning.scale:
        middle = _quote(value_of(meaning.middle))
        return f"{label} below {middle} means {a}, above it {b}, {middle} a tie"
    sides = {1.0: a, 0.0: b, 0.5: "a tie"}
    return f"{label} " + ", ".join(f"{_quote(value)} means {sides[share]}" for value, share in meaning.values.items())


def _by_answer(hot: Sequence[str], answers: tuple[str, str]) -> list[str]:
    """The columns in the order of the answers whose ends they have, ties last."""
    ends = [suffix(each) for each in answers]

    def place(column: str) -> int:
        words = re.split(r"[\W_]+", column.lower())
        return next((n for n, end in enumerate(ends) if end in words), 3 if is_tie(words[-1]) else 2)

    return sorted(hot, key=place)[:3]


def _which(values: Sequence[str]) -> str:
    if all(number_of(each) is not None for each in values):
        return "numbers alone do"
    return f"{' and '.join(map(_quote, values[:2]))} {'do' if len(values) > 1 else 'does'}"


def _counts(values: Mapping[str, int]) -> str:
    """``1 (2 rows), 0 (3)``, the commonest first."""
    commonest = Counter(values).most_common(SHOWN)
    text = ", ".join(f"{_quote(value) or 'nothing'} ({count})" for value, count in commonest)
    return f"{text} and {len(values) - SHOWN} other values" if len(values) > SHOWN else text


def _quote(text: str) -> str:
    """A text of a file as it can stand in a line: in one piece, printable, and not long."""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return text if text.isprintable() else json.dumps(text)


def _mapping(data: Data) -> str:
    """A mapping as YAML has it in one line."""
    return "{" + ", ".join(f"{key}: {_yaml(value)}" for key, value in data.items()) + "}"


def _yaml(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    text = str(value)
    plain = number_of(text) is not None or _PLAIN.fullmatch(text)
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())
