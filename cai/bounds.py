"""The bounds that a round of training has to keep."""

from typing import Any

from cai.stages.rounds import Bounds


def broken(until: Bounds, figures: dict[str, Any]) -> list[str]:
    """The bounds that a round left, each as the end of a sentence; none where it is accepted."""
    return [
        *_not_won(until, figures["compared"]),
        *_too_far(until, figures["kl"]),
        *_too_long(until, figures["length"]),
    ]


def _not_won(until: Bounds, compared: dict[str, Any]) -> list[str]:
    if until.win_rate is None or (compared["decided"] and compared["win_rate"] > until.win_rate):
        return []
    if not compared["decided"]:
        return ["the judge decided no comparison"]
    return [f"its win rate of {compared['win_rate']:.0%} is not above {until.win_rate:.0%}"]


def _too_far(until: Bounds, kl: float) -> list[str]:
    # A policy that broke has a KL that is not a number, which is within no bound.
    if until.kl is None or kl <= until.kl:
        return []
    return [f"its KL of {kl:.3g} nats an answer is above {until.kl:g}"]


def _too_long(until: Bounds, length: float | None) -> list[str]:
    if until.length is None:
        return []
    if length is None:
        return ["the initial policy's answers have no word to measure its length by"]
    low, high = until.length
    return (
        [] if low <= length <= high else [f"its answers' length ratio of {length:.2f} is outside {low:g} to {high:g}"]
    )
