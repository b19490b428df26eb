"""Scores of answers while a policy learns: a reward model's, a judge's under the constitution, or those of rules.

An answer is read by the same function as in the ``score`` stage. One that cannot be read, that is too long for the model, or
of which a judge would read nothing, as where it was cut off while thinking, has no score and is left out of what is learnt; none
is guessed, and a judge may well like silence best.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cai.errors import RowError
from cai.flow.ask import Ask, Up
from cai.flow.purse import Purse
from cai.judge.methods import METHODS
from cai.judge.settings import VERDICTS
from cai.models import concurrency
from cai.models.concurrency import Slots
from cai.models.open import open_model
from cai.models.prices import SINGLY, priced
from cai.models.spec import ModelSpec
from cai.models.types import NO_MODEL
from cai.store.rows import decode
from cai.store.spending import Spending
from cai.train.rl.rollout import SeededPrompt
from constitution import draw
from constitution.load import load


@dataclass(frozen=True, slots=True)
class Scoring:
    """How answers are scored, as a job file has it.

    Attributes:
        method, choice, floor, rules, verdict, verdicts: as in the block.
        temperature, max_tokens: of sampled verdicts.
        spec: how to reach the model; None where none is asked.
        stage: under which its tokens are counted, in
        spent: the run's file of what was spent; counted nowhere where empty.
        budget: what the role may cost in all, as far as this process goes; no bound where it is None.
        constitution: its file.
        logs: a folder for a server's log.
    """

    method: str
    constitution: str
    logs: str
    choice: str = "uniform"
    floor: float = 0.1
    rules: Mapping[str, float] = field(default_factory=dict)
    spec: ModelSpec | None = None
    verdict: str = "auto"
    verdicts: int = VERDICTS
    temperature: float | None = None
    max_tokens: int = 512
    stage: str = ""
    spent: str = ""
    budget: float | None = None

    @property
    def role(self) -> str:
        """Who is asked, and always singly."""
        return f"{self.spec.role}{SINGLY if self.spec.batch else ''}" if self.spec else ""

    @classmethod
    def read(cls, data: Mapping[str, object]) -> "Scoring":
        """From a job file."""
        return decode(cls, data)


def with_ends(scores: Sequence[float | None], ended: Sequence[bool], penalty: float) -> list[float | None]:
    """Scores, less the penalty where an answer does not end; the same for all that learn from scores."""
    return [score if score is None or end else score - penalty for score, end in zip(scores, ended, strict=True)]


class Rewards:
    """Scores answers; its model is opened with the first of them, in the loop that asks."""

    def __init__(self, scoring: Scoring) -> None:
        self.scoring, self.method = scoring, METHODS[scoring.method]
        self.constitution = load(Path(scoring.constitution))
        self.stack = AsyncExitStack()
        self.up: Up | None = None
        spec = scoring.spec
        prices = priced(spec.role, spec.price, spec.batch) if spec else {}
        own = (spec.role, f"{spec.role}{SINGLY}") if spec else ()
        self.purse = Purse(Spending(Path(scoring.spent) if scoring.spent else None, own), prices, scoring.budget)

    async def score(self, prompts: Sequence[SeededPrompt], texts: Sequence[str]) -> list[float | None]:
        """The score of each answer, or None where it cannot be read.

        Raises:
            UserError, RunError: the model cannot be asked at all, or the budget might be passed.
        """
        if self.up is None:
            self.up = await self._open()
        try:
            return await asyncio.gather(*(self._one(*each) for each in zip(prompts, texts, strict=True)))
        finally:
            self.purse.spending.save()

    async def close(self) -> None:
        """Bring the model down."""
        await self.stack.aclose()

    async def _open(self) -> Up:
        if self.scoring.spec is None:
            return NO_MODEL, Slots(NO_MODEL.concurrency)
        model = await self.stack.enter_async_context(open_model(self.scoring.spec, Path(self.scoring.logs)))
        return model, await self.stack.enter_async_context(concurrency.open_slots(model))

    async def _one(self, prompt: SeededPrompt, text: str) -> float | None:
        assert self.up is not None and self.method.score_one is not None
        ask = Ask(*self.up, self.constitution, str(prompt.seed), Random(prompt.seed))
        ask.stage, ask.role, ask.purse = self.scoring.stage, self.scoring.role, self.purse
        principles, choice = (), self.scoring.choice
        if self.method.needs:
            principles = draw.for_judgment(
                self.constitution, prompt.prompt.about, choice, ask.rng, self.method.judges_by
            )
        if self.method.needs and not principles:
            return None
        if not text and self.method.model_kind == "text":
            return None
        try:
            score = await self.method.score_one(prompt, text, principles[0] if principles else None, self.scoring, ask)
        except RowError:
            return None
        return score if score is not None and math.isfinite(score) else None


class Blocking:
    """The same for a trainer that is not asynchronous."""

    def __init__(self, scoring: Scoring) -> None:
        self.rewards, self.loop = Rewards(scoring), asyncio.new_event_loop()

    def __call__(self, prompts: Sequence[SeededPrompt], texts: Sequence[str]) -> list[float | None]:
        """See ``Rewards.score``."""
        return self.loop.run_until_complete(self.rewards.score(prompts, texts))

    def close(self) -> None:
        """Bring the model down."""
        self.loop.run_until_complete(self.rewards.close())
        self.loop.close()
