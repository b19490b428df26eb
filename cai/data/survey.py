"""The first look at a file of pairs: in which form its rows are, what its labels hold, and so what they stand for.

Where that is neither in their words, nor in a known set, nor in the recipe, it is asked: a label is never guessed from a number.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from cai.data import forms, label_questions
from cai.data.forms import plain_rows
from cai.data.known_sets import KnownSet, set_of
from cai.data.label_questions import LabelColumn
from cai.data.labels import (
    LABELS,
    SAYS,
    Form,
    Meaning,
    counts_from_one,
    is_tie,
    label_columns,
    number_of,
    several,
    side_of,
    value_of,
)
from cai.errors import UserError

MOST = 1000
"""Different values of one label; a column with more is none."""
SLIPS = 10
"""So many rows have to bear a known set out for one that does not; a file of which a part is turned about is not it."""

Data = Mapping[str, object]


@dataclass(slots=True)
class Tally:
    """What the labels of one form hold.

    Attributes:
        known_set: the one whose columns the rows have.
        answers: two columns that have the names of answers.
        values: normal form → labels that hold it, but for those that hold none.
        sides: of each value that says it by its words, the answer's side; numbers never do.
        beside: further columns that may be the label.
        rivals: those of them whose words say another answer → rows in which they do.
        support, against: rows whose further columns bear out that they are of a known set, or that chosen is the better, and
            those whose do not.
        references: rows whose chosen and rejected are no answers, but name some.
        lists, splits: rows whose label is a list, and those in which it has a number for each answer.
        misfits: whether a value is none of the known set's.
    """

    known_set: KnownSet | None = None
    answers: tuple[str, str] | None = None
    rows: int = 0
    values: Counter[str] = field(default_factory=Counter)
    sides: dict[str, float] = field(default_factory=dict)
    beside: Sequence[str] = ()
    rivals: Counter[str] = field(default_factory=Counter)
    support: int = 0
    against: int = 0
    references: int = 0
    lists: int = 0
    splits: int = 0
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
        known_set = self.known_set if not self.misfits and SLIPS * self.against <= self.support else None
        return known_set is not None and known_set.sign(self.values)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the labels of each form in a file stand for.

    Attributes:
        columns: as in the ``pairs`` block.
        says: what people are told of it, a line for each thing.
        by_card: the forms that are read as a known set's card says.
    """

    columns: Data
    meanings: Mapping[Form, Meaning]
    says: tuple[str, ...] = ()
    by_card: frozenset[Form] = frozenset()


def survey(rows: Iterable[Data], columns: Data, name: str = "the row") -> Survey:
    """Look at all rows.

    Args:
        name: of the file, for people.

    Raises:
        UserError: no row is a pair; or what labels stand for has to be said, which the sentence asks.
    """
    tallies: dict[Form, Tally] = {}
    rows, first = iter(rows), dict[str, object]()
    for data in rows:
        known_set, new = set_of(data, columns), not first
        first = first or dict(data)
        try:
            plain = plain_rows(data, columns, known_set)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        if new and not plain and known_set is None and (hot := forms.hot(data, columns)):
            answers = forms.answers(data, columns) or ("", "")
            raise UserError(label_questions.hot_columns(hot, chain([data], rows), answers, columns, name))
        for row, form in plain:
            if form not in tallies:
                beside = [each for each in LABELS if each in data and each not in form.labels]
                tallies[form] = Tally(known_set, forms.answers(data, {}), beside=beside)
            _count(tallies[form], row, form, data)
    if first and not tallies and set_of(first, columns) is None:
        raise UserError(label_questions.no_pairs(first, name))
    return _outcome(tallies, columns, name)


def _count(tally: Tally, row: Data, form: Form, data: Data) -> None:
    """Add what one row holds; ``data`` is the row as its file has it."""
    tally.rows += 1
    if form.kind == "chosen":
        tally.references += forms.are_references(row)
    known_set = tally.known_set
    witness = forms.scores_bear_out(row) if form.kind == "chosen" else known_set and known_set.witness(data)
    if witness is not None:
        tally.support += witness
        tally.against += not witness
    if form.kind != "labelled" or len(form.labels) > 1:
        return
    labels = several(row, form)
    for label in labels:
        tally.add(label, row, form)
        tally.misfits |= known_set is not None and bool(value := value_of(label)) and not known_set.holds(value)
    entry = row.get(form.label)
    tally.lists += isinstance(entry, list) and bool(entry)
    tally.splits += forms.is_split(entry)
    if (side := side_of(entry, row, form)) is not None:
        tally.rivals.update(each for each in tally.beside if side_of(row.get(each), row, form) not in (None, side))


def _outcome(tallies: Mapping[Form, Tally], columns: Data, name: str) -> Survey:
    meanings, says = dict[Form, Meaning](), list[str]()
    if question := label_questions.several_forms(list(tallies), columns, name):
        raise UserError(question)
    worse = columns.get("means") == "worse"
    for form, tally in tallies.items():
        meaning = _meaning(form, tally, columns, name)
        meanings[form] = replace(meaning, worse=meaning.worse != worse)
        says += _lines(form, tally, meaning, columns, name)
    if worse:
        says.append(
            f"{name}: what a label or a column names as the better answer is read as the worse, as `means` says"
        )
    keys = columns.keys() & {*SAYS, "scale", "means"}
    by_card = frozenset(form for form, tally in tallies.items() if tally.fits and not keys)
    return Survey(columns, meanings, tuple(dict.fromkeys(says)), by_card)


def _meaning(form: Form, tally: Tally, columns: Data, name: str) -> Meaning:
    """What the labels of a form stand for, but for which answer they are of.

    Raises:
        UserError: it is not said.
    """
    for question in _doubts(form, tally, columns, name):
        raise UserError(question)
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


def _doubts(form: Form, tally: Tally, columns: Data, name: str) -> Iterator[str]:
    """What the rows themselves have against reading the form as its columns' names say; each a question."""
    if "means" not in columns:
        if 2 * tally.references > tally.rows:
            yield label_questions.only_names(tally.answers, columns, name)
        if form.kind == "chosen" and tally.against > tally.support:
            yield label_questions.reversal(tally.against, tally.rows, columns, name)
        if len(form.labels) > 1 and not form.set_name and (order := label_questions.other_order(form)):
            yield f"{name}: {order}"
    if tally.splits and tally.splits == tally.lists:
        yield label_questions.number_for_each(form, tally.values, columns, name)
    if tally.rivals and not label_columns(columns):
        yield f"{name}: {label_questions.several_labels((form.label, *tally.rivals), columns, tally.rivals)}"


def _card(form: Form, tally: Tally) -> Meaning | None:
    """What the labels stand for by the known set's card; None where their words say it."""
    if tally.known_set is None or not (tally.known_set.meaning.values or tally.known_set.meaning.scale):
        return None
    return tally.known_set.meaning if form.a == tally.known_set.form.a else tally.known_set.meaning.mirror()


def _on_scale(form: Form, tally: Tally, columns: Data, name: str) -> Meaning:
    """A scale of numbers, as the recipe says."""
    meaning = Meaning(scale=str(columns["scale"]), middle=number_of(columns.get("tie")) or 0)
    numbers = [number for value in tally.values if (number := number_of(value)) is not None]
    if tally.values and (not numbers or not all(0 <= each <= 1 for each in numbers if meaning.scale == "share")):
        raise UserError(label_questions.no_scale(form, tally.values, meaning.scale, name))
    if meaning.scale == "signed" and "tie" not in columns and numbers and min(numbers) >= 0:
        raise UserError(label_questions.no_sign(form, tally.values, columns, name))
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
    if tally.values and not others and values.keys().isdisjoint(tally.values):
        raise UserError(label_questions.not_held(form, tally.values, columns, name))
    if len(sides) == 1 and len(others) > 1:
        raise UserError(
            label_questions.what_stands_for(form, LabelColumn(tally.values, others, {}, tally.beside), columns, name)
        )
    if len(sides) == 1 and others:
        values[others[0]] = 1 - sides.pop()
    return Meaning(values, exhaustive=contrary)


def _by_words(form: Form, tally: Tally, meaning: Meaning, columns: Data, name: str) -> Meaning:
    """What words say. Single words that say nothing are left out with their rows, but not where one side would be left out
    whole; a number is always asked about."""
    words = {side: value for value, side in tally.sides.items()}
    unclear = set[str]()
    if 1.0 not in words:  # "model 1" beside response_0 and response_1 may be the first of them, where nothing is 0
        unclear = {value for value in tally.sides if counts_from_one(value, form)}
        words = {side: value for side, value in words.items() if value not in unclear}
    clear = (meaning.values.keys() | tally.sides.keys()) - unclear
    others = [value for value, _ in tally.values.most_common() if value not in clear]
    if others and (not {1.0, 0.0} <= words.keys() or any(map(_numeric, others))):
        raise UserError(
            label_questions.what_stands_for(form, LabelColumn(tally.values, others, words, tally.beside), columns, name)
        )
    return meaning


def _numeric(value: str) -> bool:
    return number_of(value) is not None or value in ("true", "false")


def _lines(form: Form, tally: Tally, meaning: Meaning, columns: Data, name: str) -> Iterator[str]:
    """How labels are read, where that is more than their words."""
    keys = bool(columns.keys() & {*SAYS, "scale"}) and form.kind == "labelled"
    known_set = tally.known_set if tally.fits else None
    if keys or (len(form.labels) > 1 and not known_set):
        yield f"{name}: {label_questions.in_words(form, meaning)}, as `columns` says"
    if keys and known_set and (card := _card(form, tally)):
        if any(card.share(each, {}, form) != meaning.share(each, {}, form) for each in tally.values):
            yield f"{name}: by its columns it is {known_set.name}, where {known_set.says}; `columns` says otherwise"
    elif known_set:
        yield f"{name}: read as {known_set.name}: {known_set.says}"
