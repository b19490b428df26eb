"""Parts handed out to the workers of a cluster, and taken back when they are done.

This process alone decides what is done. When a worker has finished a part, its rows get their place in the run's folder,
which therefore looks as if one machine had made it. What a lost worker had open goes to others; a worker that was given up
and comes back has written under names that nobody asks for.
"""

import asyncio
import contextlib
import math
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cai.cluster.hire import Cluster, Place, RemoteWorker
from cai.cluster.worker import PartOrder, PartResult, Progress
from cai.errors import CaiError, RunError, UserError, first
from cai.flow.flow import clocks
from cai.flow.live import Job
from cai.flow.purse import Purse
from cai.flow.screen import Bar
from cai.store.files import whole_lines
from cai.store.stage import Stage, open_part
from constitution.wording import count

T = TypeVar("T")

LOOK_SECONDS = 1.0
SETTLE_SECONDS = 2.0
MOST_DEATHS = 3


@dataclass(slots=True)
class WorkerLoad:
    """What all workers are doing, as a bar shows it."""

    workers: dict[Place, tuple[int, int]] = field(default_factory=dict)

    @property
    def busy(self) -> int:
        """Requests in flight."""
        return sum(busy for busy, _ in self.workers.values())

    @property
    def queued(self) -> int:
        """Requests that wait for a slot."""
        return sum(queued for _, queued in self.workers.values())


class WorkerLost(Exception):
    """A worker is gone, with its machine or alone, or cannot go on.

    Attributes:
        error: what it said, if it could.
    """

    def __init__(self, why: str, error: CaiError | None = None) -> None:
        super().__init__(why)
        self.error = error or RunError(why)


async def through(cluster: Cluster, job: Job, source: Stage, bars: Mapping[str, Bar], purse: Purse) -> None:
    """Take the source's parts through the job's stages, wherever there is room.

    Args:
        purse: where what workers spend is counted.

    Raises:
        UserError, RunError: as a model's on one machine; or workers die again and again.
    """
    await asyncio.to_thread(cluster.share, job)
    try:
        await Dispatcher(cluster, job, source, bars, purse).done()
    except BaseExceptionGroup as failed:
        raise first(failed) from None


class Dispatcher:
    """One group of stages on its way over the cluster."""

    def __init__(self, cluster: Cluster, task: Job, source: Stage, bars: Mapping[str, Bar], purse: Purse) -> None:
        self.cluster, self.task, self.source, self.bars, self.purse = cluster, task, source, bars, purse
        self.stages = [work.folder for work in task.stages]
        self.drops = [stage.open_drops() for stage in self.stages]
        numbers = [number for number in source.parts() if not self.stages[-1].finished(number)]
        self.todo, self.remaining = deque(numbers), len(numbers)
        self.rows = max(1, next(iter(bars.values())).total // max(len(source.parts()), 1))
        self.changed, self.taking = asyncio.Event(), asyncio.Lock()
        self.loads = {name: WorkerLoad() for name in bars}
        self.progress: dict[int, Counter[str]] = defaultdict(Counter)
        self.deaths: Counter[Place] = Counter()
        self.proven = False
        self.error: CaiError = RunError("")
        self.hiring: set[Place] = set()
        self.gpus = max((spec.tensor_parallel for spec in task.specs.values() if spec.hosted), default=0)
        self.most = max((spec.replicas or 0 for spec in task.specs.values() if spec.vllm), default=0)
        self.waiting = False
        for name, bar in bars.items():
            bar.slots = self.loads[name]

    async def done(self) -> None:
        """Hire until every part has its place."""
        async with clocks(self.stages, self.purse), asyncio.TaskGroup() as self.group:
            employed: dict[Place, asyncio.Task[None]] = {}
            while self.remaining:
                await self._hire(employed)
                self.changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), LOOK_SECONDS)
            for task in employed.values():
                task.cancel()

    async def _hire(self, employed: dict[Place, asyncio.Task[None]]) -> None:
        """A worker for every place that has none; none for places that are gone."""
        places = await self.cluster.places(self.gpus)
        for place in [place for place, task in employed.items() if task.done()]:
            del employed[place]
        for place in self.hiring - set(places):
            employed[place].cancel()  # its node went before its worker came
        for place in set(self.cluster.workers) - set(places) - set(employed):
            self.cluster.dismiss(place)
        fit = [place for place in places if self.deaths[place] < MOST_DEATHS]
        if places and not fit:
            raise self.error
        fit.sort(key=lambda place: place not in employed)
        for place in fit[: self.most or None]:
            if place not in employed:
                employed[place] = self.group.create_task(self._employ(place))
        if not places and not self.waiting:
            gpus = f" and {count(self.gpus, 'GPU')}" if self.gpus else ""
            self.cluster.screen.say(f"the cluster has no node with a core{gpus}; waiting for one …")
        self.waiting = not places

    async def _employ(self, place: Place) -> None:
        """Keep one worker at work until nothing is left, or it is lost."""
        self.hiring.add(place)
        try:
            async with asyncio.TaskGroup() as group:
                worker = await _answered(self.cluster.worker(place))
                window = _checked(await _answered(worker.prepare.remote(self.task)))
                self.hiring.remove(place)
                self.proven = True
                watch = group.create_task(self._watch(place, worker))
                count = 1 + math.ceil(window / self.rows)
                await asyncio.gather(*(group.create_task(self._feed(place, worker)) for _ in range(count)))
                watch.cancel()
        except* WorkerLost as lost:
            await self._worker_lost(place, first(lost))
        finally:
            if place in self.hiring:
                self.hiring.remove(place)
                self.cluster.dismiss(place)

    async def _feed(self, place: Place, worker: RemoteWorker) -> None:
        """Part after part, one at a time; several of these keep a worker's window full."""
        while (number := await self._next()) is not None:
            for stage in self._unfinished(number):
                stage.clock.start()
            try:
                order = await asyncio.to_thread(self._order, number)
                results, progress = _checked(await _answered(worker.part.remote(order)))
            except BaseException:
                self._put_back(number)
                raise
            self._show(place, progress)
            self.deaths[place] = 0
            self.group.create_task(self._take(number, results))

    async def _next(self) -> int | None:
        while not self.todo and self.remaining:
            await asyncio.sleep(LOOK_SECONDS / 4)
        if not self.remaining:
            return None
        number = self.todo.popleft()
        if not self.todo:
            for worker, _ in self.cluster.workers.values():
                worker.run_dry.remote()
        return number

    def _unfinished(self, number: int) -> Sequence[Stage]:
        """The stages that a part has not been through."""
        return [stage for stage in self.stages if not stage.finished(number)]

    def _order(self, number: int) -> PartOrder:
        first = next(place for place, stage in enumerate(self.stages) if not stage.finished(number))
        source = self.stages[first - 1] if first else self.source
        starts = [
            (list(whole_lines(open_part(stage.path(number)))), drops.get(number, ()))
            for stage, drops in zip(self.stages[first:], self.drops[first:], strict=True)
        ]
        return PartOrder(number, first, self.cluster.publish(source.path(number)), starts)

    async def _take(self, number: int, results: Sequence[PartResult]) -> None:
        async with self.taking:
            for stage, each in zip(self.stages[-len(results) :], results, strict=True):
                # Not its worker's seconds: parts of several workers overlap.
                tally = replace(each.tally, seconds=stage.clock.lap())
                await asyncio.to_thread(self.cluster.take, stage, number, replace(each, tally=tally))
                stage.clock.stop()
        self.progress.pop(number, None)
        self.remaining -= 1
        self.changed.set()

    def _put_back(self, number: int) -> None:
        """Let others do a part; what a worker told of it does not count."""
        for stage in self._unfinished(number):
            stage.clock.stop()
        self.todo.appendleft(number)
        for name, rows in self.progress.pop(number, Counter()).items():
            self.bars[name].at(self.bars[name].done - rows)

    async def _watch(self, place: Place, worker: RemoteWorker) -> None:
        """Show what a worker does."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                self._show(place, await _answered(worker.progress.remote()))
        finally:
            for load in self.loads.values():
                load.workers.pop(place, None)

    def _show(self, place: Place, progress: Progress) -> None:
        for number, name, tokens, reason in progress.rows:
            self.progress[number][name] += 1
            self.bars[name].advance(tokens, reason)
        for (stage, role), tokens in progress.spent.items():
            self.purse.spend(stage, role, tokens)
        for name, load in self.loads.items():
            load.workers[place] = progress.busy[name], progress.queued[name]

    async def _worker_lost(self, place: Place, loss: BaseException) -> None:
        """Free what is left of a worker, and remember it where it is not its machine that is gone.

        What is wrong before any worker was ready is most likely wrong for all, and not tried again.
        """
        self.cluster.dismiss(place)
        self.cluster.screen.say(f"the worker on node {place.node[:8]} is lost; its open parts go to others")
        await asyncio.sleep(SETTLE_SECONDS)
        if place in await self.cluster.places(self.gpus):
            assert isinstance(loss, WorkerLost)
            self.error = loss.error
            hopeless = isinstance(loss.error, UserError) and not self.proven
            self.deaths[place] += MOST_DEATHS if hopeless else 1
            then = "is left alone" if self.deaths[place] >= MOST_DEATHS else "gets another worker"
            self.cluster.screen.say(f"node {place.node[:8]} {then}; the last one: {loss}")


async def _answered(call: Awaitable[T]) -> T:
    """What a worker answers.

    Raises:
        WorkerLost: it is gone.
    """
    from ray.exceptions import RayError, RayTaskError

    try:
        return await call
    except RayTaskError:  # a defect of ours
        raise
    except RayError:
        raise WorkerLost("its process was killed, or its machine cannot be reached") from None


def _checked(answer: T | CaiError) -> T:
    """An answer that is no error; what stops one worker need not stop the others."""
    if isinstance(answer, CaiError):
        raise WorkerLost(str(answer), answer)
    return answer
