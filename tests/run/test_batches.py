"""A whole run through a server's batch API: a batch for each step, none paid twice, and nothing lost where one fails."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from batch_server import BatchServer, in_a_thread
from rich.console import Console

import cai.flow.batch_queue as batch_queue
import cai.models.batch_api as batch_api
from cai.errors import InputError, RunError, UserError
from cai.flow.screen import Screen
from cai.models.batch_api import FileBatches
from cai.recipe.read import load_recipe
from cai.run.walk import start

RECIPE = """\
name: batches
constitution: principles/harmless.yaml
models:
  policy: {{endpoints: ["{url}"], model: big, patience: 0, {how}}}
stages:
  - prompts: {{redteam: prompts.jsonl, heldout: 0}}
  - revise: {{model: policy, rounds: 2}}
"""
ROWS, STEPS = 6, 5


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches go when the loop has nothing else to do, and are looked at all the time."""
    for module, name in ((batch_queue, "GATHER_SECONDS"), (batch_queue, "LEAST_SECONDS"), (batch_api, "WAIT_SECONDS")):
        monkeypatch.setattr(module, name, 0.02 if name == "GATHER_SECONDS" else 0.001)


class Place:
    """Where a recipe is run, again and again, against one server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.said = folder, url, ""
        (folder / "prompts.jsonl").write_text("".join(f'{{"prompt": "Why is rye dark, {n}?"}}\n' for n in range(ROWS)))

    def run(self, *overrides: str, how: str = "batch: true", name: str = "run") -> Path:
        recipe, out = self.folder / "recipe.yaml", self.folder / name
        recipe.write_text(RECIPE.format(url=self.url, how=how))
        console = Console(record=True, file=io.StringIO(), width=500)
        try:
            start(load_recipe(recipe, overrides), out, Screen(console))
        finally:
            self.said = console.export_text()
        return out


@pytest.fixture
def at(tmp_path: Path) -> Callable[[BatchServer], Any]:
    @contextmanager
    def place(server: BatchServer) -> Iterator[Place]:
        with in_a_thread(server) as url:
            yield Place(tmp_path, url)

    return place


def rows(run: Path) -> bytes:
    return (run / "revise" / "part-00000.jsonl").read_bytes()


def seal(run: Path) -> dict[str, Any]:
    return json.loads((run / "revise" / "seal.json").read_text())


def handed_in(server: BatchServer) -> list[int]:
    return [len(lines) for lines in server.lines.values()]


def test_each_step_is_one_batch_and_rows_are_those_of_single_requests(at: Callable[..., Any]) -> None:
    server = BatchServer()
    with at(server) as place:
        run = place.run()
        assert (handed_in(server), server.singles) == ([ROWS] * STEPS, [])
        assert "6 requests handed in as batch-0; if this is stopped, the same command goes on with it" in place.said
        assert rows(run) == rows(place.run(how="concurrency: 2", name="singly"))
        assert len(server.singles) == ROWS * STEPS
        assert not (run / "revise" / ".batches").exists()
        place.run(how="concurrency: 2")  # in batches or not is no other model
        assert len(server.singles) == ROWS * STEPS


@pytest.mark.parametrize("batch", [0, 3])
def test_stopped_while_a_batch_is_out_it_is_waited_for_and_not_handed_in_again(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    server, look = BatchServer(), FileBatches.look

    async def killed(self: FileBatches, id: str) -> Any:
        if id == f"batch-{batch}":
            raise KeyboardInterrupt
        return await look(self, id)

    with at(server) as place:
        monkeypatch.setattr(FileBatches, "look", killed)
        with pytest.raises(RunError, match="stopped"):
            place.run("models.policy.price={in: 1000, out: 1000}")
        assert handed_in(server) == [ROWS] * (batch + 1)
        monkeypatch.setattr(FileBatches, "look", look)
        run = place.run("models.policy.price={in: 1000, out: 1000}")
        assert (handed_in(server), server.singles) == ([ROWS] * STEPS, [])
        assert rows(run) == rows(place.run(how="concurrency: 2", name="singly"))
        found = seal(run)  # each answer is paid once, those that came before the stop among them
        assert found["cost"] == pytest.approx((found["tokens_in"] + found["tokens_out"]) / 1000)


@pytest.mark.parametrize("made", [True, False])
def test_stopped_before_the_batch_s_id_was_heard_it_is_found_again(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """The one moment in which the server has a batch and nothing on disk has its id."""
    server, post = BatchServer(), batch_api.post

    async def killed(*asked: Any) -> Any:
        if asked[1].endswith("/batches"):
            await (post(*asked) if made else post(asked[0], asked[1].replace("batches", "nowhere"), {}))
            raise KeyboardInterrupt
        return await post(*asked)

    with at(server) as place:
        monkeypatch.setattr(batch_api, "post", killed)
        with pytest.raises(RunError, match="stopped"):
            place.run()
        assert len(server.batches) == made
        monkeypatch.setattr(batch_api, "post", post)
        place.run()
        assert (handed_in(server), server.singles) == ([ROWS] * STEPS, [])


def test_a_line_that_fails_is_asked_singly_and_its_row_stays_with_the_others(at: Callable[..., Any]) -> None:
    failed: list[str] = []

    def refused(body: dict[str, Any]) -> bool:
        failed.extend([body["messages"][-1]["content"]] if not failed else [])
        return failed[0] == body["messages"][-1]["content"]

    server = BatchServer(refused=refused)
    with at(server) as place:
        run = place.run()
        assert [body["messages"][-1]["content"] for body in server.singles] == failed
        assert handed_in(server) == [ROWS] * STEPS
        assert seal(run)["counts"] == {"asked_singly": 1}
        assert "batch-0 is completed; 1 of it asked singly" in place.said
        assert rows(run) == rows(place.run(how="concurrency: 2", name="singly"))


def test_what_a_batch_did_not_come_to_within_its_time_is_asked_singly(at: Callable[..., Any]) -> None:
    server = BatchServer(
        expired=lambda body: body["messages"][-1]["content"] in ("Why is rye dark, 1?", "Why is rye dark, 4?")
    )
    with at(server) as place:
        run = place.run()
        assert (handed_in(server), len(server.singles)) == ([ROWS] * STEPS, 2)
        assert "batch-0 is expired; 2 of it asked singly" in place.said
        assert seal(run)["rows_kept"] == ROWS


def test_a_batch_that_is_cancelled_stops_the_run_which_then_hands_in_the_rest(at: Callable[..., Any]) -> None:
    server = BatchServer()
    server.end = "cancelled"
    with at(server) as place:
        with pytest.raises(RunError, match=r"big: batch-0 was cancelled; run the same command again"):
            place.run()
        server.end = ""
        place.run()
        assert (handed_in(server), server.singles) == ([ROWS] * (STEPS + 1), [])


def test_a_batch_of_which_nothing_is_taken_stops_the_run_with_the_server_s_words(at: Callable[..., Any]) -> None:
    server = BatchServer()
    server.end, server.errors = "failed", [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
    with at(server) as place:
        with pytest.raises(RunError, match=r"took nothing of batch-0 \(Enqueued token limit reached") as failed:
            place.run()
        assert "set the role's `concurrency` lower" in str(failed.value)
        server.end = ""
        run = place.run("models.policy.concurrency=2")
        assert handed_in(server)[1:3] == [2, 2]
        assert rows(run) == rows(place.run(how="concurrency: 2", name="singly"))


def test_a_server_without_batches_is_said_before_any_row(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = BatchServer()
    with at(server) as place:
        monkeypatch.setattr(FileBatches, "_url", lambda self, page: f"{place.url}/nowhere/{page}")
        with pytest.raises(UserError, match=r"models.policy.batch: http.* shows no batches \(404.*take `batch` out"):
            place.run()
        assert server.singles == []


def test_a_budget_hands_in_only_what_it_could_pay_for(at: Callable[..., Any]) -> None:
    server = BatchServer()
    with at(server) as place:
        price = "models.policy.price={in: 0, out: 1000}"
        with pytest.raises(RunError, match=r"of the budget of 0\.27 is spent"):
            place.run(price, "budget=0.27", "revise.max_tokens=50")
        assert handed_in(server)[0] == 5  # of 50 tokens at the most, 0.05 each
        place.run(price, "budget=1000", "revise.max_tokens=50")
        assert sum(handed_in(server)) == ROWS * STEPS


def test_batch_is_for_one_endpoint(at: Callable[..., Any]) -> None:
    with (
        at(BatchServer()) as place,
        pytest.raises(InputError, match=r"models.policy.batch: is for texts of one endpoint"),
    ):
        place.run('models.policy.endpoints=["http://a/v1", "http://b/v1"]')
