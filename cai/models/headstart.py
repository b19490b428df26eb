"""Harmless requests that go out before their turn, all at once, so that many take no longer than one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from cai.models.abilities import Abilities
from cai.models.dialect import OpenAI
from cai.models.replica import Replica
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request

Knowledge = tuple[Abilities, frozenset[str]]
"""What was seen of the servers: by it a request is put and its answer read."""


class Asked(Protocol):
    """The model that is asked, as far as what is harmless goes."""

    spec: ModelSpec
    name: str
    dialect: OpenAI
    replicas: list[Replica]
    concurrency: int
    length: int
    thinks: bool
    say: Callable[[str], None]

    def once(self, request: Request, server: Replica | None = None) -> Awaitable[Reply]:
        """One try, at any server unless told; raises Refused or Transient."""
        ...

    async def comes_back(self, until: float) -> bool:
        """Wait for any server until a moment of the clock."""
        ...

    def gone(self, error: Transient) -> str:
        """The sentence for a model that no server answers for."""
        ...


@dataclass(frozen=True, slots=True)
class Flight:
    """A request that went ahead.

    Attributes:
        knowledge: what was known when it was put, and when its answer was read; nothing before it is put.
    """

    request: Request
    server: Replica
    knowledge: set[Knowledge]
    task: asyncio.Task[Reply]


class HeadStart:
    """The way of harmless requests to a model's servers: never more at once than the model's concurrency."""

    def __init__(self, model: Asked) -> None:
        self.model, self.places = model, asyncio.Semaphore(model.concurrency)
        self.flights: list[Flight] = []
        self.tasks: list[asyncio.Task[Reply]] = []

    def send(self, request: Request, server: Replica) -> None:
        """Send a request that will be asked; whoever sends calls ``recall`` in the end."""
        knowledge = set[Knowledge]()
        task = asyncio.create_task(self._fly(request, server, knowledge))
        self.flights.append(Flight(request, server, knowledge, task))
        self.tasks.append(task)

    async def ask(self, request: Request, server: Replica) -> Reply:
        """A server's answer: the one to what went ahead, unless this would be put or read otherwise by now.

        Raises:
            Refused, Transient: as ``Asked.once``.
        """
        flight = next((each for each in self.flights if each.server is server and each.request == request), None)
        if flight:
            self.flights.remove(flight)
            await asyncio.wait([flight.task])
            if not flight.task.cancelled() and flight.knowledge == {self._knowledge(request)}:
                return flight.task.result()
            self._send_anew()
        async with self.places:
            return await self.model.once(request, server)

    async def recall(self) -> None:
        """End what is still on its way."""
        tasks, self.tasks, self.flights = self.tasks, [], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fly(self, request: Request, server: Replica, knowledge: set[Knowledge]) -> Reply:
        async with self.places:
            knowledge.add(self._knowledge(request))
            try:
                return await self.model.once(request, server)
            finally:
                knowledge.add(self._knowledge(request))

    def _knowledge(self, request: Request) -> Knowledge:
        """What is known of how this request is put: how an answer is bound is no matter of one that has no options."""
        dialect = self.model.dialect
        now = dialect.now if request.options else replace(dialect.now, structure="")
        return now, frozenset(dialect.thinkers)

    def _send_anew(self) -> None:
        """All that would be put or read otherwise by now, so that they take no longer than one again."""
        for stale in [each for each in self.flights if each.knowledge - {self._knowledge(each.request)}]:
            self.flights.remove(stale)
            stale.task.cancel()
            self.send(stale.request, stale.server)
