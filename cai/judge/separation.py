"""The fewest cases that tell one model from others: it passes all of them, and each other model fails at least one.

After the heuristics of Brown et al. 2021, who take from a large test the questions that still tell agents apart, by the greedy
set cover: each time the case that tells the most models apart which no case before it did. That is at most ln(n) + 1 times as
many as the fewest there are. Of cases that do equally well the one with the wider margin is taken, then the first by its id, so
that the same outcomes always give the same cases.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from cai.judge.verification import FAILED, NO_RULE, PASSED, Sitting
from cai.store.form import Count

Element = tuple[str, str]
"""A model, and a way to ask by which it is to be told apart."""


class Crosstable(TypedDict):
    """One model's cases beside another's: how many both passed, one alone, the other alone, and neither."""

    both: Count
    alone: Count
    other_alone: Count
    neither: Count


class Separation(TypedDict):
    """What tells a model from others.

    Attributes:
        cases: the fewest cases, in the order in which they were taken.
        tells: of each other model, the ways to ask by which a case tells it apart, and the case.
        alike: the models that no case tells apart by any way.
        beside: counts of outcomes beside each other model.
    """

    cases: list[str]
    tells: dict[str, dict[str, str]]
    alike: list[str]
    beside: dict[str, Crosstable]


def separation(sittings: Sequence[Sitting], others: Mapping[str, Sequence[Sitting]]) -> Separation:
    """The fewest cases that a model passes and the others do not.

    Args:
        others: model → its sittings of the same cases.
    """
    mine = {each.id: each for each in sittings if each.mark == PASSED}
    by_id = {model: {each.id: each for each in rows} for model, rows in others.items()}
    tells = {id: set(_elements(each, by_id)) for id, each in mine.items()}
    order = sorted(mine, key=lambda id: (-mine[id].case.margin, id))
    left: set[Element] = set().union(*tells.values()) if tells else set()
    cases, by = list[str](), dict[str, dict[str, str]]()
    while left:
        best = max(order, key=lambda id: len(tells[id] & left))  # the first of those that tell the most
        for model, way in sorted(tells[best] & left):
            by.setdefault(model, {})[way] = best
        left -= tells[best]
        cases.append(best)
    return {
        "cases": cases,
        "tells": by,
        "alike": [model for model in others if model not in by],
        "beside": {model: _crosstable(sittings, rows) for model, rows in others.items()},
    }


def _elements(mine: Sitting, others: Mapping[str, Mapping[str, Sitting]]) -> Iterator[Element]:
    """Whom a case that was passed tells apart, and by which way to ask."""
    for model, rows in others.items():
        marks = rows[mine.id].marks if mine.id in rows else {}
        yield from ((model, way) for way in marks if marks[way] == FAILED and mine.marks.get(way) == PASSED)


def _crosstable(mine: Sequence[Sitting], others: Sequence[Sitting]) -> Crosstable:
    """Of the cases of which something can be said of both models."""
    theirs = {each.id: each.mark for each in others if each.mark != NO_RULE}
    pairs = [
        (each.mark == PASSED, theirs[each.id] == PASSED) for each in mine if each.id in theirs and each.mark != NO_RULE
    ]
    return {
        "both": pairs.count((True, True)),
        "alone": pairs.count((True, False)),
        "other_alone": pairs.count((False, True)),
        "neither": pairs.count((False, False)),
    }
