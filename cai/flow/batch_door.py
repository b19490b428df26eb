"""A stage's way to a model through its server's batch API: what rows ask at the same time is handed in together.

A request is known by its row and what it asks, so that a run which was stopped finds again what it had handed in: a batch that is
out is waited for, and what came back is read from disk. A request that its batch did not answer is asked singly.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import reduce
from pathlib import Path
from typing import Any, Protocol

from cai.flow.batch_queue import BatchQueue
from cai.models.asked import AskedAs, bare
from cai.models.batch_api import BatchApi
from cai.models.concurrency import START
from cai.models.dialect import OpenAI
from cai.models.prices import ASKED_SINGLY
from cai.models.replies import Unreadable, failure
from cai.models.types import Model, Reply, Request
from cai.store.batches import BatchFolder


class Server(Protocol):
    """The model behind the door: how its requests are put, and what it is asked singly."""

    name: str
    wire_name: str
    format: str
    concurrency: int
    dialect: OpenAI
    say: Callable[[str], None]

    @property
    def continues(self) -> bool: ...

    @property
    def continues_chat(self) -> bool: ...

    thinks: bool

    async def ask(self, request: Request, row_id: str) -> Reply: ...

    async def prepared(self, request: Request, role: str = "") -> Request:
        """The request as it is to be sent."""
        ...

    async def gives_logprobs(self, request: Request) -> bool: ...

    async def whole(self, reply: Reply, request: Request, row_id: str) -> Reply:
        """A reply with what the server left out of it."""
        ...


def through_batches(model: Model, folder: Path) -> Model:
    """The model as one stage asks it: in batches that are kept in a folder, where the role wants it so."""
    inner: Any = bare(model)
    api = inner.batch_api() if hasattr(inner, "batch_api") else None
    if api is None:
        return model
    door = BatchDoor(inner, api, folder)
    return AskedAs(door, model.spec) if isinstance(model, AskedAs) else door


class BatchDoor:
    """A model that is asked in batches.

    Args:
        folder: where those of this stage and role are kept.
    """

    def __init__(self, server: Server, api: BatchApi, folder: Path) -> None:
        self.server, self.api = server, api
        self.name, self.format, self.concurrency = server.name, server.format, server.concurrency
        self.queue = BatchQueue(api, BatchFolder(folder), server.name, lambda text: server.say(text))
        self.opening, self.is_open = asyncio.Lock(), False
        self.times = Counter[str]()
        self.singles = asyncio.Semaphore(min(START, server.concurrency))

    @property
    def continues(self) -> bool:
        """As the server does."""
        return self.server.continues

    @property
    def continues_chat(self) -> bool:
        """As the server does."""
        return self.server.continues_chat

    @property
    def thinks(self) -> bool:
        """As the server does."""
        return self.server.thinks

    async def gives_logprobs(self, request: Request) -> bool:
        """As the server does."""
        return await self.server.gives_logprobs(request)

    async def prepare(self, request: Request, role: str = "") -> None:
        """Find out how the server takes such a request of a role's; raises as ``Model.ask``."""
        await self._prepared(request, role)

    async def _prepared(self, request: Request, role: str = "") -> Request:
        """The request as it is to be sent, once it is known that the server has batches."""
        if not self.is_open:
            async with self.opening:
                if not self.is_open:
                    await self.queue.open()
                    self.is_open = True
        return await self.server.prepared(request, role)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``."""
        request = await self._prepared(request)
        if request.n > 1 and not self.server.dialect.now.samples:
            return await self._one_by_one(request, row_id)
        key, path, line = self._line(request, row_id)
        body, kept = await self.queue.answer(key, path, line)
        reply = self._read(body, request)
        if reply is None:
            return await self._singly(request, row_id)
        return replace(await self.server.whole(reply, request, row_id), kept=kept)

    async def _one_by_one(self, request: Request, row_id: str) -> Reply:
        """Samples of a server that gives one at a time, in one batch all the same."""
        seeds = [None if request.seed is None else request.seed + number for number in range(request.n)]
        replies = await asyncio.gather(*(self.ask(replace(request, n=1, seed=seed), row_id) for seed in seeds))
        return replace(reduce(Reply.joined, replies), kept=all(each.kept for each in replies))

    async def _singly(self, request: Request, row_id: str) -> Reply:
        with self.queue.hold():
            async with self.singles:
                reply = await self.server.ask(request, row_id)
        return replace(reply, counts=Counter(reply.counts) + Counter({ASKED_SINGLY: 1}))

    def _line(self, request: Request, row_id: str) -> tuple[str, str, bytes]:
        """Its key, its path and its line; the same request of a row, asked again, is another one.

        By what is asked and not by the body, which some dialects put otherwise the more they know of a server.
        """
        path, body = self.server.dialect.body(self.server.wire_name or self.name, request)
        found = hashlib.sha256(json.dumps([row_id, asdict(request)], sort_keys=True, default=str).encode()).hexdigest()[
            :40
        ]
        self.times[found] += 1
        key = f"{found}-{self.times[found]}"
        return key, path, self.api.line(key, path, body)

    def _read(self, body: Any, request: Request) -> Reply | None:
        """An answer, where it is one."""
        if body is None or failure(body):
            return None
        try:
            return self.server.dialect.reply(body, request)
        except (Unreadable, ValueError, RecursionError):
            return None
