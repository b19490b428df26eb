"""One worker of a cluster: it brings models up on its machine and takes parts through row stages.

A part's files are made in a scratch folder and go to the storage under a name of this worker's own; only ``cluster.py``
gives them their place. A worker that is lost therefore leaves nothing half done.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from cai.cluster.storage import Storage
from cai.errors import CaiError, RunError
from cai.flow.fleet import Fleet
from cai.flow.flow import Backlog, flow_part
from cai.flow.live import Job, Live, Observer
from cai.flow.purse import Purse
from cai.flow.rehearsal import rehearse
from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.store.files import write_lines
from cai.store.ledger import Tally
from cai.store.lines import DropLine
from cai.store.spending import Spending
from cai.store.stage import Stage, open_part

PARTS = ".parts"
"""The folder in the storage for what has no place yet."""


SCRATCH = "cai-worker-"


@dataclass(frozen=True, slots=True)
class PartOrder:
    """A part to take through the stages of a task.

    Attributes:
        first: the place of the first of the task's stages that it has not been through.
        source: the name of its input in the storage.
        begun: what an earlier session did of it, for each stage from the first: lines of the open part, and drops.
    """

    number: int
    first: int
    source: str
    begun: Sequence[tuple[Sequence[str], Sequence[DropLine]]]


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one stage gave for a part: the name of its rows in the storage, its ledger, the rows left out."""

    file: str
    tally: Tally
    drops: Sequence[DropLine]


@dataclass(slots=True)
class Progress:
    """What a worker did since it was last asked, and what it is doing.

    Attributes:
        rows: number of the part, stage, tokens (in, cached, out) and, if it was dropped, why.
        busy: requests in flight, by stage.
        queued: requests that wait for a slot, by stage.
        spent: tokens (in, cached, out) by stage and role.
    """

    rows: list[tuple[int, str, Sequence[int], str]] = field(default_factory=list)
    busy: dict[str, int] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)
    spent: dict[tuple[str, str], list[int]] = field(default_factory=dict)


class Worker:
    """What runs on a node, as an actor.

    Args:
        url: of the storage.
        token: a file there that shows that this node sees what the others see.
        home: the run's folder, whose models may have to be fetched.
    """

    def __init__(self, url: str, token: str, home: str) -> None:
        # Ray sets it to the cores that an actor keeps, which is one: a server on CPUs would inherit that.
        os.environ.pop("OMP_NUM_THREADS", None)
        _sweep()
        self.scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-"))
        self.fleet = Fleet(self.scratch / "logs", Screen(Console(quiet=True)))
        self.url, self.token, self.home = url, token, home
        self.steps: list[Live] = []
        self.state, self.purse = Progress(), Purse(Spending(None))

    async def prepare(self, task: Job) -> int | CaiError:
        """Bring the task's models up, and rehearse; returns how many rows can be open here at once."""
        try:
            self.storage = await asyncio.to_thread(Storage, self.url, Path(self.home))
            if not await asyncio.to_thread(self.storage.has, self.token):
                raise self._blind()
            specs = {role: await self._local_spec(spec) for role, spec in task.specs.items()}
            self.steps = task.live(await self.fleet.roles(specs), self.purse)
            await rehearse(self.steps, task.rehearsed)
        except (CaiError, OSError) as error:
            return self._placed(error)
        self.backlog = Backlog(self.steps, more=True)
        window = 2 * max(step.slots.most for step in self.steps)
        self.places, self.turn = asyncio.Semaphore(window), asyncio.Lock()
        return window

    def _blind(self) -> CaiError:
        return CaiError(
            f"does not see {self.url}; name a folder or an object store that every node sees with: --store URL"
        )

    def _placed(self, error: CaiError | OSError) -> CaiError:
        """The error, with the node it came from; a full disk of one node is that node's."""
        kind = type(error) if isinstance(error, CaiError) else RunError
        return kind(f"on {socket.gethostname()}: {error}")

    async def _local_spec(self, spec: ModelSpec) -> ModelSpec:
        """One server for this worker, with weights that this node has."""
        if Path(spec.weights).is_relative_to(self.home) and not self.storage.is_home:
            name = str(Path(spec.weights).relative_to(self.home))
            if not (self.scratch / name).exists():
                await asyncio.to_thread(self.storage.get, name, self.scratch / name)
            spec = replace(spec, model=spec.title, **{spec.kind: str(self.scratch / name)})
        return replace(spec, replicas=1, port=None) if spec.vllm else spec

    async def part(self, order: PartOrder) -> tuple[list[PartResult], Progress] | CaiError:
        """Take a part through its stages, and leave their rows in the storage."""
        folder = self.scratch / uuid4().hex
        try:
            steps = [self._step(step, order, place, folder) for place, step in enumerate(self.steps)][order.first :]
            source = Stage(folder / "source")
            await asyncio.to_thread(self.storage.get, order.source, source.path(order.number))
            await flow_part(steps, source, order.number, self.places, self.turn, self.backlog)
            results = [await asyncio.to_thread(self._leave, step.folder, order.number) for step in steps]
            return results, await self.progress()
        except (CaiError, OSError) as error:
            return self._placed(error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _step(self, step: Live, order: PartOrder, place: int, folder: Path) -> Live:
        """The step in a folder of its own, with what was done before."""
        stage, number = Stage(folder / str(place) / step.name), order.number
        stage.folder.mkdir(parents=True)
        left_out = {}
        if place >= order.first:
            lines, drops = order.begun[place - order.first]
            write_lines(open_part(stage.path(number)), lines)
            left_out = {number: list(drops)}

        def on_row(name: str, tokens: Sequence[int], reason: str) -> None:
            self.state.rows.append((number, name, tokens, reason))

        return replace(step, folder=stage, left_out=left_out, observer=Observer(on_row=on_row))

    def _leave(self, stage: Stage, number: int) -> PartResult:
        name = f"{PARTS}/{uuid4().hex}.jsonl"
        self.storage.put(stage.path(number), name)
        return PartResult(name, stage.part_tallies()[number], list(stage.drops()))

    async def run_dry(self) -> None:
        """No part is left to be handed out."""
        self.backlog.close()

    async def progress(self) -> Progress:
        """What was done since the last call."""
        report, self.state = self.state, Progress()
        report.spent = self.purse.spending.take()
        report.busy = {step.name: step.slots.busy for step in self.steps}
        report.queued = {step.name: step.slots.queued for step in self.steps}
        return report

    async def close(self) -> None:
        """Bring the models down."""
        await self.fleet.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


def _sweep() -> None:
    """Delete what workers that were killed left on this node."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*-*"):
        if not Path("/proc", folder.name.removeprefix(SCRATCH).partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)
