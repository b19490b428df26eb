"""What became of a model, in sentences: never more than the intervals allow, and never without how good the judge is.

An interval of a share of wins that holds one half tells nothing between two models, whatever the share. All intervals are 95%
ones, each for itself: of twenty comparisons of equal models, one is expected to be told apart.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cai.judge.exam_result import ExamResult
from cai.judge.wins import JudgedWins
from cai.store.ledger import Wins
from constitution.wording import count

Finding = Literal["won", "lost", "nothing", "undecided"]
NAMES = {"redteam": "red-team prompts", "helpful": "helpful prompts", "all": "all prompts"}


@dataclass(frozen=True, slots=True)
class Match:
    """A model over another one, on all prompts and by track."""

    role: str
    other: str
    tracks: Mapping[str, JudgedWins]

    def tracks_told(self) -> list[str]:
        """The tracks, or all prompts where there are none."""
        return [track for track in ("redteam", "helpful") if track in self.tracks] or [*self.tracks][:1]


def finding(wins: Wins) -> Finding:
    """What an interval allows to say."""
    if not wins["decided"] or wins["win_rate"] is None:
        return "undecided"
    if wins["low"] > 0.5:
        return "won"
    return "lost" if wins["high"] < 0.5 else "nothing"


def figures(wins: Wins) -> str:
    """``61% (54–68)``; an end that is near one half is told to the tenth, so that no rounding hides on which side it is."""
    if wins["win_rate"] is None:
        return "–"
    return f"{100 * wins['win_rate']:.0f}% ({_end(wins['low'])}–{_end(wins['high'])})"


def _end(share: float) -> str:
    return f"{100 * share:.0f}" if abs(share - 0.5) >= 0.005 or share == 0.5 else f"{100 * share:.2f}"


def sentence(match: Match) -> str:
    """What became of a model against another one, track by track."""
    clauses: dict[Finding, list[str]] = {}
    for track in match.tracks_told():
        wins = match.tracks[track]
        clauses.setdefault(finding(wins), []).append(_on(track, wins))
    parts = [_clause(match, what, " and ".join(clauses[what])) for what in _ORDER if what in clauses]
    text = "; ".join(parts) or f"{match.role} was not compared with {match.other}"
    return text + _rest(match)


_ORDER: tuple[Finding, ...] = ("won", "lost", "nothing", "undecided")


def _on(track: str, wins: Wins) -> str:
    where = f"on {NAMES.get(track, track)}"
    if wins["win_rate"] is None:
        return where
    share, ends = figures(wins).split(" ", 1)
    match finding(wins):
        case "won":
            return f"{where} in {share} {ends}"
        case "lost":
            return f"{share} {ends} {where}"
    return f"{where} ({share}, {ends[1:-1]})"


def _clause(match: Match, what: Finding, where: str) -> str:
    match what:
        case "won":
            return f"{match.role} is preferred to {match.other} {where}"
        case "lost":
            return f"{match.other} is preferred to {match.role}, which wins only {where}"
        case "nothing":
            return f"nothing can be told between {match.role} and {match.other} {where}"
        case "undecided":
            return f"no comparison of {match.role} and {match.other} was decided {where}"


def _rest(match: Match) -> str:
    """How many comparisons had no winner, where they are so many that the shares are of a minority."""
    chosen = [match.tracks[track] for track in match.tracks_told()]
    decided, compared = (sum(each[key] for each in chosen) for key in ("decided", "compared"))
    return f", of the {decided} of {compared} comparisons that had a winner" if 0 < decided < compared / 2 else ""


def judge_clause(exam: ExamResult | None, own: Sequence[str]) -> str:
    """How far a judge is to be believed.

    Args:
        own: the models that are the judge itself.
    """
    clauses = [_marks(exam) if exam else "the judge has not been examined, so this is its opinion and no more"]
    if own:
        clauses.append(f"the judge judged its own answers ({', '.join(own)})")
    return "; ".join(clauses)


def _marks(exam: ExamResult) -> str:
    accuracy = exam["accuracy"]
    if accuracy["value"] is None:
        return "the judge's exam had nothing to be right about, so this is its opinion and no more"
    ends = f"{_end(accuracy['low'])}–{_end(accuracy['high'])}"
    share = f"{100 * accuracy['value']:.0f}% ({ends}) of {count(accuracy['of'], 'pair')} right"
    if passed(exam):
        return f"the judge is better than a coin ({share})"
    if accuracy["high"] < 0.5:
        return f"the judge is worse than a coin ({share}), so nothing can be told of the answers"
    return f"the judge is no better than a coin, or the pairs too few to tell ({share}), so nothing can be told of the answers"


def passed(exam: ExamResult) -> bool:
    """Whether a judge is better than a coin."""
    return exam["accuracy"]["value"] is not None and exam["accuracy"]["low"] > 0.5


def lines(matches: Iterable[Match], exam: ExamResult | None, own: Sequence[str]) -> Iterator[str]:
    """A sentence for each match, each with its judge: none can be quoted without it.

    A judge that failed its exam comes first: what it preferred is then no news of the models.
    """
    judge, failed = judge_clause(exam, own), bool(exam and exam["accuracy"]["value"] is not None and not passed(exam))
    for match in matches:
        text = f"{judge}; what it says: {sentence(match)}." if failed else f"{sentence(match)}; {judge}."
        yield text[:1].upper() + text[1:] if text.startswith(("nothing ", "no comparison ", "the judge ")) else text
