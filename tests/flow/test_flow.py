"""Scheduling: the bound, the order of rows, and what an error leaves behind."""

import asyncio
from pathlib import Path

import pytest

from cai.errors import RowError, RunError
from cai.flow.ask import Ask
from cai.flow.flow import flow
from cai.flow.live import Live, RowStage
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request
from cai.store.ledger import Fingerprint
from cai.store.rows import Answers, Draft, Drop, Prompt
from cai.store.stage import Stage
from constitution.load import load

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
SETTINGS = Fingerprint("s", {}, 0, "", {}, {})


class Counting(Scripted):
    """Remembers how many requests were in flight at once."""

    def __init__(self) -> None:
        super().__init__(lambda request: "answer", delay=0.002)
        self.flying = self.most = 0

    async def ask(self, request: Request, row_id: str) -> Reply:
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            return await super().ask(request, row_id)
        finally:
            self.flying -= 1


def prompts(folder: Path, count: int, size: int) -> Stage:
    source = Stage(folder / "prompts")
    rows = [
        Prompt(f"p{number}", ({"role": "user", "content": f"{number}"},), "f", "redteam") for number in range(count)
    ]
    for number, start in enumerate(range(0, count, size)):
        source.write_part(number, rows[start : start + size])
    return source


def step(folder: Path, work, model: Scripted, slots: int = 4, name: str = "answer", takes: type = Prompt) -> Live:  # type: ignore[no-untyped-def]
    stage = Stage(folder / name)
    stage.begin(SETTINGS)
    row_stage = RowStage(name, stage, takes, work, ("policy",))
    return Live(row_stage, stage, {"policy": (model, Slots(slots))}, CONSTITUTION, 0)


async def answer(row: Prompt, ask: Ask) -> list[Answers]:
    reply = await ask(Request(row.messages))
    return [Answers(row.id, row.messages, Draft(reply.texts[0], "m", "stop", 0), row.track)]


def test_the_bound_holds_and_rows_keep_their_order(tmp_path: Path) -> None:
    model = Counting()
    one = step(tmp_path, answer, model)
    asyncio.run(flow([one], prompts(tmp_path, 50, 20), window=16))
    assert model.most == 4
    assert [row.id for row in one.folder.all_rows(Answers)] == [f"p{number}" for number in range(50)]
    assert one.folder.parts() == [0, 1, 2]
    assert not list(one.folder.folder.glob("*.open"))


def test_stages_stream_and_each_writes_its_own_parts(tmp_path: Path) -> None:
    async def twice(row: Answers, ask: Ask) -> list[Answers]:
        return [Answers(f"{row.id}/{n}", row.messages, row.draft, row.track) for n in range(2)]

    model = Scripted(lambda request: "answer")
    steps = [step(tmp_path, answer, model), step(tmp_path, twice, model, name="twice", takes=Answers)]
    asyncio.run(flow(steps, prompts(tmp_path, 5, 3), window=4))
    assert [row.id for row in steps[1].folder.rows(Answers, 1)] == ["p3/0", "p3/1", "p4/0", "p4/1"]


def test_a_row_error_drops_the_row_and_a_run_error_keeps_what_is_written(tmp_path: Path) -> None:
    async def choosy(row: Prompt, ask: Ask) -> list[Answers] | Drop:
        if row.id == "p1":
            raise RowError("context_too_long", "4097 tokens")
        if row.id == "p7":
            await asyncio.sleep(0.05)
            raise RunError("the server is gone")
        return await answer(row, ask)

    one = step(tmp_path, choosy, Scripted(lambda request: "answer"))
    source = prompts(tmp_path, 8, 8)
    with pytest.raises(RunError, match="the server is gone"):
        asyncio.run(flow([one], source, window=8))
    assert [(drop["in"], drop["reason"]) for drop in one.folder.drops()] == [("p1", "context_too_long")]

    again = []

    async def rest(row: Prompt, ask: Ask) -> list[Answers]:
        again.append(row.id)
        return await answer(row, ask)

    asyncio.run(flow([step(tmp_path, rest, Scripted(lambda request: "answer"))], source, window=8))
    assert again == ["p7"]
    assert len(list(one.folder.all_rows(Answers))) == 7


def test_a_row_draws_the_same_whoever_runs_beside_it(tmp_path: Path) -> None:
    def seeds(folder: Path, window: int) -> list[int]:
        async def seeded(row: Prompt, ask: Ask) -> list[Answers]:
            await ask(Request(row.messages))
            return [Answers(row.id, row.messages, Draft("x", "m", "stop", ask.seed()), row.track)]

        one = step(folder, seeded, Counting())
        asyncio.run(flow([one], prompts(folder, 12, 12), window))
        return [row.draft.seed for row in one.folder.all_rows(Answers)]

    assert seeds(tmp_path / "a", 1) == seeds(tmp_path / "b", 12)
    assert len(set(seeds(tmp_path / "c", 3))) == 12


def test_tokens_are_counted_for_each_row(tmp_path: Path) -> None:
    one = step(tmp_path, answer, Scripted(lambda request: "two words"))
    asyncio.run(flow([one], prompts(tmp_path, 3, 3), window=3))
    tally = one.folder.part_tallies()[0]
    assert (tally.rows_in, tally.rows_kept, tally.tokens_in, tally.tokens_out) == (3, 3, 3, 6)


def test_a_run_that_fits_in_the_window_keeps_its_rows_as_they_end(tmp_path: Path) -> None:
    rows, rounds = 1800, 4
    asked = 1 + 2 * rounds  # an answer, then a critique and a revision in each round
    left = round(0.59 * rows * asked)

    async def chain(row: Prompt, ask: Ask) -> list[Answers]:
        for _ in range(asked):
            reply = await ask(Request(row.messages))
        return [Answers(row.id, row.messages, Draft(reply.texts[0], "m", "stop", 0), row.track)]

    def reply(_: Request) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            raise RunError("the power is gone")
        return "answer"

    one = step(tmp_path, chain, Scripted(reply))
    one.asked = one.asked[0], Slots(64, most=1024)  # as `concurrency: auto` begins
    one.up = {"policy": one.asked}
    with pytest.raises(RunError, match="the power is gone"):
        asyncio.run(flow([one], prompts(tmp_path, rows, 1000), window=2048))
    assert one.folder.count_done() >= 0.45 * rows
