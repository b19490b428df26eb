"""The models of a chat, up in an event loop of another thread: Ctrl-C then ends an answer, and neither them nor the program."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from cai.cli.chat_talk import Talk
from cai.cli.shared import model_up
from cai.errors import RowError, RunError, first
from cai.flow.ask import generator
from cai.flow.screen import Screen
from cai.models.roles import bare, for_role
from cai.models.spec import ModelSpec
from cai.models.types import Model, Request
from cai.store.rows import Draft
from constitution import ask as asking

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn; those of two models by the same seed."""

    temperature: float = 1.0
    max_tokens: int = 512
    seed: int = 0

    def generator(self) -> Random:
        """The seeds of a chat's answers, one after the other."""
        return generator(self.seed, "chat", "answers")


USUAL = Sampling()


class ChatModels:
    """One model or two, up within a ``with``.

    Args:
        specs: how they are reached; one server serves both where it can.

    Raises:
        UserError, RunError: on entering, as ``open_model``.
    """

    def __init__(self, specs: Sequence[ModelSpec], screen: Screen) -> None:
        self.specs, self.screen, self.stack = specs, screen, AsyncExitStack()
        self.loop, self.models = asyncio.new_event_loop(), list[Model]()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> "ChatModels":
        self.thread.start()
        try:
            self._wait(self._open())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _open(self) -> None:
        for spec in self.specs:
            if self.models and self.specs[0].same_server(spec):
                self.models.append(for_role(bare(self.models[0]), spec))
            else:
                self.models.append(await self.stack.enter_async_context(model_up(spec, self.screen)))

    async def _close(self) -> None:
        await self.stack.aclose()
        rest = asyncio.all_tasks() - {asyncio.current_task()}  # such as an answer that nobody waits for any more
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What is done in the models' loop; what interrupts the waiting ends it there too."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def answers(self, talk: Talk, person: str, sampling: Sampling, seed: int) -> tuple[Draft, ...]:
        """Each model's answer, all at once.

        Raises:
            RunError: one of them cannot answer, or none can.
        """
        return self._wait(self._answers(talk, person, sampling, seed))

    async def _answers(self, talk: Talk, person: str, sampling: Sampling, seed: int) -> tuple[Draft, ...]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._answer(side, talk, person, sampling, seed))
                    for side in range(len(self.models))
                ]
        except ExceptionGroup as errors:
            raise first(errors) from None
        return tuple(each.result() for each in tasks)

    async def _answer(self, side: int, talk: Talk, person: str, sampling: Sampling, seed: int) -> Draft:
        model, name = self.models[side], talk.names[side]
        asked = asking.answer((*talk.messages(side), {"role": "user", "content": person}), model.format)
        request = Request(
            asked.messages, asked.prompt, 1, sampling.max_tokens, sampling.temperature, stop=asked.stop, seed=seed
        )
        try:
            sample = (await model.ask(request, "chat")).samples[0]
        except RowError as error:
            raise RunError(_sentence(error, name, sampling.max_tokens)) from None
        return Draft(sample.text.strip(), model.name, sample.finish, seed, thinking=sample.thinking)


def _sentence(error: RowError, name: str, max_tokens: int) -> str:
    if error.reason == "context_too_long":
        return (
            f"the conversation, with an answer of up to {max_tokens} tokens, is too long for {name} ({error}); "
            "/undo takes its last turn back, /new begins another, and a lower --max-tokens leaves more room"
        )
    return f"{name} cannot answer this ({error.reason.replace('_', ' ')}: {error}); say it otherwise, or /undo"
