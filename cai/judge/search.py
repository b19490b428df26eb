"""Which form of asking serves a judge best: whole forms first, then one setting after the other from the best so far.

Every form is judged on one half of the pairs, by conversation, under the same principles and in both orders. The best of many
looks better than it is, so nothing is claimed from that half: the best and the usual form meet once more on the other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TypeAlias

from cai.judge.exam import FormFigures, Share
from cai.judge.figures import JudgedPair, mean, position, right
from cai.judge.methods import BESIDE
from cai.judge.settings import Judging
from cai.judge.settle import judge_outcome
from cai.store.ledger import Seal
from cai.store.rows import Pair, Preference, Vote
from constitution.naming import LETTERS

Value: TypeAlias = str | int | None


@dataclass(frozen=True, slots=True)
class Asking:
    """A form of asking; its fields are keys of a label block, see ``Judging``."""

    method: str = "logprob"
    names: str = LETTERS
    layout: str = "cached"
    exemplars: int | None = None
    mean: str = "probabilities"

    def plain(self) -> "Asking":
        """The same without what its method has no use for: a single answer has no name, place or order."""
        return self if self.method in BESIDE else Asking(self.method)

    def settings(self) -> dict[str, Value]:
        """The keys of a label block, without those that say what is usual."""
        return {key: value for key, value in asdict(self).items() if key == "method" or value != USUAL[key]}

    @property
    def folder(self) -> str:
        """Where it is judged; both means are of the same votes."""
        if self.method not in BESIDE:
            return self.method
        shown = "all" if self.exemplars is None else str(self.exemplars)
        return f"{self.method}-{self.names}-{self.layout}-{shown}"

    @property
    def title(self) -> str:
        """For people."""
        if self.method not in BESIDE:
            return self.method
        shown = "all" if self.exemplars is None else str(self.exemplars)
        words = [self.method, self.names, self.layout, f"{shown} exemplar{'' if shown == '1' else 's'}"]
        return ", ".join(words + ["logits"] * (self.mean == "logits"))


USUAL: Mapping[str, Value] = {each.name: getattr(Judging(), each.name) for each in fields(Asking)}
PUBLISHED: Mapping[str, Asking] = {
    "Bai et al. 2022, section 4.1": Asking("logprob", layout="paper"),
    "after Lee et al. 2023": Asking("logprob", names="numbers", exemplars=2),
    "after Zheng et al. 2023": Asking("cot", names="brackets", layout="framed", exemplars=0),
}
"""Shapes of prompts that were published, as nearly as our settings come to them; the words are ours."""
MEANS = ("probabilities", "logits")


@dataclass(frozen=True, slots=True)
class Grid:
    """What is searched.

    Attributes:
        start: the usual form.
        whole: source → the form that it used, tried as it is before single settings.
        choices: key of a form → its values, in the order in which keys are tried.
    """

    start: Asking
    whole: Mapping[str, Asking]
    choices: Mapping[str, Sequence[Value]]

    def near(self, key: str, best: Asking) -> list[Asking]:
        """The forms that differ from the best so far in one key alone; without a key, the whole forms."""
        others = (
            [replace(best, **{key: value}).plain() for value in self.choices[key]] if key else list(self.whole.values())
        )
        return list(dict.fromkeys((best, *others)))

    @property
    def keys(self) -> tuple[str, ...]:
        """The rounds of the search: the whole forms, then each key."""
        return ("", *self.choices)

    def most(self) -> Iterator[tuple[str, int]]:
        """For each round that asks a model its key, and how many forms may have to be judged in it."""
        for key in self.keys:
            if key != "mean":
                yield key, len(self.choices[key]) - 1 if key else len(self.near("", self.start))


@dataclass(frozen=True, slots=True)
class Mark:
    """How a form did on half of the pairs.

    Attributes:
        accuracy: over all pairs on which people have a majority; what could not be read counts as wrong.
        brier: over the same; what could not be read counts as a coin.
    """

    accuracy: Share
    brier: float
    figures: FormFigures

    @property
    def rank(self) -> tuple[float, float, int]:
        """Lower is better: accuracy, then Brier score, then tokens."""
        return -(self.accuracy.value or 0.0), self.brier, self.figures["tokens"]


def following(grid: Grid, marks: Mapping[Asking, Mark]) -> tuple[Asking, list[Asking]]:
    """The best form so far, and those to be judged next; none at the end of the search.

    It follows from the marks alone, so that a search that was stopped goes the same way again.
    """
    best = grid.start
    for key in grid.keys:
        near = grid.near(key, best)
        if missing := [each for each in near if each not in marks]:
            return best, missing
        best = min(near, key=lambda each: marks[each].rank)
    return best, []


def outcomes(pairs: Iterable[Pair], rows: Iterable[Preference], want: Judging) -> list[JudgedPair]:
    """Each pair on which people have a majority, with what the votes of its row make of it by these settings.

    A pair without a row was left out, such as one that is too long to be asked about: it could not be read.
    """
    known, found = {row.pair.id: row for row in rows}, list[JudgedPair]()
    for pair in pairs:
        people = sum(pair.people) / len(pair.people) if pair.people else 0.5
        if people != 0.5:
            row = known.get(pair.id) or Preference(pair.id, pair, (), None, None, "error")
            found.append(JudgedPair(pair.prompt_id, _settled(row.votes, want), people, row))
    return found


def _settled(votes: Sequence[Vote], want: Judging) -> float | None:
    under: dict[str, list[Vote]] = {}
    for vote in votes:
        under.setdefault(vote.principle, []).append(vote)
    return judge_outcome(list(under.values()), want)[1] if under else None


def mark(asking: Asking, source: str, pairs: Sequence[JudgedPair], seal: Seal) -> Mark:
    """The figures of a form.

    Args:
        source: who published it, if anyone did.
        seal: of the stage that judged it.
    """
    votes = [vote for each in pairs for vote in each.row.votes]
    accuracy = mean(pairs, right)
    brier = sum(((0.5 if each.p is None else each.p) - each.people) ** 2 for each in pairs) / max(len(pairs), 1)
    figures: FormFigures = {
        "form": asking.title,
        "settings": asking.settings(),
        "published": source,
        "accuracy": {"value": accuracy.value, "low": accuracy.low, "high": accuracy.high, "of": accuracy.of},
        "brier": brier,
        "same_position": position(each.row for each in pairs)["rate"],
        "unread": sum(vote.p_a is None for vote in votes) / len(votes) if votes else None,
        "left_out": seal["dropped"],
        "tokens": seal["tokens_in"] + seal["tokens_out"],
        "seconds": seal["seconds"],
    }
    return Mark(accuracy, brier, figures)


def difference(one: Sequence[JudgedPair], other: Sequence[JudgedPair]) -> Share:
    """By how much one form is more often right than another on the same pairs; its interval is of pairs beside each other."""
    base = {each.row.id: each.right for each in other}
    return mean(one, lambda each: each.right - base[each.row.id], (-1.0, 1.0))


def claim(best: Asking, start: Asking, found: Share | None) -> str:
    """What the held-out half says of the best form beside the usual one."""
    if found is None or found.value is None:
        return f"No form is surely better: none did better than the usual one ({start.title}) on the first half."
    points = f"{100 * found.value:+.0f} points, {100 * found.low:+.0f} to {100 * found.high:+.0f}"
    where = f"on {found.of} held-out pairs ({points})"
    if found.low > 0:
        return f"Asked as {best.title}, this judge is surely better than as usual ({start.title}) {where}."
    if found.high < 0:
        return f"The usual form ({start.title}) is surely better than {best.title} {where}: keep it."
    return f"No form is surely better: {best.title}, the best of the first half, may be no better than {start.title} {where}."
