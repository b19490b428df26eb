"""What a row function asks through: its model, the constitution, and the row's own random generator."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from cai.flow.purse import Purse
from cai.models.concurrency import Slots
from cai.models.types import Model, Reply, Request
from constitution.model import Constitution

Up = tuple[Model, Slots]
"""A model that is up, with its slots."""


def generator(seed: int, stage: str, row_id: str) -> Random:
    """A row's own random generator: the same after a resume and whatever the scheduling."""
    return Random(f"{seed}/{stage}/{row_id}")


@dataclass(slots=True)
class Ask:
    """What a row function asks through: its model, the constitution and the row's own random generator.

    Attributes:
        tokens, counts: the row's so far, of all its models' replies; what else of them the ledger counts.
        others: the models of all roles that the stage's block names.
        on_reply: told the tokens (in, cached, out) of each reply as it comes.
        stage, role: under which its tokens are counted in
        purse: what may be spent; no bound and no count where there is none.

    The generator is seeded by run seed, stage and row id, so what a row draws is the same after a resume and whatever
    the scheduling.
    """

    model: Model
    slots: Slots
    constitution: Constitution
    row_id: str
    rng: Random
    steps: int = 0
    tokens: list[int] = field(default_factory=lambda: [0, 0, 0])
    counts: Counter[str] = field(default_factory=Counter)
    others: Mapping[str, Up] = field(default_factory=dict)
    on_reply: Callable[[Sequence[int]], None] = lambda tokens: None
    stage: str = ""
    role: str = ""
    purse: Purse | None = None

    async def __call__(self, request: Request) -> Reply:
        """Answer a request; raises as ``Model.ask``, and RunError where the budget might be passed."""
        purse = self.purse
        if purse is not None and purse.budget is not None:
            reply = await self._within_budget(request, purse)
        else:
            reply = await self._answered(request)
            if purse is not None:
                self._pay(request, reply, purse)
        self.steps += 1
        tokens = self.tokens
        tokens[0] += reply.tokens_in
        tokens[1] += reply.tokens_cached
        tokens[2] += reply.tokens_out
        if reply.counts:
            self.counts.update(reply.counts)
        if reply.tokens_thought:
            self.counts["tokens_thought"] += reply.tokens_thought
        self.on_reply(reply.spent)
        return reply

    async def _within_budget(self, request: Request, purse: Purse) -> Reply:
        """An answer for which its most is set aside until it has come."""
        amount = await purse.hold(self.role, request, self.model, self.steps)
        try:
            reply = await self._answered(request)
            self._pay(request, reply, purse)
        finally:
            purse.release(amount)
        return reply

    def _pay(self, request: Request, reply: Reply, purse: Purse) -> None:
        purse.pay(self.stage, self.role, request, reply)
        if purse.prices.get(self.role) and not reply.tokens_in:
            self.counts["without_usage"] += 1

    async def _answered(self, request: Request) -> Reply:
        await self.slots.acquire(self.steps)
        try:
            return await self.model.ask(request, self.row_id)
        finally:
            self.slots.release()

    def seed(self) -> int:
        """The next request's seed."""
        return self.rng.getrandbits(31)

    def of(self, role: str) -> "Ask":
        """The same row's way to another role's model; its tokens and draws are the row's."""
        model, slots = self.others[role]
        return replace(self, model=model, slots=slots, role=role)
