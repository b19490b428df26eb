"""Before the first row: what the stages will ask is played through without a model, and each model is shown one of each kind.

So a server that gives no log-probabilities is known before any answer is written, and not at the first verdict. All that they
are shown is under way at the same time, and takes about as long as one request.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from cai.errors import RowError, first
from cai.flow.ask import Ask, Up, generator
from cai.flow.live import Live, RowStage
from cai.models.types import Model, Reply, Request, Sample
from cai.models.verdicts import gives_logprobs, takes_options, thinks
from cai.store.rows import Drop, decode
from cai.store.stage import Stage

MOST_ROWS = 200
"""Of the first part, which are looked through for one of each track."""


@runtime_checkable
class Preparable(Protocol):
    """A model that can find out beforehand how it takes a request."""

    async def prepare(self, request: Request) -> None:
        """Raises as ``Model.ask`` where it takes none such."""
        ...


@runtime_checkable
class Announceable(Protocol):
    """A model that may be told beforehand what it will have to prepare, so that all of it goes out at once."""

    def announce(self, request: Request) -> None:
        """A request that will be prepared."""
        ...

    async def recall(self) -> None:
        """End what was announced and never prepared."""
        ...


class Understudy:
    """Stands for a model and notes what it is asked; its answers say nothing, and differ."""

    def __init__(self, model: Model) -> None:
        self.model, self.asked = model, list[Request]()
        self.name, self.concurrency, self.format, self.continues = model.name, 1, model.format, model.continues
        self.thinks = thinks(model)

    async def gives_logprobs(self, request: Request) -> bool:
        """What the model itself finds out by asking, as what is asked next depends on it."""
        return await gives_logprobs(self.model, request)

    async def takes_options(self, request: Request) -> bool:
        """As ``gives_logprobs``; what was announced before is under way meanwhile."""
        return await takes_options(self.model, request)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; whether there are likelihoods is found out at once, as a row that finds none goes on without."""
        if request.likelihood and isinstance(self.model, Preparable):
            await self.model.prepare(request)
            return Reply(model=self.name, tokens=(0,))
        self.asked.append(request)
        if isinstance(self.model, Announceable):
            self.model.announce(request)
        if request.choices:
            return Reply((Sample(""),), dict.fromkeys(request.choices, -1.0), model=self.name)
        texts = [f"This is answer {len(self.asked)}.{number}." for number in range(request.n)]
        thought = "This is a thought." if self.thinks else ""
        return Reply(tuple(Sample(text, thought) for text in texts), model=self.name, score=1.0)


def of_each_track(stage: RowStage, source: Stage) -> list[Any]:
    """The first row of each track, on which to rehearse."""
    firsts: dict[str, Any] = {}
    for part in source.parts()[:1]:
        for row in islice(source.rows(stage.takes, part), MOST_ROWS):
            firsts.setdefault(getattr(row, "track", ""), row)
    return [*firsts.values()]


async def rehearse(steps: Sequence[Live], rows: Sequence[Any]) -> None:
    """Prepare the steps' models for what these will ask of them.

    Args:
        rows: of the first step, see ``of_each_track``.

    Raises:
        UserError, RunError: a model cannot be asked so.
    """
    models = {id(up[0]): up[0] for step in steps for up in (step.asked, *(step.up[role] for role in step.stage.roles))}
    understudies = {key: Understudy(model) for key, model in models.items() if isinstance(model, Preparable)}
    if not understudies:
        return
    every = {key: understudies.get(key) or Understudy(model) for key, model in models.items()}
    try:
        for row in rows:
            await _through(row, steps, every)
        await _prepare_all(understudies.values())
    finally:
        for model in models.values():
            if isinstance(model, Announceable):
                await model.recall()


async def _prepare_all(understudies: Iterable[Understudy]) -> None:
    try:
        async with asyncio.TaskGroup() as group:  # each model on its own, as another's servers are no matter to it
            for each in understudies:
                group.create_task(_prepare(each))
    except BaseExceptionGroup as failed:
        raise first(failed) from None


async def _prepare(understudy: Understudy) -> None:
    assert isinstance(understudy.model, Preparable)
    for request in understudy.asked:
        await understudy.model.prepare(request)


async def _through(row: Any, steps: Sequence[Live], models: dict[int, Understudy]) -> None:
    """A row through the steps, as far as it comes without a model's answers."""
    (step, *others) = steps

    def stand_in(up: Up) -> Up:
        return (models[id(up[0])], up[1]) if id(up[0]) in models else up

    ask = Ask(
        *stand_in(step.asked),
        step.constitution,
        row.id,
        generator(step.seed, step.name, row.id),
        others={role: stand_in(up) for role, up in step.up.items()},
    )
    try:
        out = await step.stage.do(row, ask)
    except RowError:
        return
    for each in out if others and not isinstance(out, Drop) else ():
        await _through(decode(others[0].stage.takes, each) if isinstance(each, dict) else each, others, models)
