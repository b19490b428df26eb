"""Comparisons of several models as the outcomes that ratings are made of, and what a rating is in ``metrics.json``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, TypedDict

from cai.store.form import Between, Count
from cai.store.rows import Preference

Points = Annotated[float, Between(-1e5, 1e5)]
"""Of Elo: 400 more are odds of ten to one."""


@dataclass(frozen=True, slots=True)
class Bout:
    """One comparison of two models' answers.

    Attributes:
        first, second: the models, by their roles.
        won: what the first has of the win: 1, 0, or one half of a tie; None where the judge did not decide.
    """

    prompt: str
    track: str
    first: str
    second: str
    won: float | None


class Rating(TypedDict):
    """How good a model is beside the others.

    Attributes:
        elo: points above the baseline, which has 0; None where there is no such number.
        low, high: its 95% interval; None where that end is open, or nothing can be told.
        comparisons: those of all models that it rests on, ``ties`` of them; ``undecided`` ones count for nobody.
        says: why a number is not there; empty where all are.
    """

    elo: Points | None
    low: Points | None
    high: Points | None
    comparisons: Count
    ties: Count
    undecided: Count
    prompts: Count
    says: str


def bouts(rows: Iterable[Preference], first: str, second: str) -> Iterator[Bout]:
    """The comparisons of two models, whose answers are ``a`` and ``b``."""
    for row in rows:
        yield Bout(row.pair.prompt_id, row.pair.track, first, second, _won(row))


def _won(row: Preference) -> float | None:
    if row.status == "tie":
        return 0.5
    return float(row.p_a > 0.5) if row.status == "ok" and row.p_a is not None else None
