"""The ledger as a funnel: how many rows came into each stage, were kept, and were left out, in proportion."""

from collections.abc import Sequence
from typing import TypedDict

from cai.report.summary import StageState, outcome

WIDE = 100


class FunnelStep(TypedDict):
    """A stage's bar: how far it goes, kept and left out, of ``WIDE``; and its state where it is not done."""

    stage: StageState
    kept: float
    dropped: float
    says: str


def of_stages(stages: Sequence[StageState]) -> list[FunnelStep]:
    """A step for each stage, in the order of the recipe."""
    most = max((each["rows_in"] for each in stages if each["state"] == "done"), default=0) or 1
    return [_step(each, most) for each in stages]


def _step(each: StageState, most: int) -> FunnelStep:
    if each["state"] != "done":
        return {"stage": each, "kept": 0.0, "dropped": 0.0, "says": each["so_far"]}
    kept, dropped = each["rows_kept"], sum(each["dropped"].values())
    return {"stage": each, "kept": WIDE * kept / most, "dropped": WIDE * dropped / most, "says": outcome(each)}


def totals(stages: Sequence[StageState]) -> dict[str, float]:
    """What all finished stages took together: tokens, seconds."""
    done = [each for each in stages if each["state"] == "done"]
    tokens = {key: float(sum(each[key] for each in done)) for key in ("tokens_in", "tokens_cached", "tokens_out")}
    return {**tokens, "seconds": sum(each["seconds"] for each in done)}
