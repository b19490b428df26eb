"""The models that are up: brought up when a stage needs them, down when the next does not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from cai.errors import RunError
from cai.flow.screen import Screen
from cai.models import concurrency
from cai.models.concurrency import Slots
from cai.models.launch import computes_in
from cai.models.open import open_model
from cai.models.roles import bare, for_role
from cai.models.spec import ModelSpec
from cai.models.types import Model

TOGETHER = 10_000
"""Requests that may wait in batches at once, unless a role says how many."""


@runtime_checkable
class Exchangeable(Protocol):
    """A model whose servers may take another one's weights."""

    async def takes(self, spec: ModelSpec) -> bool:
        """Whether it became that model."""
        ...


@runtime_checkable
class Notifier(Protocol):
    """A model that has something to say while it is asked."""

    say: Callable[[str], None]


@dataclass(slots=True)
class Entry:
    """A model that is up, how it was asked for, and what brings it down."""

    spec: ModelSpec
    model: Model
    slots: Slots
    stack: AsyncExitStack


class Fleet:
    """The models that are up. Of those that this machine hosts, only the ones in use stay."""

    def __init__(self, logs: Path, screen: Screen) -> None:
        self.logs, self.screen = logs, screen
        self.up: list[Entry] = []

    async def need(self, specs: Iterable[ModelSpec]) -> list[tuple[Model, Slots]]:
        """Bring these models up, one after the other, and down what is hosted here and not among them.

        A server whose model is needed no more takes the weights of one that is, where the two differ in nothing else.
        """
        specs = list(specs)
        for entry in list(self.up):
            stays = not entry.spec.hosted or any(entry.spec.same_server(spec) for spec in specs)
            if not (stays or await self._exchanged(entry, specs)):
                self.up.remove(entry)
                await entry.stack.aclose()
        return [await self._one(spec) for spec in specs]

    async def _exchanged(self, entry: Entry, specs: Sequence[ModelSpec]) -> bool:
        """Whether a model that is up became one of these that is not."""
        missing = [spec for spec in specs if not any(each.spec.same_server(spec) for each in self.up)]
        with suppress(RunError):  # a server that cannot is ended, and another one is started
            for spec in missing:
                if isinstance(entry.model, Exchangeable) and await entry.model.takes(spec):
                    self.screen.say(f"the server of {entry.spec.title} takes the weights of {spec.title}")
                    entry.spec = spec
                    return True
        return False

    async def roles(self, specs: Mapping[str, ModelSpec]) -> dict[str, tuple[Model, Slots]]:
        """Bring up the models of these roles, as ``need`` does."""
        return dict(zip(specs, await self.need(specs.values()), strict=True))

    async def _one(self, spec: ModelSpec) -> tuple[Model, Slots]:
        for each in self.up:
            if each.spec.same_server(spec):
                return for_role(each.model, spec), each.slots
        if spec.hosted:
            self.screen.say(f"starting {spec.kind} with {spec.title}{computes_in(spec)} …")
        stack = AsyncExitStack()
        model = bare(await stack.enter_async_context(open_model(spec, self.logs)))
        if isinstance(model, Notifier):
            model.say = self.screen.say
        together = Slots(spec.concurrency or TOGETHER) if spec.batch else None
        slots = together or await stack.enter_async_context(concurrency.open_slots(model))
        self.up.append(Entry(spec, model, slots, stack))
        return for_role(model, spec), slots

    async def close(self) -> None:
        """Bring every model down."""
        while self.up:
            await self.up.pop().stack.aclose()
