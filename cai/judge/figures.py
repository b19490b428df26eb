"""A judge's marks: its preferences beside what people said, with how far each figure can be from the truth.

A pair's truth is the answer that most people found better; pairs on which they are even count for no accuracy. Intervals
are bootstrapped over contexts (Field and Welsh 2007): pairs of one conversation are no independent evidence.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cai.errors import UserError
from cai.judge.calibration import fit
from cai.judge.exam import (
    ByLength,
    Calibrated,
    CalibrationFigures,
    CurvePoint,
    JudgeFigures,
    Position,
    SamePosition,
    Share,
)
from cai.judge.settings import Judging
from cai.judge.settle import principle_outcome
from cai.judge.statistics import wilson
from cai.store.rows import Preference, Vote

BINS = 10
RESAMPLES = 1000
FOLDS = 5
FEW = 20
CHANCE_RUNS = 200


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """One pair's outcome.

    Attributes:
        context: the conversation's id.
        p: P(a), calibrated where the judge is; None where it could not be read.
        people: the share of people who said a.
    """

    context: str
    p: float | None
    people: float
    row: Preference

    @property
    def right(self) -> float:
        """1 where the judge prefers what most people do, one half where it has no preference, 0 otherwise."""
        if self.p is None:
            return 0.0
        return 0.5 if self.p == 0.5 else float((self.p > 0.5) == (self.people > 0.5))

    @property
    def agreed(self) -> float:
        """The share of people on the judge's side; one half where it has none."""
        if self.p is None or self.p == 0.5:
            return 0.5
        return self.people if self.p > 0.5 else 1 - self.people

    @property
    def squared_error(self) -> float:
        """The squared distance from what people said."""
        return ((self.p or 0.0) - self.people) ** 2

    @property
    def longer(self) -> float:
        """What taking the longer answer scores."""
        difference = len(self.row.pair.a.text) - len(self.row.pair.b.text)
        return 0.5 if difference == 0 else float((difference > 0) == (self.people > 0.5))


def judged_pairs(rows: Iterable[Preference]) -> Iterator[JudgedPair]:
    """The pairs that people compared."""
    for row in rows:
        if row.pair.people:
            people = sum(row.pair.people) / len(row.pair.people)
            yield JudgedPair(row.pair.prompt_id, row.confidence, people, row)


def figures(all_pairs: Sequence[JudgedPair], want: Judging, kind: str = "") -> JudgeFigures[Share]:
    """Every figure.

    Args:
        want: how the pairs were judged.
        kind: "temperature" or "isotonic" to say what a calibration would do, by cross-validation over contexts.
    """
    pairs = [each for each in all_pairs if each.people != 0.5]
    readable = [each for each in all_pairs if each.p is not None]
    labelled = [each for each in pairs if each.row.status == "ok"]
    votes = [vote for each in all_pairs for vote in each.row.votes]
    marks: JudgeFigures[Share] = {
        "pairs": len(pairs),
        "contexts": len({each.context for each in pairs}),
        "people_even": len(all_pairs) - len(pairs),
        "accuracy": mean(pairs, right),
        "accuracy_read": mean([each for each in pairs if each.p is not None], right),
        "accuracy_labelled": mean(labelled, right),
        "labelled": mean(pairs, lambda each: float(each.row.status == "ok")),
        "brier": mean(readable, lambda each: each.squared_error),
        "brier_of_a_coin": _ratio(sum((0.5 - each.people) ** 2 for each in readable), len(readable)),
        **calibration(readable),
        "unreadable": _ratio(sum(vote.p_a is None for vote in votes), len(votes)),
        "statuses": dict(sorted(Counter(each.row.status for each in pairs).items())),
        "position": position(each.row for each in all_pairs),
        "by_principle": by(under for each in pairs for under in _under_each(each, want)),
        "by_track": by((each.row.pair.track, each) for each in pairs),
        "length": length(pairs),
        "floors": floors(pairs),
        "above_floors": {
            "random": mean(pairs, lambda each: each.right - 0.5, (-0.5, 0.5)),
            "longer": mean(pairs, lambda each: each.right - each.longer, (-1.0, 1.0)),
            "shorter": mean(pairs, lambda each: each.right - (1 - each.longer), (-1.0, 1.0)),
        },
    }
    if kind:
        marks["calibrated"] = {"kind": kind, **cross_validated(readable, kind)}
    return marks


def calibration(readable: Sequence[JudgedPair]) -> CalibrationFigures:
    """The calibration error in ten bins of confidence (Guo et al. 2017), with the curve, and the error that as many pairs
    would show by chance if the judge were perfectly calibrated."""
    sure = [(max(p, 1 - p), each.agreed) for each in readable if (p := each.p) is not None]
    rng = random.Random(0)
    chance = [
        _error(_binned([(p, float(rng.random() < p)) for p, _ in sure])) for _ in range(CHANCE_RUNS if sure else 0)
    ]
    bins = _binned(sure)
    curve: list[CurvePoint] = [{"confidence": p, "accuracy": right, "pairs": count} for p, right, count in bins]
    by_chance = sum(chance) / len(chance) if chance else None
    return {"ece": _error(bins) if sure else None, "ece_by_chance": by_chance, "curve": curve}


def _binned(sure: Sequence[tuple[float, float]]) -> list[tuple[float, float, int]]:
    """Mean confidence, share right and count of each bin between one half and one that has pairs."""
    bins: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for p, right in sure:
        bins[min(int((p - 0.5) * 2 * BINS), BINS - 1)].append((p, right))
    return [
        (sum(p for p, _ in some) / len(some), sum(right for _, right in some) / len(some), len(some))
        for _, some in sorted(bins.items())
    ]


def _error(bins: Sequence[tuple[float, float, int]]) -> float:
    return sum(abs(p - right) * count for p, right, count in bins) / max(sum(count for _, _, count in bins), 1)


def cross_validated(readable: Sequence[JudgedPair], kind: str) -> Calibrated[Share]:
    """Brier score and calibration error with each pair's probability from a curve fitted without its context.

    Where there are too few pairs or contexts to fit one, "error" says so instead.
    """
    folds: dict[str, int] = {
        context: n % FOLDS for n, context in enumerate(sorted({each.context for each in readable}))
    }
    mapped: list[JudgedPair] = []
    for fold in range(FOLDS):
        inside = [each for each in readable if folds[each.context] != fold]
        try:
            curve = fit(kind, [each.p or 0.0 for each in inside], [each.people for each in inside])
        except UserError as error:
            return {"error": f"in one of {FOLDS} parts: {error}"}
        mapped += [replace(each, p=curve.of(each.p or 0.0)) for each in readable if folds[each.context] == fold]
    return {"brier": mean(mapped, lambda each: each.squared_error), **calibration(mapped)}


def position(rows: Iterable[Preference]) -> Position:
    """How often the same position won in both orders, by judge and by principle, among pairs with a winner in both.

    "first" is the share of those wins, same position or not, that fell to the answer shown first.
    """
    by_judge: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    by_principle: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    for row in rows:
        for vote, won in _won_twice(row.votes):
            by_judge[vote.model].append(won)
            by_principle[vote.principle].append(won)
    every = [won for each in by_judge.values() for won in each]
    return {
        **_same(every),
        "by_judge": {judge: _same(won) for judge, won in sorted(by_judge.items())},
        "by_principle": {principle: _same(won) for principle, won in sorted(by_principle.items())},
    }


def _won_twice(votes: Sequence[Vote]) -> Iterator[tuple[Vote, tuple[bool, bool]]]:
    """For each judge and principle with both orders: whether the first position won in each, samples averaged."""
    groups: dict[tuple[str, str], dict[str, list[Vote]]] = defaultdict(lambda: defaultdict(list))
    for vote in votes:
        groups[vote.model, vote.principle][vote.order].append(vote)
    for orders in groups.values():
        means = {order: _read_mean(some) for order, some in orders.items() if order in ("ab", "ba")}
        straight, turned = means.get("ab"), means.get("ba")
        if straight is not None and turned is not None and 0.5 not in (straight, turned):
            yield orders["ab"][0], (straight > 0.5, turned < 0.5)


def _read_mean(votes: Sequence[Vote]) -> float | None:
    shares = [vote.p_a for vote in votes if vote.p_a is not None]
    return sum(shares) / len(shares) if shares else None


def _same(won: Sequence[tuple[bool, bool]]) -> SamePosition:
    firsts = sum(one + other for one, other in won)
    return {
        "both": len(won),
        "same": sum(one == other for one, other in won),
        "rate": _ratio(sum(one == other for one, other in won), len(won)),
        "first": _ratio(firsts, 2 * len(won)),
    }


def length(pairs: Sequence[JudgedPair]) -> ByLength[Share]:
    """Accuracy where the answer that people prefer is the longer one, and where it is the shorter one."""
    longer = [each for each in pairs if each.longer == 1]
    shorter = [each for each in pairs if each.longer == 0]
    return {"longer_is_right": mean(longer, right), "shorter_is_right": mean(shorter, right)}


def floors(pairs: Sequence[JudgedPair]) -> dict[str, float | None]:
    """What is scored without reading: a coin, the answer shown first, the longer one, the shorter one."""
    longer = _ratio(sum(each.longer for each in pairs), len(pairs))
    firsts = [_first(each) for each in pairs]
    return {
        "random": 0.5,
        "first": _ratio(sum(firsts), len(firsts)),
        "longer": longer,
        "shorter": None if longer is None else 1 - longer,
    }


def _first(each: JudgedPair) -> float:
    """What the answer shown first scores, over the orders that were asked."""
    orders = [vote.order for vote in each.row.votes if vote.order in ("ab", "ba")] or ["ab", "ba"]
    return sum(float((order == "ab") == (each.people > 0.5)) for order in orders) / len(orders)


def _under_each(each: JudgedPair, want: Judging) -> Iterator[tuple[str, JudgedPair]]:
    """A pair as it would have come out under each of its principles alone."""
    groups: dict[str, list[Vote]] = defaultdict(list)
    for vote in each.row.votes:
        groups[vote.principle].append(vote)
    for principle, votes in groups.items():
        if principle:
            yield principle, replace(each, p=principle_outcome(votes, want)[1])


def by(keyed: Iterable[tuple[str, JudgedPair]]) -> dict[str, Share]:
    """Accuracy for each key."""
    groups: dict[str, list[JudgedPair]] = defaultdict(list)
    for key, each in keyed:
        groups[key].append(each)
    return {key: mean(some, right) for key, some in sorted(groups.items())}


def right(each: JudgedPair) -> float:
    """For ``mean`` and ``by``: whether the pair came out right."""
    return each.right


def _ratio(part: float, of: int) -> float | None:
    return part / of if of else None


def mean(
    pairs: Sequence[JudgedPair], value: Callable[[JudgedPair], float], bounds: tuple[float, float] = (0.0, 1.0)
) -> Share:
    """The mean with a bootstrap interval over contexts: whole contexts are drawn again, with all their pairs.

    Of few contexts, or where all are alike, a bootstrap knows no doubt; there the interval is Wilson's, over contexts.
    """
    if not pairs:
        return Share(None, 0.0, 1.0, 0)
    import numpy

    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for each in pairs:
        sums[each.context][0] += value(each)
        sums[each.context][1] += 1
    totals = numpy.array(list(sums.values()))
    mean, means = float(totals[:, 0].sum() / totals[:, 1].sum()), totals[:, 0] / totals[:, 1]
    if len(totals) < FEW or means.min() == means.max():
        (least, most), count = bounds, len(totals)
        low, high = (least + each * (most - least) for each in wilson((mean - least) / (most - least) * count, count))
        return Share(mean, low, high, len(pairs))
    rng = numpy.random.default_rng(0)
    resamples = [totals[rng.integers(0, len(totals), len(totals))].sum(0) for _ in range(RESAMPLES)]
    low, high = numpy.quantile([total / count for total, count in resamples], [0.025, 0.975])
    return Share(mean, float(low), float(high), len(pairs))
