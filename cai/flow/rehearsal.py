"""Before the first row: what the stages will ask is played through without a model, and each model is shown one of each kind.

So a server that gives no log-probabilities is known before any answer is written, and not at the first verdict.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from cai.errors import RowError, first
from cai.flow.ask import Ask, Up, generator
from cai.flow.live import Live, RowStage
from cai.models.types import Model, Reply, Request
from cai.models.verdicts import gives_logprobs, thinks
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


class Understudy:
    """Stands for a model and notes what it is asked; its answers say nothing, and differ."""

    def __init__(self, model: Model) -> None:
        self.model, self.asked = model, list[Request]()
        self.name, self.concurrency, self.format, self.continues = model.name, 1, model.format, model.continues
        self.thinks = thinks(model)

    async def gives_logprobs(self, request: Request) -> bool:
        """What the model itself finds out by asking, as what is asked next depends on it."""
        return await gives_logprobs(self.model, request)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``."""
        self.asked.append(request)
        if request.choices:
            return Reply(("",), ("stop",), dict.fromkeys(request.choices, -1.0), model=self.name)
        texts = tuple(f"This is answer {len(self.asked)}.{number}." for number in range(request.n))
        thoughts = ("This is a thought.",) * request.n if self.thinks else ()
        return Reply(texts, ("stop",) * request.n, model=self.name, score=1.0, thinking=thoughts)


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
    for row in rows:
        await _through(row, steps, every)
    try:
        async with asyncio.TaskGroup() as group:  # each model on its own, as another's servers are no matter to it
            for each in understudies.values():
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
