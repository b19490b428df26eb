"""A first evaluation: every model answers the held-out prompts; a judge compares each with the first model.

Answers are sampled and judged like any other row, in folders of their own under the stage's; this file holds what is
particular: the pairs and the figures. Elo over many raters (Bai et al. 2022, section 3.3) needs many more comparisons;
a share of wins with its interval is what few comparisons can carry.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from cai.data.endings import cut
from cai.flow.ask import Ask
from cai.judge.exam import Position
from cai.judge.figures import position
from cai.judge.kinds import kinds
from cai.judge.measures import AnswerMeasures, Growth, measures
from cai.judge.plain_text import PlainText
from cai.judge.settings import VERDICTS
from cai.judge.statistics import wilson
from cai.models.types import Request
from cai.stages.harm import Harm, HarmFigures
from cai.stages.label import Label
from cai.store.form import Amount, Count
from cai.store.ledger import ADDED, Wins
from cai.store.rows import Answers, Draft, Drop, Pair, Preference, Prompt, content_key
from constitution import ask as asking

EQUAL, EMPTY, FIRST_EMPTY = "equal_answers", "empty_answer", "first_model_empty_answer"
"""Why answers are not compared: the model's own is empty, or that of the first model alone."""


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The ``evaluate`` block.

    Attributes:
        models: roles; each after the first is compared with the first.
        judge: the role that compares.
        method, exemplars, disagree, verdict, verdicts: as in ``label``.
        limit: held-out prompts to use; None uses all.
        harm: a role that scores each answer's harm from 0 to 4, see ``cai.stages.harm``; none unless given.
        plain_text: a text under which each model's likelihood is measured, or "default" for the one that is shipped.
        heldout: which of them: "all", or the half by which rounds "accept" policies, or the other, which is left to "report"
            on; that goes by where the comparison stands unless given.
    """

    models: tuple[str, ...]
    judge: str
    method: str = "logprob"
    disagree: str = "drop"
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    exemplars: int | None = None
    limit: int | None = None
    heldout: str = ""
    verdict: str = field(default="auto", metadata=ADDED)
    verdicts: int = field(default=VERDICTS, metadata=ADDED)
    harm: str = field(default="", metadata=ADDED)
    plain_text: str = field(default="", metadata=ADDED)

    def harming(self) -> Harm:
        """How the harm of answers is asked for."""
        return Harm(verdict=self.verdict, verdicts=self.verdicts, max_tokens=self.max_tokens)

    def label(self) -> Label:
        """The comparison as a ``label`` block."""
        keys = ("method", "disagree", "max_tokens", "exemplars", "verdict", "verdicts")
        return Label(model=self.judge, **{key: getattr(self, key) for key in keys})


async def answer(row: Prompt, want: Evaluate, ask: Ask) -> Answers:
    """One model's answer to one held-out prompt."""
    seed, prompt = ask.seed(), asking.answer(row.messages, ask.model.format)
    request = Request(
        prompt.messages, prompt.prompt, 1, want.max_tokens, want.temperature, want.top_p, prompt.stop, seed
    )
    reply = await ask(request)
    sample = reply.samples[0]
    draft = Draft(sample.text.strip(), ask.model.name, sample.finish, seed, thinking=sample.thinking)
    return Answers(row.id, row.messages, draft, row.track, row.about.tags, row.language)


def pairs(first: Iterable[Answers], other: Iterable[Answers]) -> Iterator[Pair | Drop]:
    """The first model's answer (a) and the other's (b) to each prompt that both answered.

    One that is empty is no answer to judge: of a harmful prompt a judge may well find that saying nothing is the better one.
    """
    by_id = {row.id: row.draft for row in first}
    for row in other:
        if row.id in by_id and (reason := _left_out(by_id[row.id].text, row.draft.text)):
            yield Drop(row.id, reason)
        elif row.id in by_id:
            yield Pair(row.id, row.id, row.messages, by_id[row.id], row.draft, row.track, row.tags, row.language)


def _left_out(first: str, other: str) -> str:
    """Why two answers are not compared; empty where they are."""
    if first == other:
        return EQUAL
    return EMPTY if not other else FIRST_EMPTY if not first else ""


def half(rows: Iterable[Prompt], part: str) -> list[Prompt]:
    """One half of held-out prompts, of each track: by what they say, so that it is the same whatever their order and ids.

    Args:
        part: "accept" or "report".
    """
    prompts = list(rows)
    ranked = sorted(prompts, key=lambda row: (row.track, content_key(row.messages)))
    mine = {row.id for row in ranked[("accept", "report").index(part) :: 2]}
    return [row for row in prompts if row.id in mine]


def describe(rows: Sequence[Answers]) -> "AnswerFigures":
    """What can be counted of a model's answers without a judge."""
    words, figures = [len(row.draft.text.split()) for row in rows], measures(rows)
    return {
        "answers": len(rows),
        "mean_words": round(statistics.fmean(words), 1) if words else None,
        "refusals": figures["stances"]["refusal"],
        "truncated": sum(bool(cut(row.draft)) for row in rows),
        "empty": sum(not row.draft.text for row in rows),
        "measures": figures,
    }


class JudgedWins(Wins):
    """Wins as a judge gave them, with its liking for a position, and how its verdicts were read (``cai.judge.kinds``)."""

    position: Position
    verdicts: NotRequired[dict[str, dict[str, Count]]]


class AnswerFigures(TypedDict):
    """What ``describe`` counts."""

    answers: Count
    mean_words: Amount | None
    refusals: Count
    truncated: Count
    empty: Count
    measures: NotRequired[AnswerMeasures]


class EvaluatedModel(TypedDict):
    """A model's figures, over all prompts and by track, and how it compares with the first model."""

    all: AnswerFigures
    redteam: NotRequired[AnswerFigures]
    helpful: NotRequired[AnswerFigures]
    against: NotRequired[str]
    compared: NotRequired[dict[str, JudgedWins]]
    growth: NotRequired[dict[str, dict[str, Growth]]]
    harm: NotRequired[dict[str, HarmFigures]]
    plain_text: NotRequired[PlainText]


def compare(rows: Sequence[Preference], left_out: Iterable[str] = ()) -> JudgedWins:
    """Wins of the second answers over the first ones', with a 95% interval; what could not be decided is counted.

    Args:
        left_out: why each pair that was not judged was not.
    """
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
        "left_out": dict(sorted(Counter(left_out).items())),
        "position": position(rows),
        "verdicts": kinds(row.votes for row in rows),
    }
