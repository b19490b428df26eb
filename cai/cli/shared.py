"""What several commands do: bring up the models that were named, and look at words that have to be known."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from cai.errors import UserError
from cai.flow.fleet import Notifier
from cai.flow.screen import Screen
from cai.models import bundled
from cai.models.open import open_model
from cai.models.roles import bare
from cai.models.spec import ModelSpec
from cai.models.types import Model
from constitution.source import nearest

T = TypeVar("T")


def with_model(spec: ModelSpec, screen: Screen, work: Callable[[Model], Awaitable[T]]) -> T:
    """What the work gives, once its model is up; raises as ``open_model`` and the work."""

    async def whole() -> T:
        async with model_up(spec, screen) as up:
            return await work(up)

    return asyncio.run(whole())


@asynccontextmanager
async def model_up(spec: ModelSpec, screen: Screen) -> AsyncIterator[Model]:
    """A model that was named, up until the block is left; raises as ``open_model``."""
    if spec.hosted:
        screen.say(f"starting {spec.kind} with {spec.title} …")
    async with open_model(spec, bundled.cache_folder().parent / "logs") as up:
        if isinstance(model := bare(up), Notifier):
            model.say = screen.say
        yield up


def one_of(option: str, word: str, words: Sequence[str]) -> None:
    """Refuse a word that is none of those known.

    Raises:
        UserError: with the nearest one.
    """
    if word not in words:
        raise UserError(f'{option}: there is no "{word}"; {nearest(word, list(words))}')
