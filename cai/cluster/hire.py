"""A Ray cluster and the workers hired on it, one for each group of GPUs; ``handout.py`` gives them parts to do."""

import asyncio
import contextlib
import logging
import shutil
import socket
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict, TypeVar
from uuid import uuid4

from cai.cluster.storage import Storage
from cai.cluster.worker import PARTS, PartResult, Progress, Worker
from cai.errors import CaiError, UserError, install
from cai.flow.live import Job
from cai.flow.screen import Screen
from cai.store.files import write_lines
from cai.store.stage import Stage

T_co = TypeVar("T_co", covariant=True)
TOKEN = f"{PARTS}/seen"
OWNER = ".owner"
CONNECT_SECONDS = 10.0
PATIENCE_SECONDS = 15.0


class Node(TypedDict):
    """A node, as far as Ray tells of it."""

    NodeID: str
    Alive: bool
    Resources: dict[str, float]


class RemoteMethod(Protocol[T_co]):
    """A method of an actor, called over the cluster."""

    def remote(self, *args: object) -> Awaitable[T_co]:
        """What it returns, once it is done."""
        ...


class RemoteWorker(Protocol):
    """A ``Worker`` on its node, as Ray hands it out."""

    prepare: RemoteMethod[int | CaiError]
    part: RemoteMethod[tuple[list[PartResult], Progress] | CaiError]
    progress: RemoteMethod[Progress]
    run_dry: RemoteMethod[None]
    close: RemoteMethod[None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one worker runs: a node, which of its groups of GPUs, and how many GPUs that is."""

    node: str
    group: int
    gpus: int

    def bundle(self) -> dict[str, float]:
        """What the worker keeps of its node."""
        return {"GPU": self.gpus, "CPU": 1} if self.gpus else {"CPU": 1}


def places(nodes: Sequence[Node], gpus: int) -> list[Place]:
    """A place for each group of GPUs that is there; where models need none, or there is none, one on each node.

    Args:
        nodes: as ``ray.nodes()`` gives them.
        gpus: that one worker needs.
    """
    alive = {
        node["NodeID"]: node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    }
    if not gpus or not any(resources.get("GPU") for resources in alive.values()):
        return [Place(node, 0, 0) for node in alive]
    groups = {node: int(resources.get("GPU", 0)) // gpus for node, resources in alive.items()}
    return [Place(node, group, gpus) for node, count in groups.items() for group in range(count)]


class Cluster:
    """The workers of a cluster, kept from one group of stages to the next.

    Args:
        address: as ``ray.init`` takes it; "auto" for the cluster that this machine belongs to.
        store: URL of what all nodes reach; the run's folder unless given.
        folder: the run's.

    Raises:
        UserError: Ray is not installed, no cluster answers, or the storage's URL makes no sense.
    """

    def __init__(self, address: str, store: str | None, folder: Path, screen: Screen) -> None:
        self.home, self.screen = folder.resolve(), screen
        self.storage = Storage(_url(store, folder.name) if store else str(self.home), self.home)
        connect(address)
        self.workers: dict[Place, tuple[Any, Any]] = {}  # Ray's handles of worker and placement group
        self.published: set[str] = set()

    def share(self, task: Job) -> None:
        """Leave what workers need where they reach it: a sign, and the weights that this run trained."""
        sign = self.home / TOKEN
        write_lines(sign, [self._owner()])
        if self.storage.is_home:
            return
        self.storage.put(sign, TOKEN)
        for spec in task.specs.values():
            if Path(spec.weights).is_relative_to(self.home):
                self.publish(Path(spec.weights))

    def _owner(self) -> str:
        """A word that tells this run from others of its name in the same storage.

        Raises:
            UserError: the storage holds another run's rows.
        """
        mine = self.home / OWNER
        if not mine.exists():
            write_lines(mine, [uuid4().hex])
        if not self.storage.is_home and self.storage.has(OWNER):
            theirs = self.home / PARTS / OWNER
            self.storage.get(OWNER, theirs)
            if theirs.read_text() != mine.read_text():
                raise UserError(
                    f"{self.storage.url} holds rows of another run; choose another --store, or another name"
                )
        elif not self.storage.is_home:
            self.storage.put(mine, OWNER)
        return mine.read_text().strip()

    def publish(self, path: Path) -> str:
        """The name of a file of the run in the storage, where it is brought unless it is there."""
        name = str(path.resolve().relative_to(self.home))
        if not self.storage.is_home and name not in self.published:
            self.storage.put(path, name)
            self.published.add(name)
        return name

    def take(self, stage: Stage, number: int, result: PartResult) -> None:
        """Give a finished part its place, in the run's folder and in the storage."""
        file = self.home / result.file
        if not self.storage.is_home:
            self.storage.get(result.file, file)
            name = str(stage.path(number).resolve().relative_to(self.home))
            self.storage.move(result.file, name)
            self.published.add(name)
        stage.adopt(number, file, result.tally, result.drops)

    async def nodes(self) -> list[Node]:
        """The cluster's nodes, those that are gone included."""
        import ray

        return await asyncio.to_thread(ray.nodes)

    async def places(self, gpus: int) -> list[Place]:
        """Where workers can be now; see ``places``."""
        return places(await self.nodes(), gpus)

    async def worker(self, place: Place) -> RemoteWorker:
        """The worker at a place, hired if there is none."""
        import ray
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        if place not in self.workers:
            group = placement_group(
                [place.bundle()], "STRICT_PACK", bundle_label_selector=[{"ray.io/node-id": place.node}]
            )
            try:
                ready = asyncio.ensure_future(group.ready())
                if not (await asyncio.wait([ready], timeout=PATIENCE_SECONDS))[0]:
                    self.screen.say(f"node {place.node[:8]}: its cores or GPUs are taken by others; waiting …")
                await ready
                strategy = PlacementGroupSchedulingStrategy(group, 0)
                options = {"num_cpus": 1, "num_gpus": place.gpus, "scheduling_strategy": strategy}
                worker = ray.remote(Worker).options(**options).remote(self.storage.url, TOKEN, str(self.home))
            except BaseException:
                ray.util.remove_placement_group(group)
                raise
            self.workers[place] = worker, group
        return self.workers[place][0]

    def dismiss(self, place: Place) -> None:
        """End a worker, if need be by force, and free its GPUs."""
        import ray

        if place in self.workers:
            worker, group = self.workers.pop(place)
            ray.kill(worker)
            ray.util.remove_placement_group(group)

    async def release(self) -> None:
        """End all workers, in order where they still answer: training may need their GPUs."""
        answers = [worker.close.remote() for worker, _ in self.workers.values()]
        with contextlib.suppress(Exception):
            await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 30)
        for place in list(self.workers):
            self.dismiss(place)

    async def close(self) -> None:
        """End all workers, and leave the cluster."""
        import ray

        await self.release()
        with contextlib.suppress(CaiError):  # what is left there harms nobody
            await asyncio.to_thread(self.storage.remove, PARTS)
        shutil.rmtree(self.home / PARTS, ignore_errors=True)
        ray.shutdown()


def join(address: str | None, store: str | None, folder: Path, screen: Screen) -> Cluster | None:
    """The cluster that is asked for; None where all is done here. Raises as ``Cluster``."""
    if address is None and store:
        raise UserError("--store is for runs over a cluster; add --ray ADDRESS, or leave it out")
    return Cluster(address, store, folder, screen) if address else None


def _url(store: str, name: str) -> str:
    """The run's place in a storage; a folder's path is the same on every machine only if it is whole."""
    return f"{store.rstrip('/') if '://' in store else Path(store).resolve()}/{name}"


def connect(address: str) -> None:
    """Join a cluster.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError:
        raise UserError(f"--ray needs the package ray[default]; run: {install('ray')}") from None
    _answers(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError, RayError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"--ray {address}: no cluster answers ({reason}); start one with: ray start --head") from None


def _answers(address: str) -> None:
    """Look whether anybody is there: Ray itself would try for minutes."""
    if "://" in address:
        raise UserError(f"--ray {address}: run this on a machine of the cluster, with --ray auto or --ray HOST:PORT")
    host, colon, port = address.rpartition(":")
    if colon:
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except (OSError, ValueError, OverflowError) as error:
            raise UserError(
                f"--ray {address}: no cluster answers ({error}); start one with: ray start --head"
            ) from None
