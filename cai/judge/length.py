"""A win rate as it would be if both answers were of one length, after Dubois et al. (2024), "Length-Controlled AlpacaEval".

A judge may like an answer because it is long. A logistic regression says how much of winning goes with length,

    P(the second wins) = σ(θ + φ · tanh(d / s)),

where d is by how many characters the second answer is longer, and s the standard deviation of d. The controlled rate is σ(θ): what
is left at d = 0. Dubois et al. also fit how hard each prompt is, from many models at once, and shrink their weights; two models
tell nothing of the one, and the other would move the rate: both are left out. The interval is Wald's on θ.
"""

import math
import statistics
from collections.abc import Sequence
from typing import TypedDict

from cai.judge.statistics import Z95, sigmoid
from cai.store.form import Count, Share
from cai.store.rows import Preference
from constitution.wording import count

FEW = 30
"""Decided comparisons, of which two weights and their errors cannot be told."""

STEPS, EXACT = 100, 1e-10


class LengthControlled(TypedDict):
    """Wins at equal length.

    Attributes:
        win_rate: None where it cannot be told, and ``says`` why.
        of: the decided comparisons.
        longer: the share of these in which the second model's answer is the longer one.
    """

    win_rate: Share | None
    low: Share
    high: Share
    of: Count
    longer: Share | None
    says: str


def length_controlled(rows: Sequence[Preference]) -> LengthControlled:
    """The second model's win rate at equal length."""
    decided = [row for row in rows if row.status == "ok" and row.p_a is not None]
    longer = [len(row.pair.b.text) - len(row.pair.a.text) for row in decided]
    won = [(row.p_a or 0.0) < 0.5 for row in decided]
    share = sum(each > 0 for each in longer) / len(longer) if longer else None
    says = untold(longer, won)
    fit = None if says else _fit(longer, won)
    if fit is None:
        says = says or "length goes so closely with winning that no fit comes to an end"
        return {"win_rate": None, "low": 0.0, "high": 1.0, "of": len(won), "longer": share, "says": says}
    rate, low, high = (sigmoid(fit[0] + by * Z95 * fit[1]) for by in (0, -1, 1))
    return {"win_rate": rate, "low": low, "high": high, "of": len(won), "longer": share, "says": ""}


def untold(longer: Sequence[float], won: Sequence[bool]) -> str:
    """Why wins at equal length cannot be told; empty where they can be."""
    if len(won) < FEW:
        return f"too few to tell: {count(len(won), 'decided comparison')}; {FEW} or more would do"
    if all(won) or not any(won):
        return f"it {'won' if won[0] else 'lost'} all of them, whatever their lengths"
    if min(longer) > 0 or max(longer) < 0:
        return (
            f"its answer is always the {'longer' if min(longer) > 0 else 'shorter'} one; of equal length none was seen"
        )
    if len(set(longer)) > 1 and _separate(longer, won):
        return "length alone tells every winner from every loser, so that nothing is left to tell the models by"
    return ""


def _separate(longer: Sequence[float], won: Sequence[bool]) -> bool:
    """Whether one length parts wins from losses, where the likelihood has no maximum (Albert and Anderson 1984)."""
    wins, losses = ([each for each, good in zip(longer, won, strict=True) if good is of] for of in (True, False))
    return min(wins) >= max(losses) or max(wins) <= min(losses)


def _fit(longer: Sequence[float], won: Sequence[bool]) -> tuple[float, float] | None:
    """θ and its standard error, by Newton's steps on both weights, on θ alone where lengths never differ; None without an end."""
    spread = statistics.pstdev(longer)
    xs = [math.tanh(each / spread) if spread else 0.0 for each in longer]
    theta = phi = 0.0
    for _ in range(STEPS):
        ps = [sigmoid(theta + phi * x) for x in xs]
        rests = [y - p for y, p in zip(won, ps, strict=True)]
        a, b, c = (sum(p * (1 - p) * x**power for p, x in zip(ps, xs, strict=True)) for power in (0, 1, 2))
        c = c if spread else 1.0
        if (whole := a * c - b * b) < EXACT:
            return None
        slope_theta, slope_phi = sum(rests), sum(rest * x for rest, x in zip(rests, xs, strict=True))
        step_theta, step_phi = (c * slope_theta - b * slope_phi) / whole, (a * slope_phi - b * slope_theta) / whole
        theta, phi = theta + step_theta, phi + step_phi
        if abs(step_theta) + abs(step_phi) < EXACT:
            return theta, math.sqrt(c / whole)
    return None
