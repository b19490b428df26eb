"""Answers → a score for each, looked at alone, by a judge, a reward model or rules, under one principle drawn for them.

What best-of-n sampling (Touvron et al. 2023, section 3.2.3), unpaired data and rankings are made from. The answers of a
group are scored under the same principle, so that their scores compare. What cannot be read has no score; none is guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from cai.flow.ask import Ask
from cai.judge.methods import METHODS
from cai.judge.settings import VERDICTS
from cai.store.ledger import ADDED
from cai.store.rows import Drop, Pair, Scored
from constitution import draw
from constitution.model import Constitution, Principle


@dataclass(frozen=True, slots=True)
class Score:
    """The ``score`` block.

    Attributes:
        model: the judge; for the method reward, a reward model; none for rules.
        method: one of ``cai.judge.methods`` that looks at an answer alone: score, propositions, reward or rules.
        choice: how the principle is drawn, see ``constitution.draw``.
        floor: the least probability that the options (ratings, yes and no) must hold together.
        rules: detector → weight, for ``rules``; its own where none are given.
        verdict, verdicts, temperature, max_tokens: how options are read, as in ``label``.
    """

    model: str = ""
    method: str = "score"
    choice: str = "uniform"
    floor: float = 0.1
    rules: Mapping[str, float] = field(default_factory=dict)
    verdict: str = field(default="auto", metadata=ADDED)
    verdicts: int = field(default=VERDICTS, metadata=ADDED)
    temperature: float | None = field(default=None, metadata=ADDED)
    max_tokens: int = field(default=512, metadata=ADDED)


async def score(row: Pair, want: Score, ask: Ask) -> Scored | Drop:
    """The score of each answer of a pair or group; a row of which none can be read is left out."""
    method, principles = METHODS[want.method], chosen(row, want, ask.constitution, ask.rng)
    assert method.score_one is not None
    if method.needs and not principles:
        return Drop(row.id, "no_principle_applies")
    principle = principles[0] if principles else None
    scores = tuple([await method.score_one(row, each.text, principle, want, ask) for each in row.answers])
    if all(each is None for each in scores):
        return Drop(row.id, "unparsed")
    return Scored(
        row.id,
        row.prompt_id,
        row.messages,
        row.answers,
        scores,
        principle.id if principle else "",
        want.method,
        ask.model.name if method.model_kind else want.method,
        row.track,
        row.tags,
        row.language,
        row.added,
    )


def chosen(row: Pair, want: Score, constitution: Constitution, rng: Random) -> tuple[Principle, ...]:
    """The principle of a group's scores; the first thing that a row draws from its generator."""
    method = METHODS[want.method]
    return draw.for_judgment(constitution, row.about, want.choice, rng, method.judges_by) if method.needs else ()
