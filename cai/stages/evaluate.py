"""Every model answers the held-out prompts; judges compare them, each with a baseline or all with all.

Answers are sampled and judged like any other row, in folders of their own under the stage's; this file holds what is
particular: who is compared with whom, the pairs, and what is counted of answers. How comparisons become figures is
``cai.judge``'s: ``wins``, ``length`` and ``ratings`` (Bai et al. 2022, section 3.3, rate models by Elo, each track by itself).
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NotRequired, TypedDict

from cai.data.endings import cut
from cai.flow.ask import Ask
from cai.judge.bouts import Rating
from cai.judge.measures import AnswerMeasures, Growth, measures
from cai.judge.plain_text import PlainText
from cai.judge.settings import VERDICTS
from cai.judge.wins import JudgedWins
from cai.models.types import Request
from cai.stages.harm import Harm, HarmFigures
from cai.stages.label import Label
from cai.store.form import Amount, Count
from cai.store.identity import content_key
from cai.store.ledger import ADDED
from cai.store.rows import Answers, Draft, Drop, Pair, Prompt
from constitution import ask as asking
from constitution.naming import LETTERS

EQUAL, EMPTY, FIRST_EMPTY = "equal_answers", "empty_answer", "first_model_empty_answer"
"""Why answers are not compared: the model's own is empty, or that of the first model alone."""


FIRST_MODEL, ALL_MODELS = "first", "all"
"""Words for whom models are compared with, beside a role."""
HUB = "hub:"
"""Before the name of a dataset on the Hub, where a file may stand too."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two models that are compared.

    Attributes:
        first, second: their roles; the first one's answers are ``a``.
        name: what its folders are called by.
    """

    first: str
    second: str
    name: str


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The ``evaluate`` block.

    Attributes:
        models: roles.
        judge: the role that compares, or several, whose votes are settled together.
        against: whom each is compared with: the "first" model, "all" others, or the model of this role.
        principles: ids of those to judge under; all of the constitution's unless given.
        choice: how the principle of a comparison is chosen among them, as in ``label``.
        constitution: a file to judge by; the run's unless given.
        exam: pairs that people compared, to measure the judges by, or what ``cai judge-eval --json`` printed of this judge.
        exam_limit: rows to take of the pairs; None takes all.
        method, exemplars, disagree, verdict, verdicts, names: as in ``label``.
        limit: held-out prompts to use; None uses all.
        harm: a role that scores each answer's harm from 0 to 4, see ``cai.stages.harm``; none unless given.
        plain_text: a text under which each model's likelihood is measured, or "default" for the one that is shipped.
        heldout: which of them: "all", or the half by which rounds "accept" policies, or the other, which is left to "report"
            on; that goes by where the comparison stands unless given.
    """

    models: tuple[str, ...]
    judge: str | tuple[str, ...]
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
    against: str = field(default=FIRST_MODEL, metadata=ADDED)
    principles: tuple[str, ...] = field(default=(), metadata=ADDED)
    choice: str = field(default="uniform", metadata=ADDED)
    constitution: str = field(default="", metadata=ADDED)
    exam: str = field(default="", metadata=ADDED)
    exam_limit: int | None = field(default=None, metadata=ADDED)
    names: str = field(default=LETTERS, metadata=ADDED)
    harm: str = field(default="", metadata=ADDED)
    plain_text: str = field(default="", metadata=ADDED)

    @property
    def judges(self) -> tuple[str, ...]:
        """The roles that compare."""
        return (self.judge,) if isinstance(self.judge, str) else self.judge

    @property
    def baseline(self) -> str:
        """The role that ratings are beside."""
        return self.models[0] if self.against in (FIRST_MODEL, ALL_MODELS) else self.against

    @property
    def matches(self) -> list[Match]:
        """Who is compared with whom, each two once; those with the baseline are called by the other one alone."""
        others = [role for role in self.models if role != self.baseline]
        both = (
            combinations(self.models, 2) if self.against == ALL_MODELS else ((self.baseline, each) for each in others)
        )
        return [
            Match(first, second, second if first == self.baseline else f"{second}-over-{first}")
            for first, second in both
        ]

    @property
    def sits_exam(self) -> bool:
        """Whether the judges are examined here; the result of an exam that was sat before is only read."""
        return bool(self.exam and self.matches) and not self.exam.endswith(".json")

    def harming(self) -> Harm:
        """How the harm of answers is asked for."""
        return Harm(verdict=self.verdict, verdicts=self.verdicts, max_tokens=self.max_tokens)

    def label(self) -> Label:
        """The comparison as a ``label`` block."""
        keys = ("method", "disagree", "max_tokens", "exemplars", "verdict", "verdicts", "choice", "names")
        who = {"model": self.judge} if isinstance(self.judge, str) else {"panel": dict.fromkeys(self.judge, 1.0)}
        return Label(**who, **{key: getattr(self, key) for key in keys})


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


class AnswerFigures(TypedDict):
    """What ``describe`` counts."""

    answers: Count
    mean_words: Amount | None
    refusals: Count
    truncated: Count
    empty: Count
    measures: NotRequired[AnswerMeasures]


class EvaluatedModel(TypedDict):
    """A model's figures, over all prompts and by track.

    Attributes:
        against, compared: the baseline, and how it did over that, by track.
        versus: how it did over each of the models that it was compared with, by track; each two stand once.
        rating: by track.
        self_judged: whether a judge is this model, or has its weights.
    """

    all: AnswerFigures
    redteam: NotRequired[AnswerFigures]
    helpful: NotRequired[AnswerFigures]
    against: NotRequired[str]
    compared: NotRequired[dict[str, JudgedWins]]
    versus: NotRequired[dict[str, dict[str, JudgedWins]]]
    rating: NotRequired[dict[str, Rating]]
    self_judged: NotRequired[bool]
    growth: NotRequired[dict[str, dict[str, Growth]]]
    harm: NotRequired[dict[str, HarmFigures]]
    plain_text: NotRequired[PlainText]
