"""Votes → one probability: over orders, then principles, then judges; what cannot be settled has a status and no label.

Orders are averaged (Lee et al. 2023, section 2.1.1). Principles, where more than one was asked, are averaged; or all must
prefer the same answer and the least sure of them counts (``minimum``, after the minimum of several gradings in
deliberative alignment, Guan et al. 2024); or the one that speaks most clearly counts (``strongest``, after SALMON, Sun et
al. 2023, where orders that disagree count nothing). Judges are averaged by their weights. An average stands for all only
where more than half of them, by weight, could be settled. A share of samples is a probability like any other; its interval
follows from the counts that the vote keeps (``statistics.jeffreys``).
"""

from collections.abc import Mapping, Sequence

from cai.errors import UserError
from cai.judge.calibration import Calibration
from cai.judge.settings import Judging
from cai.judge.statistics import logit, sigmoid
from cai.store.votes import DRAWN, LOGPROBS, SAMPLED, Status, Vote

Outcome = tuple[Status, float | None]
"""A status, and P(a) where there is one."""
WORDS = {LOGPROBS: "log-probability", SAMPLED: "samples"}
ROUNDING = 1e-9
"""A mean of two orders that is no further from one half may be one half."""


def settle(
    judges: Sequence[tuple[str, Sequence[Sequence[Vote]]]], want: Judging
) -> tuple[Status, float | None, float | None]:
    """The whole: status, P(a) as read, and P(a) calibrated (None without a calibration).

    Args:
        judges: each role with its votes under each principle.

    Raises:
        UserError: a judge's calibration was fitted on verdicts that were read otherwise.
    """
    outcomes = [(role, judge_outcome(under, want)) for role, under in judges]
    for role, under in judges:
        _fits(role, under, want.calibration)
    readable = [(role, p_a) for role, (status, p_a) in outcomes if status in ("ok", "tie") and p_a is not None]
    weights = [want.panel.get(role, 1.0) for role, _ in readable]
    if 2 * sum(weights) <= sum(want.panel.get(role, 1.0) for role, _ in outcomes):
        return *_failure([each for _, each in outcomes]), None
    raw = _mean([p_a for _, p_a in readable], weights)
    calibrated = None
    if want.calibration:
        calibrated = _mean([_calibrated(role, p_a, want.calibration) for role, p_a in readable], weights)
    return _even(raw if calibrated is None else calibrated, want), raw, calibrated


def judge_outcome(under: Sequence[Sequence[Vote]], want: Judging) -> Outcome:
    """One judge, over its principles; where too few settle, the first that did not says why."""
    outcomes = [principle_outcome(votes, want) for votes in under]
    shares = [p_a for status, p_a in outcomes if status in ("ok", "tie") and p_a is not None]
    needed = {"average": len(outcomes) / 2, "minimum": len(outcomes) - 0.5, "strongest": 0.0}[want.combine]
    if len(shares) <= needed:
        return _failure(outcomes)
    if want.combine == "average":
        p_a = sum(shares) / len(shares)
    elif want.combine == "strongest":
        p_a = max(shares, key=_sureness)
    elif min(shares) < 0.5 - ROUNDING and max(shares) > 0.5 + ROUNDING:
        return "inconsistent", sum(shares) / len(shares)
    else:
        p_a = min(shares, key=_sureness)
    return _even(p_a, want), p_a


def principle_outcome(votes: Sequence[Vote], want: Judging) -> Outcome:
    """One judge under one principle: the mean over its orders, each the mean of what could be read in it.

    Orders disagree where they are on different sides of one half (ties are on none), or further apart than ``want.apart``.
    """
    by_order = {vote.order: [each.p_a for each in votes if each.order == vote.order] for vote in votes}
    means = []
    for order, shares in by_order.items():
        readable = [p_a for p_a in shares if p_a is not None]
        if not readable:
            return next(vote.status for vote in votes if vote.order == order), None
        means.append(sum(readable) / len(readable))
    mean = sum(means) / len(means)
    if want.mean == "logits":
        least = max(_least(vote) for vote in votes)
        mean = sigmoid(sum(logit(min(max(p_a, least), 1 - least)) for p_a in means) / len(means))
    sides = {p_a > 0.5 for p_a in means if p_a != 0.5 and abs(p_a - 0.5) >= want.tie}
    if want.disagree == "drop" and (len(sides) > 1 or max(means) - min(means) > want.apart):
        return "inconsistent", mean
    return _even(mean, want), mean


def _failure(outcomes: Sequence[Outcome]) -> Outcome:
    """The first that could not be settled, with the mean of what was read, which is no label."""
    status: Status = next(status for status, _ in outcomes if status not in ("ok", "tie"))
    shares = [p_a for _, p_a in outcomes if p_a is not None]
    return status, sum(shares) / len(shares) if shares else None


def _sureness(p_a: float) -> float:
    return abs(p_a - 0.5)


def _least(vote: Vote) -> float:
    """How near to 0 a share can be told: of n samples that all say the same, Jeffreys' mean is ½/(n + 1) from it."""
    return 0.5 / (vote.read + 1) if vote.read else 0.0


def _fits(role: str, under: Sequence[Sequence[Vote]], calibrations: Mapping[str, Calibration]) -> None:
    if role not in calibrations:
        return
    fitted = str(calibrations[role].judge.get("verdict", LOGPROBS))
    for vote in (vote for votes in under for vote in votes):
        kind = SAMPLED if vote.kind in DRAWN else vote.kind  # a share of samples, whichever way each of them was read
        if kind in WORDS and kind != fitted:
            raise UserError(
                f"the calibration of {role or vote.model} was fitted for verdicts by {WORDS[fitted]}, and these are by "
                f"{WORDS[kind]}; fit it anew with cai judge-eval, or set `verdict: {fitted}`"
            )


def _even(p_a: float, want: Judging) -> Status:
    return "tie" if p_a == 0.5 or abs(p_a - 0.5) < want.tie else "ok"


def _calibrated(role: str, p_a: float, calibrations: Mapping[str, Calibration]) -> float:
    return calibrations[role].of(p_a) if role in calibrations else p_a


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)
