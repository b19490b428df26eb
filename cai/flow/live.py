"""A row stage as rows go through it: first without its models, so that it can be sent to another machine, then with them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cai.errors import RowError
from cai.flow.ask import Ask, Up, generator
from cai.flow.purse import Purse
from cai.models.concurrency import Slots
from cai.models.roles import bare
from cai.models.spec import ModelSpec
from cai.models.types import NO_MODEL
from cai.store.batches import BATCHES
from cai.store.lines import DropLine, Row
from cai.store.part import Part
from cai.store.rows import Drop
from cai.store.stage import Stage
from constitution.model import Constitution


@dataclass(frozen=True, slots=True)
class RowStage:
    """A row stage before its models are up.

    Attributes:
        name: what rows' generators are seeded with, beside run and row, unless ``draws`` says another.
        folder: where its rows go.
        takes: the type of its input rows.
        do: row, ask → the rows it gives, or a drop.
        roles: the models it asks, the first of them unless told; none where no model is asked.
    """

    name: str
    folder: Stage
    takes: type
    do: Callable[[Any, Ask], Awaitable[Sequence[Any] | Drop]]
    roles: tuple[str, ...] = ()
    draws: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """Row stages that stream into each other, with all they need to be done on any machine.

    Attributes:
        specs: how to reach the model of each role that they ask.
        rehearsed: rows on which each machine finds out beforehand how its models take what they will be asked.
    """

    stages: Sequence[RowStage]
    specs: Mapping[str, ModelSpec]
    constitution: Constitution
    seed: int
    rehearsed: Sequence[Row] = ()

    def live(self, up: Mapping[str, Up], purse: Purse | None = None) -> list["Live"]:
        """Ready to flow, now that the models are up."""
        return [
            Live(each, each.folder, _for_stage(up, each), self.constitution, self.seed, purse=purse)
            for each in self.stages
        ]


def _for_stage(up: Mapping[str, Up], stage: RowStage) -> Mapping[str, Up]:
    """The models as a stage asks them: those that are asked in batches keep these beside its rows."""
    if not any(hasattr(bare(model), "batch_api") for model, _ in up.values()):
        return up
    from cai.flow.batch_door import through_batches  # with the client for servers, which not every run needs

    folder = stage.folder.folder / BATCHES
    return {role: (through_batches(model, folder / role), slots) for role, (model, slots) in up.items()}


@dataclass(frozen=True, slots=True)
class Observer:
    """Who is told what a stage does; both are given its name and tokens (in, cached, out).

    Attributes:
        on_reply: called after each reply.
        on_row: called after each row, with the reason if it was dropped.
    """

    on_reply: Callable[[str, Sequence[int]], None] = lambda name, tokens: None
    on_row: Callable[[str, Sequence[int], str], None] = lambda name, tokens, reason: None


@dataclass(slots=True)
class Live:
    """A row stage whose models are up.

    Attributes:
        folder: where its rows go; another one on a worker of a cluster.
        up: its models by role, and maybe others'.
        left_out: the rows that an earlier session dropped from parts that are not finished; read when the flow starts.
        purse: what may be spent, and what was.
    """

    stage: RowStage
    folder: Stage
    up: Mapping[str, Up]
    constitution: Constitution
    seed: int
    observer: Observer = field(default_factory=Observer)
    left_out: dict[int, list[DropLine]] = field(default_factory=dict)
    purse: Purse | None = None
    asked: Up = field(init=False)

    def __post_init__(self) -> None:
        roles = self.stage.roles
        self.asked = self.up[roles[0]] if roles else (NO_MODEL, Slots(NO_MODEL.concurrency))

    @property
    def name(self) -> str:
        """The stage's."""
        return self.stage.name

    @property
    def slots(self) -> Slots:
        """Those of the model it asks unless told."""
        return self.asked[1]

    @property
    def all_slots(self) -> set[Slots]:
        """Those of every model it may ask."""
        return {self.slots, *(self.up[role][1] for role in self.stage.roles)}

    async def do(self, row: Row, part: Part) -> Sequence[Any]:
        """One row through this stage, written to its part; a row that cannot be done is a drop."""
        ask = self._ask(row.id)
        try:
            out = await self.stage.do(row, ask)
        except RowError as error:
            out = Drop(row.id, error.reason, error.detail)
        if isinstance(out, Drop):
            part.drop(out, ask.tokens, ask.counts)
        else:
            part.put(row.id, out, ask.tokens, ask.counts)
        self.observer.on_row(self.name, ask.tokens, out.reason if isinstance(out, Drop) else "")
        return [] if isinstance(out, Drop) else out

    def _ask(self, row_id: str) -> Ask:
        rng = generator(self.seed, self.stage.draws or self.name, row_id)
        on_reply = partial(self.observer.on_reply, self.name)
        ask = Ask(*self.asked, self.constitution, row_id, rng, others=self.up, on_reply=on_reply)
        ask.stage, ask.role, ask.purse = self.name, next(iter(self.stage.roles), ""), self.purse
        return ask


def status_of(row: Mapping[str, Any]) -> str | None:
    """What a row is counted under in the ledger; answers without a score are counted by their row."""
    return row.get("status") or ("partly_unparsed" if None in (row.get("scores") or ()) else None)
