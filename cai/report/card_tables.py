"""A run's rows as tables of cards, drawn at random where there are too many, and those of them that the page itself shows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai.report import cards, evaluation
from cai.report.cards import Card
from cai.report.evaluation import Evaluation
from cai.report.headline import Match
from cai.report.packing import ROWS, drawn
from cai.report.summary import StageState
from cai.store.lines import DropLine
from cai.store.rows import Chain, Preference, Scored
from cai.store.stage import Stage
from constitution.wording import count

KINDS: dict[str, tuple[type, Callable[[Any], Card], str]] = {
    "label": (Preference, cards.of_preference, "preferences"),
    "revise": (Chain, cards.of_chain, "revisions"),
    "score": (Scored, cards.of_scored, "scored answers"),
}
"""Kind of stage → the type of its rows, what makes a card of one, and what they are called."""


@dataclass(frozen=True, slots=True)
class CardTable:
    """Rows of one kind; ``total`` is how many there are, of which the cards may be part."""

    name: str
    title: str
    total: int
    cards: Sequence[Card]


def of_run(folder: Path, stages: Sequence[StageState], evaluations: Sequence[Evaluation], seed: int) -> list[CardTable]:
    """All tables of a run that have rows: what an evaluation compared first, what was left out last."""
    compared = [_evaluated(folder / of.name, of, seed) for of in evaluations]
    made = [_of_stage(folder, each, seed) for each in stages if each["state"] == "done" and each["kind"] in KINDS]
    return [each for each in (*compared, *made, _dropped(folder, stages, seed)) if each.cards]


def _evaluated(folder: Path, of: Evaluation, seed: int) -> CardTable:
    rows = list(evaluation.prompt_cards(folder, of, seed))
    total = max((each["all"]["answers"] for each in of.models.values()), default=0)
    return CardTable(of.name, f"{of.name}: held-out answers, compared", max(total, len(rows)), rows)


def _of_stage(folder: Path, each: StageState, seed: int) -> CardTable:
    kind, card, title = KINDS[each["kind"]]
    rows = drawn(((row.id, row) for row in Stage(folder / each["name"]).all_rows(kind)), ROWS, seed)
    return CardTable(each["name"], f"{each['name']}: {title}", each["rows_out"], list(map(card, rows)))


def _dropped(folder: Path, stages: Sequence[StageState], seed: int) -> CardTable:
    """What all stages left out, an evaluation's pairs that could not be compared among it."""
    places = [(each["name"], Stage(inner)) for each in stages for inner in _folders(folder / each["name"])]
    total = 0

    def lines() -> Iterator[tuple[str, tuple[str, DropLine]]]:
        nonlocal total
        for name, stage in places:
            for drop in stage.drops():
                total += 1
                yield f"{name}/{drop['in']}/{drop['id']}", (name, drop)

    rows = [cards.of_drop(drop, name) for name, drop in drawn(lines(), ROWS, seed)]
    return CardTable("dropped", "rows left out, of all stages", total, rows)


def _folders(stage: Path) -> list[Path]:
    inner = [*sorted(stage.glob("pairs-*")), *sorted(stage.glob("votes-*"))]  # an evaluation's
    return [each for each in (stage, *inner) if (each / "drops.jsonl").exists()]


def some(rows: Iterable[Card], most: int) -> list[Card]:
    """The first of them, from both tracks as far as there are some; rows come in the order in which they were drawn."""
    by_track: dict[str, list[Card]] = {}
    for row in rows:
        by_track.setdefault(row["track"], []).append(row)
    turns = (row for turn in range(most) for of in by_track.values() for row in of[turn : turn + 1])
    return [row for row, _ in zip(turns, range(most), strict=False)]


def undecided(row: Card) -> bool:
    """Whether a comparison of a row has no winner."""
    return any("over" not in each for each in row["verdicts"])


def selection(table: CardTable, of: Evaluation, most: int) -> list[tuple[str, list[Card]]]:
    """What the page shows of an evaluation without being asked: rows drawn at random, the worst, and those without a winner.

    The worst are those in which the model that all was for lost, the surest verdicts first.
    """
    last = next((match for match in reversed(of.matches) if match.other == of.against), None)
    groups = [("Drawn at random, from both tracks", some(table.cards, most))]
    if last and most:
        lost = sorted(
            ((-_lost(row, last), number, row) for number, row in enumerate(table.cards)), key=lambda each: each[:2]
        )
        worst = [row for loss, _, row in lost[: max(most // 2, 1)] if loss < 0]
        groups.append((f"Where {last.role} lost most surely", worst))
        unsettled = filter(undecided, table.cards)
        groups.append(
            (
                "Without a winner: a tie, orders that disagree, or a verdict that could not be read",
                some(unsettled, max(most // 2, 1)),
            )
        )
    return [(f"{title} ({count(len(rows), 'row')})", rows) for title, rows in groups if rows]


def _lost(row: Card, match: Match) -> float:
    """How surely a model lost in a row, 0 to 1."""
    overs = (each["over"] for each in row["verdicts"] if "over" in each)
    return next((sure for winner, loser, sure in overs if (winner, loser) == (match.other, match.role)), 0.0)
