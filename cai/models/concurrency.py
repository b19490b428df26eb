"""How many requests a model answers at once, and which of those that wait is next.

``concurrency: auto`` keeps as many in flight as keep a vLLM server busy, by its own count of those that wait. A local vLLM
never says 429: it takes every request and lets it wait. So the limit follows ``/metrics``: nothing waiting while rows of
ours do means that there is room; a long queue means that requests only lose the cache they came with. A small queue stays,
so that the server's next step always finds one.
"""

import asyncio
import heapq
import itertools
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cai.models.types import Model

START = 64
MOST = 1024
SECONDS = 1.0
MOST_REQUESTS = 1e9
"""A server that tells of more tells nothing."""
_GAUGE = re.compile(r"^vllm:num_requests_(running|waiting)(?:\{[^}]*\})? ([0-9.eE+]+)\s*$", re.M)

TAIL_ROWS = 2
"""Rows for each slot that are the tail. Of fewer than one for each slot none waits, and nothing can be put in order."""


class Slots:
    """At most ``limit`` holders at once; the limit may change while some hold.

    The row with most steps behind it is next, so that rows end, and are on disk and leave the server's cache, before new
    ones begin. In the tail, when ``TAIL_ROWS`` rows a slot are left, the one with fewest steps behind it is next: rows
    that have most left to do start on it early, and no long chain is left to run alone at the end.

    Args:
        limit: holders at once, to begin with.
        most: what the limit may grow to; ``limit`` itself unless given.

    Attributes:
        busy: holders now.
        peak: holders at the most so far.
    """

    def __init__(self, limit: int, most: int | None = None) -> None:
        self.limit, self.most = limit, most or limit
        self.busy = self.peak = 0
        self.rows_left: float = math.inf
        self.tail = False
        self.waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self.arrivals = itertools.count()

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self.waiting)

    def remain(self, rows: float) -> None:
        """Say how many rows are left, those that are open included; infinity while nobody knows."""
        self.rows_left = rows
        self._reorder()

    def resize(self, limit: int) -> None:
        """Let more hold at once, or fewer as those that do let go."""
        self.limit = max(1, min(limit, self.most))
        self._reorder()
        self._hand_on()

    async def acquire(self, step: int) -> None:
        """Wait for a slot."""
        if self.busy < self.limit:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (self._rank(step), next(self.arrivals), step, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the slot was given just as its holder was cancelled
            raise

    def release(self) -> None:
        """Hand the slot on."""
        self.busy -= 1
        self._hand_on()

    def _hand_on(self) -> None:
        while self.waiting and self.busy < self.limit:
            *_, turn = heapq.heappop(self.waiting)
            if not turn.done():
                self._take()
                turn.set_result(None)

    def _take(self) -> None:
        self.busy += 1
        self.peak = max(self.peak, self.busy)

    def _reorder(self) -> None:
        """Put those that wait in the order that the rows left ask for, where that is another one now."""
        tail = self.rows_left <= TAIL_ROWS * self.limit
        if tail != self.tail:
            self.tail = tail
            self.waiting = [(self._rank(step), arrival, step, turn) for _, arrival, step, turn in self.waiting]
            heapq.heapify(self.waiting)

    def _rank(self, step: int) -> int:
        return step if self.tail else -step


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What a model's servers are doing: requests running, requests waiting."""

    running: int
    waiting: int


@runtime_checkable
class LoadReporter(Protocol):
    """A model that can say what its servers are doing; ``most`` is what the limit may grow to."""

    most: int

    async def load(self) -> ServerLoad | None:
        """None where no server tells."""
        ...


def read_load(metrics: str) -> ServerLoad | None:
    """vLLM's ``/metrics`` page, engines summed; None where it is not vLLM's."""
    sums = {"running": 0.0, "waiting": 0.0}
    lines = _GAUGE.findall(metrics)
    for name, value in lines:
        with suppress(ValueError):
            sums[name] += float(value)
    return (
        ServerLoad(int(sums["running"]), int(sums["waiting"])) if lines and max(sums.values()) < MOST_REQUESTS else None
    )


def next_limit(open_slots: Slots, load: ServerLoad) -> int:
    """The limit that follows from what the servers are doing."""
    if load.waiting:
        return load.running + load.running // 8 + 4
    if open_slots.waiting and open_slots.busy >= open_slots.limit:
        return open_slots.limit + open_slots.limit // 2 + 4
    return open_slots.limit


@asynccontextmanager
async def open_slots(model: Model) -> AsyncIterator[Slots]:
    """A model's slots; where its limit is to follow its servers, it does until the block is left."""
    if not isinstance(model, LoadReporter) or model.most <= model.concurrency:
        yield Slots(model.concurrency)
        return
    growing = Slots(model.concurrency, model.most)
    task = asyncio.create_task(follow(model, growing))
    try:
        yield growing
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def follow(model: LoadReporter, open_slots: Slots) -> None:
    """Until cancelled, or until the first look shows that no server tells what it is doing.

    A later look that fails is one page that was not read: the limit stays until the next.
    """
    tells = False
    while True:
        await asyncio.sleep(SECONDS)
        load = await model.load()
        if load is None and not tells:
            return
        tells = True
        if load is not None and open_slots.busy:
            open_slots.resize(next_limit(open_slots, load))
