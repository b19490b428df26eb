"""The first look at a file of pairs: in which form its rows are, what its labels hold, and so what they stand for.

Where that is neither in their words, nor in a known set, nor in the recipe, it is asked: a label is never guessed from a number.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cai.data import label_questions
from cai.data.known_sets import KnownSet, set_of
from cai.data.label_questions import Held
from cai.data.labels import LABELS, SAYS, Form, Meaning, is_tie, label_columns, number_of, several, side_of, value_of
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
MOST = 1000
"""Different values of one label; a column with more is none."""

Data = Mapping[str, object]


@dataclass(slots=True)
class Tally:
    """What the labels of one form hold.

    Attributes:
        known: the known set whose columns the rows have.
        values: normal form → labels that hold it, but for those that hold none.
        sides: of each value that says it by its words, the answer's side; numbers never do.
        beside: further columns that may be the label.
        against: rows whose other columns do not bear out that they are of a known set, less those that do.
        misfits: whether a value is none of the known set's.
    """

    known: KnownSet | None = None
    values: Counter[str] = field(default_factory=Counter)
    sides: dict[str, float] = field(default_factory=dict)
    beside: Sequence[str] = ()
    against: int = 0
    misfits: bool = False

    def add(self, label: object, data: Data, form: Form) -> None:
        """One label."""
        value = value_of(label)
        if not value or (value not in self.values and len(self.values) >= MOST):
            return
        self.values[value] += 1
        if (side := side_of(label, data, form)) is not None:
            self.sides[value] = side

    @property
    def fits(self) -> bool:
        """Whether the rows are of the known set, by what they hold too."""
        known = self.known if not self.misfits and self.against <= 0 else None
        return known is not None and known.sign(self.values)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the labels of each form in a file stand for.

    Attributes:
        columns: as in the ``pairs`` block.
        says: what people are told of it, a line for each thing.
    """

    columns: Data
    meanings: Mapping[Form, Meaning]
    says: tuple[str, ...] = ()


def survey(rows: Iterable[Data], columns: Data, name: str = "the row") -> Survey:
    """Look at all rows.

    Args:
        name: of the file, for people.

    Raises:
        UserError: the first row is no pair; or what labels stand for has to be said, which the sentence asks.
    """
    tallies: dict[Form, Tally] = {}
    rows = iter(rows)
    for number, data in enumerate(rows):
        known = set_of(data, columns)
        try:
            forms = plain_rows(data, columns, known)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        if not number and not forms and known is None:
            raise UserError(label_questions.no_pairs(data, rows, _answers(data, columns), columns, name))
        for row, form in forms:
            if form not in tallies:
                tallies[form] = Tally(
                    known, beside=[each for each in LABELS if each in data and each not in form.labels]
                )
            _count(tallies[form], row, form, data)
    return _outcome(tallies, columns, name)


def has_pairs(data: Data) -> bool:
    """Whether a row, of whose columns nothing is said, is one of pairs, or may be one that has to be asked about."""
    known = set_of(data, {})
    try:
        return known is not None or form_of(data, {}) is not None or bool(_hot(data))
    except UserError:
        return True


def _hot(data: Data) -> list[str]:
    answers = _answers(data, {})
    return label_questions.one_hot(data, answers) if answers else []


def plain_rows(data: Data, columns: Data, known: KnownSet | None) -> list[tuple[Data, Form]]:
    """A row as rows with the usual columns, each with its form; nothing where it has none.

    Raises:
        UserError: see ``form_of``.
    """
    if known is None:
        form = form_of(data, columns)
        return [(data, form)] if form else []
    form = replace(known.form, known=known.name)
    if known.rows:
        return [(row, form) for row in known.rows(data)]
    if columns.get("a") == form.b:
        form = replace(form, a=form.b, b=form.a)
    return [(data, replace(form, prompt=str(columns.get("prompt", form.prompt))))]


def form_of(data: Data, columns: Data) -> Form | None:
    """How a row of no known set says which answer is the better.

    Raises:
        UserError: two columns say it, each in another sense.
    """
    labels, prompt = label_columns(columns), str(columns.get("prompt", ""))
    there = tuple(each for each in LABELS if each in data)
    if "a" in columns and "b" in columns:
        form = Form("labelled", str(columns["a"]), str(columns["b"]), labels or there[:1], prompt)
        return form if form.labels and {form.a, form.b, *form.labels} <= data.keys() else None
    if {"chosen", "rejected"} <= data.keys():
        if labels:
            raise UserError(
                f"chosen and rejected say which answer is better, and so does {labels[0]}; name the answers, a and b"
            )
        return Form("chosen", prompt=prompt)
    if {"corrects", "incorrects"} <= data.keys():
        return Form("choice", prompt=prompt)
    answers = _answers(data, columns)
    if not answers or not (labels or there) or not set(labels) <= data.keys():
        return None
    if not labels and len(there) > 1 and all(each.endswith("_response_id") for each in there):
        either = " or ".join(f"`columns: {{label: {each}}}`" for each in there)
        raise UserError(f"{' and '.join(there)} both say which answer is better; say {either}")
    return Form("labelled", *answers, labels or there[:1], prompt)


def _answers(data: Data, columns: Data) -> tuple[str, str] | None:
    """The columns of the two answers."""
    if "a" in columns and "b" in columns:
        return str(columns["a"]), str(columns["b"])
    return next((pair for pair in ANSWERS if set(pair) <= data.keys()), None)


def _count(tally: Tally, row: Data, form: Form, data: Data) -> None:
    """Add what one row holds; ``data`` is the row as its file has it."""
    known = tally.known
    if known is not None and (witness := known.witness(data)) is not None:
        tally.against += -1 if witness else 1
    if form.kind != "labelled" or len(form.labels) > 1:
        return
    for label in several(row, form):
        tally.add(label, row, form)
        tally.misfits |= known is not None and bool(value := value_of(label)) and not known.holds(value)


def _outcome(tallies: Mapping[Form, Tally], columns: Data, name: str) -> Survey:
    meanings, says = dict[Form, Meaning](), list[str]()
    worse = columns.get("means") == "worse"
    for form, tally in tallies.items():
        meaning = _meaning(form, tally, columns, name)
        meanings[form] = replace(meaning, worse=meaning.worse != worse)
        says += _lines(form, tally, meaning, columns, name)
    if worse:
        says.append(
            f"{name}: what a label or a column names as the better answer is read as the worse, as `means` says"
        )
    return Survey(columns, meanings, tuple(dict.fromkeys(says)))


def _meaning(form: Form, tally: Tally, columns: Data, name: str) -> Meaning:
    """What the labels of a form stand for, but for which answer they are of.

    Raises:
        UserError: it is not said.
    """
    keys = [key for key in (*SAYS, "scale") if key in columns]
    if form.kind != "labelled" or len(form.labels) > 1:
        if keys:
            raise UserError(
                f"{name}: {' and '.join(keys)} under `columns` is for one label's values, and its rows have none; take it out"
            )
        return Meaning()
    if columns.get("scale"):
        return _on_scale(form, tally, columns, name)
    if columns.keys() & SAYS:
        return _by_recipe(form, tally, columns, name)
    if tally.fits and (card := _card(form, tally)):
        return card
    return _by_words(form, tally, Meaning(), columns, name)


def _card(form: Form, tally: Tally) -> Meaning | None:
    """What the labels stand for by the known set's card; None where their words say it."""
    if tally.known is None or not (tally.known.meaning.values or tally.known.meaning.scale):
        return None
    return tally.known.meaning if form.a == tally.known.form.a else tally.known.meaning.mirror()


def _on_scale(form: Form, tally: Tally, columns: Data, name: str) -> Meaning:
    """A scale of numbers, as the recipe says."""
    meaning = Meaning(scale=str(columns["scale"]), middle=number_of(columns.get("tie")) or 0)
    numbers = [number for value in tally.values if (number := number_of(value)) is not None]
    if tally.values and (not numbers or not all(0 <= each <= 1 for each in numbers if meaning.scale == "share")):
        raise UserError(label_questions.no_scale(form, tally.values, meaning.scale, name))
    return meaning


def _by_recipe(form: Form, tally: Tally, columns: Data, name: str) -> Meaning:
    """Values that the recipe names; where it names one answer's, a single value more is the other's."""
    values = {value_of(columns[key]): share for key, share in SAYS.items() if key in columns}
    sides = {1.0, 0.0} & set(values.values())
    if not sides:
        return _by_words(form, tally, Meaning(values), columns, name)
    # Words stand beside what is said of other values, unless it is said that they mean the contrary.
    contrary = any(tally.sides.get(value, share) != share for value, share in values.items())
    others = [each for each, _ in tally.values.most_common() if each not in values and not is_tie(each)]
    others = others if contrary else [each for each in others if each not in tally.sides]
    if len(sides) == 1 and len(others) > 1:
        raise UserError(
            label_questions.what_stands_for(form, Held(tally.values, others, {}, tally.beside), columns, name)
        )
    if len(sides) == 1 and others:
        values[others[0]] = 1 - sides.pop()
    return Meaning(values, closed=contrary)


def _by_words(form: Form, tally: Tally, meaning: Meaning, columns: Data, name: str) -> Meaning:
    """What words say. Single words that say nothing are left out with their rows, but not where one side would be left out
    whole; a number is always asked about."""
    read = meaning.values.keys() | tally.sides.keys()
    others = [value for value, _ in tally.values.most_common() if value not in read]
    words = {side: value for value, side in tally.sides.items()}
    if others and (not {1.0, 0.0} <= words.keys() or any(map(_numeric, others))):
        raise UserError(
            label_questions.what_stands_for(form, Held(tally.values, others, words, tally.beside), columns, name)
        )
    return meaning


def _numeric(value: str) -> bool:
    return number_of(value) is not None or value in ("true", "false")


def _lines(form: Form, tally: Tally, meaning: Meaning, columns: Data, name: str) -> Iterator[str]:
    """How labels are read, where that is more than their words."""
    keys = bool(columns.keys() & {*SAYS, "scale"}) and form.kind == "labelled"
    known = tally.known if tally.fits else None
    if keys or (len(form.labels) > 1 and not known):
        yield f"{name}: {label_questions.in_words(form, meaning)}, as `columns` says"
    if keys and known and (card := _card(form, tally)):
        if any(card.share(each, {}, form) != meaning.share(each, {}, form) for each in tally.values):
            yield f"{name}: by its columns it is {known.name}, where {known.says}; `columns` says otherwise"
    elif known:
        yield f"{name}: read as {known.name}: {known.says}"
