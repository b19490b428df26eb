"""``concurrency: auto``: as many requests in flight as keep a vLLM server busy, by its own count of those that wait.

A local vLLM never says 429: it takes every request and lets it wait. So the limit follows ``/metrics``: nothing waiting
while rows of ours do means that there is room; a long queue means that requests only lose the cache they came with. A
small queue stays, so that the server's next step always finds one.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cai.models import Model
from cai.slots import Slots

START = 64
MOST = 1024
SECONDS = 1.0
_GAUGE = re.compile(r"^vllm:num_requests_(running|waiting)(?:\{[^}]*\})? ([0-9.eE+]+)\s*$", re.M)


@dataclass(frozen=True, slots=True)
class Load:
    """What a model's servers are doing: requests running, requests waiting."""

    running: int
    waiting: int


@runtime_checkable
class Followed(Protocol):
    """A model that can say what its servers are doing; ``most`` is what the limit may grow to."""

    most: int

    async def load(self) -> Load | None:
        """None where no server tells."""
        ...


def read(metrics: str) -> Load | None:
    """vLLM's ``/metrics`` page, engines summed; None where it is not vLLM's."""
    found = {"running": 0.0, "waiting": 0.0}
    lines = _GAUGE.findall(metrics)
    for name, value in lines:
        found[name] += float(value)
    return Load(int(found["running"]), int(found["waiting"])) if lines else None


def limit(slots: Slots, load: Load) -> int:
    """The limit that follows from what the servers are doing."""
    if load.waiting:
        return load.running + load.running // 8 + 4
    if slots.waiting and slots.busy >= slots.limit:
        return slots.limit + slots.limit // 2 + 4
    return slots.limit


@asynccontextmanager
async def slots(model: Model) -> AsyncIterator[Slots]:
    """A model's slots; where its limit is to follow its servers, it does until the block is left."""
    if not isinstance(model, Followed) or model.most <= model.concurrency:
        yield Slots(model.concurrency)
        return
    growing = Slots(model.concurrency, model.most)
    task = asyncio.create_task(follow(model, growing))
    try:
        yield growing
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def follow(model: Followed, slots: Slots) -> None:
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
        if load is not None and slots.busy:
            slots.resize(limit(slots, load))
