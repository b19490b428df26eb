"""Requests that arrive together, answered together by a model in this process."""

import asyncio
from collections.abc import Callable, Sequence

from cai.errors import RowError
from cai.models.types import Reply, Request

BATCH = 16
GATHER_SECONDS = 0.02


class Batches:
    """Gathers requests into batches and answers one batch after the other, in a thread.

    Args:
        answer: a batch → a reply, or what is wrong, for each of its requests.
        shape: requests of equal shape can share a batch.
    """

    def __init__(
        self, answer: Callable[[list[Request]], Sequence[Reply | RowError]], shape: Callable[[Request], object]
    ) -> None:
        self.answer, self.shape = answer, shape
        self.waiting: list[tuple[Request, asyncio.Future[Reply]]] = []
        self.worker: asyncio.Task[None] | None = None
        self.current: list[asyncio.Future[Reply]] = []

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits any more for what is being answered, so that it may as well end."""
        return bool(self.current) and all(future.cancelled() for future in self.current)

    async def ask(self, request: Request) -> Reply:
        """One request's reply; raises as ``Model.ask``."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.waiting.append((request, future))
        if self.worker is None or self.worker.done():
            self.worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while batch := self._next():
            self.current = [future for _, future in batch]
            try:
                replies = await asyncio.to_thread(self.answer, [request for request, _ in batch])
            except Exception as error:  # every caller waits for its future: none may be left behind
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():
                    future.set_exception(reply) if isinstance(reply, RowError) else future.set_result(reply)

    def _next(self) -> list[tuple[Request, asyncio.Future[Reply]]]:
        """The oldest request and those that can share its batch; none where nobody waits."""
        self.waiting = [each for each in self.waiting if not each[1].cancelled()]
        first = self.shape(self.waiting[0][0]) if self.waiting else None
        batch = [each for each in self.waiting if self.shape(each[0]) == first][:BATCH]
        self.waiting = [each for each in self.waiting if each not in batch]
        return batch
