"""How far several judges agree who compared the same answers: what each said stands in the votes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, TypedDict

from cai.judge.settings import Judging
from cai.judge.settle import judge_outcome
from cai.judge.statistics import wilson
from cai.store.form import Between, Count, Share
from cai.store.rows import Preference, Vote

Kappa = Annotated[float, Between(-1, 1)]


class PanelAgreement(TypedDict):
    """How far judges agree.

    Attributes:
        both: comparisons that every judge decided by itself.
        same, rate: those in which all have the same winner, and their share, with its 95% interval.
        kappa: Fleiss' (1971); None where it is not defined, as where all said the same of every pair.
    """

    both: Count
    same: Count
    rate: Share | None
    low: Share
    high: Share
    kappa: Kappa | None


def by_model(votes: Iterable[Vote]) -> dict[str, tuple[Vote, ...]]:
    """The votes of each judge."""
    groups: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        groups[vote.model].append(vote)
    return {model: tuple(some) for model, some in groups.items()}


def of_judge(rows: Iterable[Preference], name: str) -> list[Preference]:
    """The rows with the votes of one judge alone; as they are where none is named."""
    if not name:
        return list(rows)
    return [replace(row, votes=by_model(row.votes).get(name, ())) for row in rows]


def panel_agreement(rows: Iterable[Preference], want: Judging) -> PanelAgreement | None:
    """Whether judges have the same winner; None of one judge alone."""
    verdicts = [each for row in rows if len(each := _winners(row, want)) > 1]
    if not verdicts:
        return None
    decided = [[bool(winner) for winner in each] for each in verdicts if None not in each]
    same = sum(len(set(each)) == 1 for each in decided)
    low, high = wilson(same, len(decided))
    rate = same / len(decided) if decided else None
    return {"both": len(decided), "same": same, "rate": rate, "low": low, "high": high, "kappa": fleiss(decided)}


def _winners(row: Preference, want: Judging) -> list[bool | None]:
    """Whether ``a`` is each judge's winner; None where it did not decide."""
    return [_winner(votes, want) for votes in by_model(row.votes).values()]


def _winner(votes: Sequence[Vote], want: Judging) -> bool | None:
    principles = dict.fromkeys(vote.principle for vote in votes)
    status, p_a = judge_outcome([[each for each in votes if each.principle == one] for one in principles], want)
    return p_a > 0.5 if status == "ok" and p_a is not None else None


def fleiss(verdicts: Sequence[Sequence[bool]]) -> float | None:
    """Fleiss' kappa (1971) of verdicts between two answers, by as many judges each; None where it is not defined."""
    if not verdicts:
        return None
    judges, yes = len(verdicts[0]), [sum(each) for each in verdicts]
    share = sum(yes) / (judges * len(yes))
    chance = share**2 + (1 - share) ** 2
    agreed = [(n * (n - 1) + (judges - n) * (judges - n - 1)) / (judges * (judges - 1)) for n in yes]
    return None if chance == 1 else (sum(agreed) / len(agreed) - chance) / (1 - chance)
