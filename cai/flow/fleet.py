"""The models that are up: brought up when a stage needs them, down when the next does not."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from cai.flow.screen import Screen
from cai.models import concurrency
from cai.models.concurrency import Slots
from cai.models.launch import computes_in
from cai.models.open import open_model
from cai.models.types import Model, ModelSpec, Reply, Request


class Fleet:
    """The models that are up. Of those that this machine hosts, only the ones in use stay."""

    def __init__(self, logs: Path, screen: Screen) -> None:
        self.logs, self.screen = logs, screen
        self.up: list[tuple[ModelSpec, Model, Slots, AsyncExitStack]] = []

    async def need(self, specs: Iterable[ModelSpec]) -> list[tuple[Model, Slots]]:
        """Bring these models up, one after the other, and down what is hosted here and not among them."""
        specs = list(specs)
        for entry in list(self.up):
            if entry[0].hosted and not any(entry[0].same_server(spec) for spec in specs):
                self.up.remove(entry)
                await entry[3].aclose()
        return [await self._one(spec) for spec in specs]

    async def roles(self, specs: Mapping[str, ModelSpec]) -> dict[str, tuple[Model, Slots]]:
        """Bring up the models of these roles, as ``need`` does."""
        return dict(zip(specs, await self.need(specs.values()), strict=True))

    async def _one(self, spec: ModelSpec) -> tuple[Model, Slots]:
        for known, model, slots, _ in self.up:
            if known.same_server(spec):
                return (model if known.format == spec.format else _Formed(model, spec.format)), slots
        if spec.hosted:
            self.screen.say(f"starting {spec.kind} with {spec.title}{computes_in(spec)} …")
        stack = AsyncExitStack()
        model = await stack.enter_async_context(open_model(spec, self.logs))
        slots = await stack.enter_async_context(concurrency.open_slots(model))
        self.up.append((spec, model, slots, stack))
        return model, slots

    async def close(self) -> None:
        """Bring every model down."""
        while self.up:
            await self.up.pop()[3].aclose()


class _Formed:
    """A model that is up, asked in another form than the role that brought it up asks it in."""

    def __init__(self, inner: Model, form: str) -> None:
        self.inner, self.format = inner, form
        self.name, self.concurrency = inner.name, inner.concurrency

    @property
    def continues(self) -> bool:
        """As the model itself does."""
        return self.inner.continues

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``."""
        return await self.inner.ask(request, row_id)
