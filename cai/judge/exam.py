"""What a judge's figures are, by their names in ``exam.json``."""

from dataclasses import dataclass
from typing import Generic, NotRequired, TypedDict, TypeVar

from cai.store import form

S = TypeVar("S")
"""A share: with an interval as it is computed, or as JSON has it."""


WORSE = (
    "If they are of the worse answer, say `means: worse` under `columns`, or --columns means=worse on the command line."
)
"""How a recipe and ``cai judge-eval`` are told."""


@dataclass(frozen=True, slots=True)
class Share:
    """A mean over pairs with its 95% interval; ``value`` is None where there was nothing to count."""

    value: float | None
    low: float
    high: float
    of: int


class PlainShare(TypedDict):
    """A share as JSON has it."""

    value: float | None
    low: float
    high: float
    of: int


class CurvePoint(TypedDict):
    """A bin of confidence: its mean, the share right, and its pairs."""

    confidence: float
    accuracy: float
    pairs: int


class CalibrationFigures(TypedDict):
    """How far confidence is from being right: the error, that which chance alone would show, and the curve."""

    ece: float | None
    ece_by_chance: float | None
    curve: list[CurvePoint]


class Calibrated(TypedDict, Generic[S]):
    """What a calibration would do, by cross-validation; ``error`` where it cannot be fitted."""

    kind: NotRequired[str]
    error: NotRequired[str]
    brier: NotRequired[S]
    ece: NotRequired[float | None]
    ece_by_chance: NotRequired[float | None]
    curve: NotRequired[list[CurvePoint]]


class SamePosition(TypedDict):
    """Comparisons with a winner in both orders.

    Attributes:
        same, rate: those in which the same position won, and their share.
        first: the share of wins that fell to the answer shown first.
    """

    both: form.Count
    same: form.Count
    rate: form.Share | None
    first: form.Share | None


class Position(SamePosition):
    """The same by judge and by principle."""

    by_judge: dict[str, SamePosition]
    by_principle: dict[str, SamePosition]


class ByLength(TypedDict, Generic[S]):
    """Accuracy where the answer that people prefer is the longer one, and where it is the shorter one."""

    longer_is_right: S
    shorter_is_right: S


class OfKind(TypedDict, Generic[S]):
    """How good the verdicts of one kind are.

    Attributes:
        samples: the most that made one vote; 0 where none were drawn.
        unread: the share of these that could not be read, or of the votes where none were drawn.
        structured: the share of the samples that said it in a structured output alone.
    """

    pairs: int
    accuracy: S
    brier: S
    ece: float | None
    ece_by_chance: float | None
    samples: int
    unread: float | None
    structured: NotRequired[float | None]


class JudgeFigures(CalibrationFigures, Generic[S]):
    """All figures of a judge, see ``cai.judge.figures``."""

    pairs: int
    contexts: int
    people_even: int
    accuracy: S
    accuracy_read: S
    accuracy_labelled: S
    labelled: S
    brier: S
    brier_of_a_coin: float | None
    unreadable: float | None
    statuses: dict[str, int]
    position: Position
    by_principle: dict[str, S]
    by_track: dict[str, S]
    by_kind: NotRequired[dict[str, OfKind[S]]]
    length: ByLength[S]
    floors: dict[str, float | None]
    above_floors: dict[str, S]
    calibrated: NotRequired[Calibrated[S]]


class Cost(TypedDict):
    """What a judge took."""

    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float


class Agreement(TypedDict):
    """How far people agree, see ``cai.judge.agreement``; a kappa is None where it is not defined."""

    pairs: int
    same_first_two: float
    cohen_first_two: float | None
    people: int
    fleiss: float | None
    cohen_judge_and_majority: float | None


class MethodFigures(JudgeFigures[PlainShare]):
    """The figures of one method in an exam; ``question`` is what to ask oneself of them, if anything."""

    model: str
    question: str
    left_out: dict[str, int]
    people: Agreement | None
    cost: Cost


def doubt(high: float, what: str = "labels", todo: str = WORSE) -> str:
    """The question that a judge raises which is surely worse than a coin: it reads answers, and the labels may be turned about.

    Args:
        high: the upper end of its accuracy, over what could be read.
    """
    return f"Are the {what} the other way round? {todo}" if high < 0.5 else ""


class FormFigures(TypedDict):
    """How one form of asking did in a search, on the half of the pairs that it chose by.

    Attributes:
        settings: the keys of a label block.
        published: whose shape of prompt it is, if anyone's.
        accuracy, brier: what could not be read counts as wrong, and as a coin.
        same_position: the share of comparisons with a winner in both orders in which the same position won.
        unread: the share of votes.
        left_out: why pairs were not judged → how many; they could not be read.
        tokens: in and out.
    """

    form: str
    settings: dict[str, str | int | None]
    published: str
    accuracy: PlainShare
    brier: float
    same_position: float | None
    unread: float | None
    left_out: dict[str, int]
    tokens: int
    seconds: float


class SearchFigures(TypedDict):
    """``search.json``: the forms of asking that were tried on a judge, and what the other half of the pairs says of the best.

    Attributes:
        requests: the most that might have been needed.
        pairs, held_out: of the half that was searched on, and of the other; those on which people have a majority.
        usual, best: two of ``forms``, by their names.
        difference: by how much the best is more often right than the usual one on the held-out pairs; None where they are one.
        says: the same in words.
        notes: what of the forms could not be tried, or read.
        recipe: lines of YAML that ask as the best does.
    """

    model: str
    requests: int
    pairs: int
    held_out: int
    forms: list[FormFigures]
    usual: str
    best: str
    difference: PlainShare | None
    says: str
    notes: list[str]
    recipe: str


class ExamFigures(TypedDict):
    """``exam.json``; of a search, on its held-out half."""

    data: str
    constitution: str
    constitution_version: str
    seed: int
    pairs: object
    methods: dict[str, MethodFigures]
    search: NotRequired[SearchFigures]
