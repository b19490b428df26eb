"""What a judge's probabilities stand for, fitted on pairs that people labelled, saved under a name, applied in recipes.

Temperature scaling (Guo et al. 2017) divides the logit; isotonic regression (Zadrozny and Elkan 2002) fits any rising
curve. Which answer is called a is arbitrary, so both are fitted on every pair and its mirror image: P(a) = ½ stays ½, and
P(b) is one minus P(a), before and after.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cai.errors import RunError, UserError
from cai.judge.statistics import EDGE, logit, sigmoid
from cai.store.files import read_json, write_json
from constitution.shipped import find
from constitution.wording import count

KINDS = ("temperature", "isotonic")
FOLDER = "judges"
LEAST = 20
DECIDES = (
    *("method", "layout", "orders", "mean", "choice", "combine"),
    *("samples", "temperature", "max_tokens", "exemplars", "rules"),
)
"""Keys of a label block on which the meaning of its probabilities depends."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted curve with what it was fitted for.

    Attributes:
        kind: "temperature" or "isotonic".
        temperature: divides the logit, for "temperature".
        xs, ys: the curve's corners, rising, for "isotonic".
        judge: what the probabilities came from: model, method, layout, constitution and so on.
        about: pairs, contexts, and the calibration error before and after.
    """

    kind: str
    temperature: float
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    judge: Mapping[str, object]
    about: Mapping[str, object]

    def of(self, p_a: float) -> float:
        """What a probability stands for."""
        if self.kind == "temperature":
            return sigmoid(logit(p_a) / self.temperature)
        # The mean with its mirror image, so that rounding never moves one half to a side.
        return (_between(p_a, self.xs, self.ys) + 1 - _between(1 - p_a, self.xs, self.ys)) / 2


def fit(kind: str, ps: Sequence[float], truth: Sequence[float]) -> Calibration:
    """The curve for these probabilities and outcomes.

    Args:
        ps: P(a) of each pair.
        truth: the share of people who said a, from 0 to 1.

    Raises:
        UserError: too few pairs.
    """
    if len(ps) < LEAST:
        there = count(len(ps), "pair")
        raise UserError(f"too few to fit a calibration: {there} with a probability; give {LEAST} or more")
    both = [*ps, *(1 - p for p in ps)], [*truth, *(1 - each for each in truth)]
    if kind == "temperature":
        return Calibration(kind, _temperature(*both), (), (), {}, {})
    return Calibration(kind, 1.0, *_isotonic(*both), {}, {})


def _temperature(ps: Sequence[float], truth: Sequence[float]) -> float:
    """The temperature of least cross-entropy: a logistic regression on the logit, without an intercept."""
    from sklearn.linear_model import LogisticRegression

    rows = [[logit(p)] for p in ps] * 2
    outcomes, weights = [1] * len(ps) + [0] * len(ps), [*truth, *(1 - each for each in truth)]
    numbers = [number for number, weight in enumerate(weights) if weight > 0]
    model = LogisticRegression(C=math.inf, fit_intercept=False, tol=1e-8, max_iter=1000)
    model.fit([rows[n] for n in numbers], [outcomes[n] for n in numbers], [weights[n] for n in numbers])
    slope = float(model.coef_[0][0])
    # A judge that is no better than chance, or worse, says nothing: as good as an endless temperature.
    return 1 / slope if slope > EDGE else 1 / EDGE


def _isotonic(ps: Sequence[float], truth: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0.0, y_max=1.0).fit(ps, truth)
    return tuple(map(float, model.X_thresholds_)), tuple(map(float, model.y_thresholds_))


def _between(p: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """The curve at ``p``, straight between its corners and level beyond them."""
    place = bisect_right(xs, p)
    if place in (0, len(xs)):
        return ys[0] if place == 0 else ys[-1]
    share = (p - xs[place - 1]) / (xs[place] - xs[place - 1])
    return ys[place - 1] + share * (ys[place] - ys[place - 1])


def save(calibration: Calibration, path: Path) -> None:
    """Write it where recipes find it."""
    write_json(path, asdict(calibration))


def load(name: str, folder: Path) -> Calibration:
    """A calibration by its name or its file.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = find(name, folder) if name.endswith(".json") else find(f"{FOLDER}/{name}.json", folder)
    if path is None:
        raise UserError(
            f'there is no calibration "{name}"; fit one with: cai judge-eval … --calibrate temperature --name {name}'
        )
    try:
        curve = parse(read_json(path))
        if not _sound(curve):
            raise ValueError
        return curve
    except (KeyError, TypeError, ValueError, RunError):
        raise UserError(f"{path} is not a calibration; fit it anew with: cai judge-eval … --calibrate") from None


def _sound(curve: Calibration) -> bool:
    """Whether it is a curve that can be applied, and says whose it is."""
    rising = all(sorted(each) == list(each) and each[0] >= 0 and each[-1] <= 1 for each in (curve.xs, curve.ys) if each)
    complete = curve.kind == "temperature" or len(curve.xs) == len(curve.ys) > 0
    return (
        curve.kind in KINDS
        and 0 < curve.temperature < math.inf
        and rising
        and complete
        and curve.judge.keys() >= set(DECIDES)
    )


def parse(data: Mapping[str, Any]) -> Calibration:
    """A calibration as JSON has it."""
    return Calibration(**{**data, "xs": tuple(data["xs"]), "ys": tuple(data["ys"])})
