"""Handing parts out when places fail: workers that answer as a cluster's do, without the cluster."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cai.cluster import handout
from cai.cluster.handout import Dispatcher
from cai.cluster.hire import Place
from cai.cluster.worker import PartResult, Progress
from cai.errors import CaiError, RunError, UserError, first
from cai.flow.live import Job, RowStage
from cai.flow.purse import Purse
from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.store.ledger import Tally
from cai.store.spending import Spending
from cai.store.stage import Stage
from constitution.load import load

ROOT = Path(__file__).resolve().parents[2]
PARTS = 12
A, B = Place("a" * 8, 0, 1), Place("b" * 8, 0, 1)
NOTHING = ({"answer": 0}, {"answer": 0})
Answer = Callable[[Any], Awaitable[Any]]


async def ready(_: Any) -> int:
    return 1


async def made(_: Any) -> Any:
    await asyncio.sleep(0.02)
    return [PartResult("file", Tally(1, 1, 1, seconds=1.0), [])], Progress([], *NOTHING)


def says(error: CaiError, after: float = 0.0) -> Answer:
    async def answer(_: Any) -> CaiError:
        await asyncio.sleep(after)
        return error

    return answer


async def killed(_: Any) -> None:
    from ray.exceptions import OutOfMemoryError

    raise OutOfMemoryError("the node is running low on memory")


class Workers:
    """What ``Handout`` asks of a cluster, with a way to answer for each place."""

    def __init__(self, answers: dict[Place, tuple[Answer, Answer]]) -> None:
        self.answers, self.workers, self.screen = answers, {}, Screen()

    async def places(self, gpus: int) -> list[Place]:
        return list(self.answers)

    async def worker(self, place: Place) -> Any:
        async def progress() -> Progress:
            return Progress([], *NOTHING)

        methods = zip(("prepare", "part"), self.answers[place], strict=True)
        remotes = {name: SimpleNamespace(remote=answer) for name, answer in methods}
        more = {"progress": SimpleNamespace(remote=progress), "run_dry": SimpleNamespace(remote=lambda: None)}
        worker = SimpleNamespace(**remotes, **more)
        self.workers[place] = worker, None
        return worker

    def dismiss(self, place: Place) -> None:
        self.workers.pop(place, None)

    def publish(self, path: Path) -> str:
        return path.name

    def take(self, stage: Stage, number: int, _: PartResult) -> None:
        stage.path(number).write_text("")


@pytest.fixture
def handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Hands twelve parts out; returns how many got their place."""
    monkeypatch.setattr(handout, "SETTLE_SECONDS", 0.02)
    monkeypatch.setattr(handout, "LOOK_SECONDS", 0.02)

    def run(answers: dict[Place, tuple[Answer, Answer]], replicas: int | None = None) -> int:
        source, stage = Stage(tmp_path / "source"), Stage(tmp_path / "answer")
        stage.folder.mkdir()
        source.write_parts([{"id": str(number)} for number in range(PARTS)], 1)
        constitution = load(ROOT / "principles" / "harmless.yaml")
        spec = ModelSpec("policy", vllm="m", replicas=replicas)
        task = Job([RowStage("answer", stage, dict, made, "policy")], {"policy": spec}, constitution, 0)  # type: ignore[arg-type]
        bars = {"answer": Screen().bar("answer", PARTS)}
        cluster: Any = Workers(answers)
        try:
            asyncio.run(asyncio.wait_for(Dispatcher(cluster, task, source, bars, Purse(Spending(None))).done(), 20))
        except BaseExceptionGroup as failed:
            raise first(failed) from None
        return len(stage.parts())

    return run


@pytest.mark.parametrize(
    ("prepare", "part"),
    [
        (says(UserError("on b: vLLM could not serve m"), after=0.05), made),
        (says(RunError("on b: a GPU is gone")), made),
        (ready, says(RunError("on b: no space left on device"))),
        (ready, killed),
    ],
)
def test_a_place_that_fails_is_left_alone_and_the_others_do_the_rest(
    handed_out: Callable[..., int], prepare: Answer, part: Answer
) -> None:
    assert handed_out({A: (ready, made), B: (prepare, part)}) == PARTS


def test_what_workers_spent_is_counted_once(handed_out: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[object, ...]] = []
    monkeypatch.setattr(Purse, "spend", lambda self, *spent: counted.append(spent))

    async def paid(_: Any) -> Any:
        rows, _ = await made(_)
        return rows, Progress([], *NOTHING, {("answer", "policy"): [10, 2, 3]})

    assert handed_out({A: (ready, paid), B: (ready, paid)}) == PARTS
    assert counted == [("answer", "policy", [10, 2, 3])] * PARTS


def test_seconds_of_workers_side_by_side_count_once(handed_out: Callable[..., int], monkeypatch: Any) -> None:
    spent: list[float] = []
    take = Workers.take

    def taken(self: Workers, stage: Stage, number: int, part: PartResult) -> None:
        spent.append(part.tally.seconds)
        take(self, stage, number, part)

    monkeypatch.setattr(Workers, "take", taken)
    began = time.monotonic()
    assert handed_out({A: (ready, made), B: (ready, made)}) == PARTS
    # Twelve parts of 0.02 s and more each, two and more at a time: one after the other they would be more than passed.
    assert 0.02 <= sum(spent) <= time.monotonic() - began


def test_a_place_that_fails_is_replaced_where_replicas_are_counted(handed_out: Callable[..., int]) -> None:
    assert handed_out({A: (says(RunError("a GPU is gone")), made), B: (ready, made)}, replicas=1) == PARTS


@pytest.mark.parametrize("error", [UserError("no such model"), RunError("a GPU is gone")])
def test_a_run_stops_with_the_reason_when_no_place_is_left(handed_out: Callable[..., int], error: CaiError) -> None:
    with pytest.raises(type(error), match=str(error)):
        handed_out({A: (says(error), made), B: (says(error), made)})
