"""A stage's way to a model through its server's batch API: what rows ask at the same time is handed in together.

A request is known by its row and what it asks, so that a run which was stopped finds again what it had handed in: a batch that is
out is waited for, and what came back is read from disk. A request that its batch did not answer is asked singly.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from functools import partial, reduce
from pathlib import Path
from typing import Protocol, runtime_checkable

from cai.flow.batch_queue import BatchQueue
from cai.models.batch_api import BatchApi
from cai.models.concurrency import START
from cai.models.dialect import OpenAI
from cai.models.prices import ASKED_SINGLY, SINGLY
from cai.models.replies import Unreadable, failure
from cai.models.roles import RoleModel, bare
from cai.models.types import Model, Reply, Request
from cai.store.batches import BatchFolder


@runtime_checkable
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

    async def takes_options(self, request: Request) -> bool: ...

    async def whole(self, reply: Reply, request: Request, row_id: str) -> Reply:
        """A reply with what the server left out of it."""
        ...

    def batch_api(self) -> BatchApi | None:
        """How requests go in batches, where the role wants it so."""
        ...


def through_batches(model: Model, folder: Path) -> Model:
    """The model as one stage asks it: in batches that are kept in a folder, where the role wants it so."""
    server = bare(model)
    api = server.batch_api() if isinstance(server, Server) else None
    if not isinstance(server, Server) or api is None:
        return model
    door = BatchDoor(server, api, folder)
    return RoleModel(door, model.spec) if isinstance(model, RoleModel) else door


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

    async def takes_options(self, request: Request) -> bool:
        """As the server does."""
        return await self.server.takes_options(request)

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
        whole = await self._busy(partial(self.server.whole, reply, request, row_id))
        more = [total - count for total, count in zip(whole.spent, reply.spent, strict=True)]
        return replace(whole, paid=({} if kept else {"": reply.spent}) | ({SINGLY: more} if any(more) else {}))

    async def _one_by_one(self, request: Request, row_id: str) -> Reply:
        """Samples of a server that gives one at a time, in one batch all the same."""
        seeds = [None if request.seed is None else request.seed + number for number in range(request.n)]
        replies = await asyncio.gather(*(self.ask(replace(request, n=1, seed=seed), row_id) for seed in seeds))
        return replace(reduce(Reply.with_samples, replies), paid=_together(replies))

    async def _singly(self, request: Request, row_id: str) -> Reply:
        reply = await self._busy(partial(self.server.ask, request, row_id))
        counts = Counter(reply.counts) + Counter({ASKED_SINGLY: 1})
        return replace(reply, counts=counts, paid={SINGLY: reply.spent})

    async def _busy(self, answer: Callable[[], Awaitable[Reply]]) -> Reply:
        """What is asked without a batch: a few at once, and no batch goes meanwhile, as their rows are about to ask more."""
        with self.queue.hold():
            async with self.singles:
                return await answer()

    def _line(self, request: Request, row_id: str) -> tuple[str, str, bytes]:
        """Its key, its path and its line; the same request of a row, asked again, is another one.

        By what is asked and not by the body, which some dialects put otherwise the more they know of a server.
        """
        path, body = self.server.dialect.body(self.server.wire_name or self.name, request)
        text = json.dumps([row_id, asdict(request)], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:40]
        self.times[digest] += 1
        key = f"{digest}-{self.times[digest]}"
        return key, path, self.api.line(key, path, body)

    def _read(self, body: object, request: Request) -> Reply | None:
        """An answer, where it is one."""
        if body is None or failure(body):
            return None
        try:
            return self.server.dialect.reply(body, request)
        except (Unreadable, ValueError, RecursionError):
            return None


def _together(replies: Sequence[Reply]) -> dict[str, list[int]]:
    """How the tokens of several replies were paid for."""
    paid: dict[str, list[int]] = {}
    for way, tokens in (each for reply in replies for each in (reply.paid or {}).items()):
        paid[way] = [before + more for before, more in zip(paid.get(way, (0, 0, 0)), tokens, strict=True)]
    return paid
