"""How one model's answers did over another's, as a judge, or several together, compared them; with all that it rests on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NotRequired

from cai.judge.exam import Position
from cai.judge.figures import position
from cai.judge.kinds import kinds
from cai.judge.length import LengthControlled, length_controlled
from cai.judge.panel import PanelAgreement, by_model, panel_agreement
from cai.judge.settings import Judging
from cai.judge.settle import settle
from cai.judge.statistics import wilson
from cai.store.form import Count
from cai.store.ledger import Wins
from cai.store.rows import Preference


class JudgedWins(Wins):
    """Wins as a judge gave them, with its liking for a position, and how its verdicts were read (``cai.judge.kinds``).

    Attributes:
        principles: the same under each principle alone.
        categories: the same by the prompts' categories and tags; a prompt with several is in each.
        length_controlled: see ``cai.judge.length``.
        agreement: of several judges.
    """

    position: Position
    verdicts: NotRequired[dict[str, dict[str, Count]]]
    principles: NotRequired[dict[str, Wins]]
    categories: NotRequired[dict[str, Wins]]
    length_controlled: NotRequired[LengthControlled]
    agreement: NotRequired[PanelAgreement]


def judged_wins(rows: Sequence[Preference], left_out: Iterable[str] = (), want: Judging | None = None) -> JudgedWins:
    """Wins of the second answers over the first ones', with a 95% interval; what could not be decided is counted.

    Args:
        left_out: why each pair that was not judged was not.
        want: how they were judged.
    """
    wins: JudgedWins = {
        **_wins(rows),
        "left_out": dict(sorted(Counter(left_out).items())),
        "position": position(rows),
        "verdicts": kinds(row.votes for row in rows),
        "length_controlled": length_controlled(rows),
    }
    if principles := _grouped(_under_each(rows, want or Judging())):
        wins["principles"] = principles
    if categories := _grouped((tag, row) for row in rows for tag in dict.fromkeys(row.pair.tags)):
        wins["categories"] = categories
    if agreement := panel_agreement(rows, want or Judging()):
        wins["agreement"] = agreement
    return wins


def _wins(rows: Sequence[Preference]) -> Wins:
    won = sum(row.status == "ok" and row.p_a is not None and row.p_a < 0.5 for row in rows)
    decided = sum(row.status == "ok" for row in rows)
    low, high = wilson(won, decided)
    return {
        "compared": len(rows),
        "decided": decided,
        "won": won,
        "win_rate": won / decided if decided else None,
        "low": low,
        "high": high,
        "undecided": dict(sorted(Counter(row.status for row in rows if row.status != "ok").items())),
    }


def _grouped(keyed: Iterable[tuple[str, Preference]]) -> dict[str, Wins]:
    groups: dict[str, list[Preference]] = defaultdict(list)
    for key, row in keyed:
        groups[key].append(row)
    return {key: _wins(rows) for key, rows in sorted(groups.items())}


def _under_each(rows: Iterable[Preference], want: Judging) -> Iterator[tuple[str, Preference]]:
    """Each preference as it would have come out under each of its principles alone."""
    for row in rows:
        for principle in dict.fromkeys(vote.principle for vote in row.votes if vote.principle):
            votes = tuple(vote for vote in row.votes if vote.principle == principle)
            status, p_a, _ = settle([(model, [some]) for model, some in by_model(votes).items()], want)
            yield principle, replace(row, votes=votes, status=status, p_a=p_a)
