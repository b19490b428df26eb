"""A bounded concurrent map of row functions over a stream of rows.

Row stages that stand beside each other stream: a row goes through all of them before its place in the window is free
again, each stage writing its own part. A model answers a fixed number of requests at once; among those that wait, later
steps go first, so that rows end (are on disk, and leave the server's cache) before new ones begin; see ``Slots``.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from cai.errors import RowError, first
from cai.models import NOBODY, Model, ModelSpec, Reply, Request
from cai.part import Part
from cai.rows import Drop, decode
from cai.slots import Slots
from cai.store import Stage
from constitution.model import Constitution

Up = tuple[Model, Slots]
"""A model that is up, with its slots."""


def generator(seed: int, stage: str, row_id: str) -> Random:
    """A row's own random generator: the same after a resume and whatever the scheduling."""
    return Random(f"{seed}/{stage}/{row_id}")


@dataclass(slots=True)
class Ask:
    """What a row function asks through: its model, the constitution and the row's own random generator.

    Attributes:
        others: the models of all roles that the stage's block names.

    The generator is seeded by run seed, stage and row id, so what a row draws is the same after a resume and whatever
    the scheduling.
    """

    model: Model
    slots: Slots
    constitution: Constitution
    row_id: str
    rng: Random
    steps: int = 0
    tokens: list[int] = field(default_factory=lambda: [0, 0, 0])
    others: Mapping[str, Up] = field(default_factory=dict)

    async def __call__(self, request: Request) -> Reply:
        """Answer a request; raises as ``Model.ask``."""
        await self.slots.acquire(self.steps)
        try:
            reply = await self.model.ask(request, self.row_id)
        finally:
            self.slots.release()
        self.steps += 1
        for place, count in enumerate((reply.tokens_in, reply.tokens_cached, reply.tokens_out)):
            self.tokens[place] += count
        return reply

    def seed(self) -> int:
        """The next request's seed."""
        return self.rng.getrandbits(31)

    def of(self, role: str) -> "Ask":
        """The same row's way to another role's model; its tokens and draws are the row's."""
        model, slots = self.others[role]
        return replace(self, model=model, slots=slots)


@dataclass(frozen=True, slots=True)
class Work:
    """A row stage before its models are up: this can be sent to another machine.

    Attributes:
        name: what rows' generators are seeded with, beside run and row.
        takes: the type of its input rows.
        do: row, ask → the rows it gives, or a drop.
        roles: the models it asks, the first of them unless told; none where no model is asked.
    """

    name: str
    stage: Stage
    takes: type
    do: Callable[[Any, Ask], Awaitable[Sequence[Any] | Drop]]
    roles: tuple[str, ...]

    def step(self, up: Mapping[str, Up], constitution: Constitution, seed: int) -> "Step":
        """Ready to flow, now that its models are up; rows with a status are counted by it."""
        model, slots = up[self.roles[0]] if self.roles else (NOBODY, Slots(NOBODY.concurrency))
        step = Step(self.name, self.stage, self.takes, self.do, model, slots, constitution, seed, _status, _silent)
        step.others = {role: up[role] for role in self.roles}
        return step


@dataclass(frozen=True, slots=True)
class Task:
    """Row stages that stream into each other, with all they need to be done on any machine.

    Attributes:
        specs: how to reach the model of each role that they ask.
    """

    works: Sequence[Work]
    specs: Mapping[str, ModelSpec]
    constitution: Constitution
    seed: int

    def steps(self, up: Mapping[str, Up]) -> list["Step"]:
        """Ready to flow, now that the models are up."""
        return [work.step(up, self.constitution, self.seed) for work in self.works]


def _status(row: dict[str, Any]) -> str | None:
    """What a row is counted under; answers without a score are counted by their row."""
    return row.get("status") or ("partly_unparsed" if None in (row.get("scores") or ()) else None)


def _silent(*_: object) -> None:
    """Before a bar is there."""


@dataclass(slots=True)
class Step:
    """One row stage as the flow sees it.

    Attributes:
        work: row, ask → the rows it gives, or a drop.
        takes: the type of its input rows.
        count: output row → a word to count in the ledger, or None.
        on_row: called after each row: stage name, tokens (in, cached, out), the reason if the row was dropped.
        left_out: the rows that an earlier session dropped from parts that are not finished; read when the flow starts.
    """

    name: str
    stage: Stage
    takes: type
    work: Callable[[Any, Ask], Awaitable[Sequence[Any] | Drop]]
    model: Model
    slots: Slots
    constitution: Constitution
    seed: int
    count: Callable[[dict[str, Any]], str | None] | None
    on_row: Callable[[str, Sequence[int], str], None]
    left_out: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    others: Mapping[str, Up] = field(default_factory=dict)

    async def do(self, row: Any, part: Part) -> Sequence[Any]:
        """One row through this stage; what was written before a resume is taken from there."""
        rng = generator(self.seed, self.name, row.id)
        ask = Ask(self.model, self.slots, self.constitution, row.id, rng, others=self.others)
        try:
            out = await self.work(row, ask)
        except RowError as error:
            out = Drop(row.id, error.reason, error.detail)
        if isinstance(out, Drop):
            part.drop(out, ask.tokens)
        else:
            part.put(row.id, out, ask.tokens)
        self.on_row(self.name, ask.tokens, out.reason if isinstance(out, Drop) else "")
        return [] if isinstance(out, Drop) else out


class Backlog:
    """The rows that are not through their steps yet: the slots put those that wait in order by how many there are.

    Args:
        steps: whose slots are told.
        more: whether rows may still come that nobody has counted.
    """

    def __init__(self, steps: Sequence[Step], more: bool = False) -> None:
        self.slots = {slots for step in steps for slots in (step.slots, *(slots for _, slots in step.others.values()))}
        self.rows, self.more = 0, more
        self.add(0)

    def add(self, rows: int) -> None:
        """So many more are left, or fewer where it is negative."""
        self.rows += rows
        for slots in self.slots:
            slots.remain(math.inf if self.more else self.rows)

    def close(self) -> None:
        """No row will come that is not counted yet."""
        self.more = False
        self.add(0)


async def flow(steps: Sequence[Step], source: Stage, window: int) -> None:
    """Take every row of the source's parts through the steps and finish their parts.

    Args:
        window: rows open at once.

    Raises:
        RunError: a model or the disk failed; what was written stays.
    """
    places = asyncio.Semaphore(window)
    for step in steps:
        step.left_out = step.stage.open_drops()
    ways = [way for number in source.parts() if (way := _way(steps, source, number)).steps]
    backlog = Backlog(steps)
    backlog.add(sum(way.source.count(way.number) for way in ways))
    try:
        async with asyncio.TaskGroup() as group:
            for way in ways:
                await _start(group, places, backlog, way)
    except BaseExceptionGroup as failed:
        raise first(failed) from None


async def flow_part(
    steps: Sequence[Step], source: Stage, number: int, places: asyncio.Semaphore, turn: asyncio.Lock, backlog: Backlog
) -> None:
    """Take one part's rows through the steps and finish their parts; raises as ``flow``.

    Args:
        places: of rows open at once, shared by the parts that flow beside each other.
        turn: held while the part's rows start, so that parts begin one after the other.
        backlog: shared as the places are; the part's rows are added to it.
    """
    way = _way(steps, source, number)
    backlog.add(way.source.count(number))
    try:
        async with asyncio.TaskGroup() as group, turn:
            await _start(group, places, backlog, way)
    except BaseExceptionGroup as failed:
        raise first(failed) from None


@dataclass(frozen=True, slots=True)
class Way:
    """What is left to do of one input part: the steps that have not finished it, and where their rows come from."""

    number: int
    steps: Sequence[Step]
    source: Stage


def _way(steps: Sequence[Step], source: Stage, number: int) -> Way:
    while steps and steps[0].stage.finished(number):
        source, steps = steps[0].stage, steps[1:]
    return Way(number, steps, source)


async def _start(group: asyncio.TaskGroup, places: asyncio.Semaphore, backlog: Backlog, way: Way) -> None:
    """Start one input part's rows; the part is finished in the background when the last of them is done."""
    parts = [Part(step.stage, way.number, step.left_out.get(way.number, ())) for step in way.steps]
    rows = list(way.source.rows(way.steps[0].takes, way.number))
    tasks = []
    for row in rows:
        await places.acquire()
        tasks.append(group.create_task(_advance(row, list(zip(way.steps, parts, strict=True)), places, backlog)))
    group.create_task(_finish(way.steps, parts, [row.id for row in rows], tasks))


async def _advance(row: Any, ways: list[tuple[Step, Part]], places: asyncio.Semaphore, backlog: Backlog) -> None:
    try:
        await _through(row, ways)
    finally:
        places.release()
        backlog.add(-1)


async def _through(row: Any, ways: list[tuple[Step, Part]]) -> None:
    (step, part), *rest = ways
    done = part.done.get(row.id)
    out = await step.do(row, part) if done is None else done.get("out", [])
    for each in out if rest else ():
        await _through(decode(rest[0][0].takes, each) if isinstance(each, dict) else each, rest)


async def _finish(steps: Sequence[Step], parts: list[Part], order: list[str], tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)
    for step, part in zip(steps, parts, strict=True):
        order = [row["id"] for row in part.finish(order, step.count)]
