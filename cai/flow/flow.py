"""A bounded concurrent map of row functions over a stream of rows.

Row stages that stand beside each other stream: a row goes through all of them before its place in the window is free
again, each stage writing its own part. A model answers a fixed number of requests at once; among those that wait, later
steps go first, so that rows end (are on disk, and leave the server's cache) before new ones begin; see ``Slots``.
"""

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from cai.errors import RunError, first
from cai.flow.live import Live, status_of
from cai.flow.purse import Purse
from cai.store.lines import Row
from cai.store.part import Part
from cai.store.rows import decode
from cai.store.stage import Stage

SAVE_SECONDS = 2.0
"""Between two times that a stage's clock is saved: what a kill can take of its figure."""

OBJECTS = 10_000
"""New ones between two looks for cycles; Python's own 700 are those of a few requests."""


class Backlog:
    """The rows that are not through their steps yet: the slots put those that wait in order by how many there are.

    Args:
        steps: whose slots are told.
        more: whether rows may still come that nobody has counted.
    """

    def __init__(self, steps: Sequence[Live], more: bool = False) -> None:
        self.slots = {slots for step in steps for slots in step.all_slots}
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


async def flow(steps: Sequence[Live], source: Stage, window: int) -> None:
    """Take every row of the source's parts through the steps and finish their parts.

    Args:
        window: rows open at once.

    Raises:
        RunError: a model or the disk failed; what was written stays.
    """
    places = asyncio.Semaphore(window)
    for step in steps:
        step.left_out = step.folder.open_drops()
    ways = [way for number in source.parts() if (way := _way(steps, source, number)).steps]
    backlog = Backlog(steps)
    backlog.add(sum(way.source.count(way.number) for way in ways))
    try:
        with seldom_collected():
            async with clocks([step.folder for step in steps], steps[0].purse), asyncio.TaskGroup() as group:
                for way in ways:
                    await _start(group, places, backlog, way)
    except BaseExceptionGroup as failed:
        raise first(failed) from None


async def flow_part(
    steps: Sequence[Live], source: Stage, number: int, places: asyncio.Semaphore, turn: asyncio.Lock, backlog: Backlog
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


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Python looks for unreachable cycles less often until the block is left: rows and requests leave hardly any behind."""
    first, *others = gc.get_threshold()
    gc.set_threshold(max(first, OBJECTS) if first else 0, *others)  # 0 is a collector that somebody switched off
    try:
        yield
    finally:
        gc.set_threshold(first, *others)


@asynccontextmanager
async def clocks(stages: Sequence[Stage], purse: Purse | None = None) -> AsyncIterator[None]:
    """Save now and then how long the stages have worked and what was spent, and once more when the block is left."""

    def save() -> None:
        with suppress(RunError):  # of a disk that cannot be written the rows tell
            if purse:
                purse.spending.save()
            for stage in stages:
                stage.clock.save()

    async def again() -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            save()

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()
        save()


@dataclass(frozen=True, slots=True)
class Way:
    """What is left to do of one input part: the steps that have not finished it, and where their rows come from."""

    number: int
    steps: Sequence[Live]
    source: Stage


def _way(steps: Sequence[Live], source: Stage, number: int) -> Way:
    while steps and steps[0].folder.finished(number):
        source, steps = steps[0].folder, steps[1:]
    return Way(number, steps, source)


async def _start(group: asyncio.TaskGroup, places: asyncio.Semaphore, backlog: Backlog, way: Way) -> None:
    """Start one input part's rows; the part is finished in the background when the last of them is done."""
    parts = [Part(step.folder, way.number, step.left_out.get(way.number, ())) for step in way.steps]
    rows = list(way.source.rows(way.steps[0].stage.takes, way.number))
    ways, tasks = list(zip(way.steps, parts, strict=True)), []
    for row in rows:
        await places.acquire()
        tasks.append(group.create_task(_advance(row, ways, places, backlog)))
    group.create_task(_finish(parts, [row.id for row in rows], tasks))


async def _advance(row: Row, ways: list[tuple[Live, Part]], places: asyncio.Semaphore, backlog: Backlog) -> None:
    try:
        await _through(row, ways)
    finally:
        places.release()
        backlog.add(-1)


async def _through(row: Row, ways: list[tuple[Live, Part]]) -> None:
    (step, part), *rest = ways
    line = part.outcomes.get(row.id)
    out = await step.do(row, part) if line is None else line.get("out", [])
    for each in out if rest else ():
        await _through(decode(rest[0][0].stage.takes, each) if isinstance(each, dict) else each, rest)


async def _finish(parts: list[Part], order: list[str], tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)
    for part in parts:
        order = [str(row["id"]) for row in part.finish(order, status_of)]
