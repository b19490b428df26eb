"""An evaluation as the page shows it: what was found, under which principles, by which judge, and the answers it was found on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cai.errors import RunError
from cai.judge.bouts import Rating
from cai.judge.exam_result import ExamResult
from cai.judge.statistics import wilson
from cai.report import cards, headline
from cai.report.headline import Match
from cai.report.packing import ROWS, drawn
from cai.report.summary import evaluated, judged
from cai.stages.evaluate import EvaluatedModel
from cai.store.ledger import Wins
from cai.store.rows import Answers, Preference, Vote
from cai.store.run_folder import RunNote
from cai.store.stage import Stage

TRACKS = ("redteam", "helpful", "all")
KNOWN = (*TRACKS, "against", "compared", "versus", "rating", "self_judged")
"""Keys of an evaluated model that have places of their own on the page."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation.

    Attributes:
        models: figures by role.
        matches: each two models that were compared, those with the model compared with first.
        against: that model.
        own: models that are the judge itself.
        judge: what is known of it, in sentences.
    """

    name: str
    models: Mapping[str, EvaluatedModel]
    matches: Sequence[Match]
    against: str
    ratings: Mapping[str, Mapping[str, Rating]]
    exam: ExamResult | None
    own: Sequence[str]
    judge: Sequence[str]

    @property
    def lines(self) -> list[str]:
        """What became of each model against the one compared with, the last model first: it is the one that all was for."""
        mine = [match for match in self.matches if match.other == self.against]
        return [line for match in reversed(mine) for line in headline.lines([match], self.exam, self._own_of(match))]

    @property
    def standing(self) -> str:
        """How far the judge is to be believed, in a few words."""
        passed = self.exam is not None and headline.passed(self.exam)
        words = "not examined" if self.exam is None else "better than a coin" if passed else "no better than a coin"
        return f"{words}, and judged itself" if self.own else words

    def measured(self) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
        """What was counted without comparing, by role: for each track, over all prompts, and of the models as a whole."""
        models: Mapping[str, Mapping[str, Any]] = {role: {**figures} for role, figures in self.models.items()}
        more = {
            role: {key: each for key, each in figures.items() if key not in KNOWN} for role, figures in models.items()
        }
        for track in TRACKS:
            columns = {
                role: _unwrapped(figures.get(track, {}))
                | {k: each[track] for k, each in more[role].items() if _by_track(each, track)}
                for role, figures in models.items()
            }
            if any(columns.values()):
                yield f"Answers to {headline.NAMES[track]}", columns
        whole = {role: {key: each for key, each in some.items() if not _by_track(each)} for role, some in more.items()}
        if any(whole.values()):
            yield "Of the models as a whole", whole

    def _own_of(self, match: Match) -> list[str]:
        return [role for role in self.own if role in (match.role, match.other)]


def _by_track(value: object, *tracks: str) -> bool:
    """Whether a figure is given by track, and for these."""
    return isinstance(value, dict) and bool(value) and value.keys() <= set(TRACKS) and value.keys() >= set(tracks)


def _unwrapped(figures: Mapping[str, Any]) -> dict[str, Any]:
    """An answer's figures, with those that a group of measures holds beside the others."""
    inner = figures.get("measures")
    own = {key: each for key, each in figures.items() if key != "measures"}
    return own | (inner if isinstance(inner, dict) else {})


def of_stage(folder: Path, run: RunNote) -> Evaluation:
    """An evaluation, of a run of now or of before.

    Raises:
        RunError: its figures are gone, or damaged.
    """
    models, note = evaluated(folder), judged(folder)
    against = next((of["against"] for of in models.values() if "against" in of), next(iter(models)))
    matches = sorted(_matches(models), key=lambda match: match.other != against)
    own = [role for role, of in models.items() if of.get("self_judged")] or _own(folder, run, list(models))
    ratings = {role: of["rating"] for role, of in models.items() if "rating" in of}
    exam, says = (note.get("exam"), note["says"]) if note else (None, [])
    return Evaluation(folder.name, models, matches, against, ratings, exam, own, says)


def _matches(models: Mapping[str, EvaluatedModel]) -> Iterator[Match]:
    for role, of in models.items():
        pairs = of.get("versus") or ({of["against"]: of["compared"]} if "compared" in of and "against" in of else {})
        for other, tracks in pairs.items():
            yield Match(role, other, tracks)


def _own(folder: Path, run: RunNote, roles: Sequence[str]) -> list[str]:
    """The models that the judge is, of a run that did not say so: those of the same name."""
    block = (Stage(folder).begun or {"block": {}})["block"]
    judges = block.get("judge")
    names = [judges] if isinstance(judges, str) else judges if isinstance(judges, list) else []
    titles = {run["models"].get(str(judge), "") for judge in names} - {""}
    return [role for role in roles if role in names or run["models"].get(role, "") in titles]


def votes_of(folder: Path, match: Match, against: str) -> Stage:
    """Where the comparisons of two models are: answer a is the other's."""
    name = match.role if match.other == against else f"{match.role}-over-{match.other}"
    return Stage(folder / f"votes-{name}")


def prompt_cards(folder: Path, of: Evaluation, seed: int) -> Iterator[cards.Card]:
    """Held-out prompts drawn at random, each with all answers and comparisons."""
    stages = {role: Stage(folder / f"answers-{role}") for role in of.models}
    ids = dict.fromkeys(str(row["id"]) for stage in stages.values() for row in stage.all_rows(dict))
    chosen = drawn(((id, id) for id in ids), ROWS, seed)
    answers: dict[str, dict[str, Answers]] = {id: {} for id in chosen}
    comparisons: dict[str, dict[tuple[str, str], Preference]] = {id: {} for id in chosen}
    for role, stage in stages.items():
        for row in stage.all_rows(Answers):
            if row.id in answers:
                answers[row.id][role] = row
    for match in of.matches:
        for row in votes_of(folder, match, of.against).all_rows(Preference):
            if row.id in comparisons:
                comparisons[row.id][match.other, match.role] = row
    return (cards.of_prompt(answers[id], comparisons[id]) for id in chosen)


@dataclass(slots=True)
class WinTally:
    """Comparisons under one principle, as they are counted."""

    compared: int = 0
    won: int = 0
    undecided: Counter[str] = field(default_factory=Counter)

    def wins(self) -> Wins:
        """With the interval."""
        decided = self.compared - self.undecided.total()
        low, high = wilson(self.won, decided)
        rate = self.won / decided if decided else None
        undecided = dict(sorted(self.undecided.items()))
        return {
            "compared": self.compared,
            "decided": decided,
            "won": self.won,
            "win_rate": rate,
            "low": low,
            "high": high,
            "undecided": undecided,
        }


def by_principle(folder: Path, match: Match, against: str) -> dict[str, Wins]:
    """Wins under each principle; counted from the votes where the figures of before do not have them."""
    whole = next(iter(match.tracks.values()), None)
    if whole and "principles" in whole:
        return dict(whole["principles"])
    counts: dict[str, WinTally] = defaultdict(WinTally)
    for row in votes_of(folder, match, against).all_rows(Preference):
        groups: dict[str, list[Vote]] = defaultdict(list)
        for vote in row.votes:
            groups[vote.principle].append(vote)
        for principle, votes in groups.items():
            status, p = (row.status, row.p_a) if len(groups) == 1 else _alone(votes)
            count = counts[principle]
            count.compared += 1
            if status != "ok" or p is None or p == 0.5:
                count.undecided[status if status != "ok" else "tie"] += 1
            else:
                count.won += p < 0.5
    return {principle: counts[principle].wins() for principle in sorted(counts) if principle}


def _alone(votes: Iterable[Vote]) -> tuple[str, float | None]:
    """What votes under one principle come to, where a comparison was made under several."""
    read = [vote.p_a for vote in votes]
    if any(p is None for p in read):
        return "unparsed", None
    shares = [p for p in read if p is not None]
    sides = {(p > 0.5) - (p < 0.5) for p in shares}
    return ("ok" if sides in ({1}, {-1}) else "tie" if sides == {0} else "inconsistent"), sum(shares) / len(shares)


def damaged(folder: Path, error: Exception) -> RunError:
    """The sentence for an evaluation whose files do not go together."""
    return RunError(
        f"files of {folder} are damaged ({error}); put them back, or do it again with: --redo {folder.name}"
    )
