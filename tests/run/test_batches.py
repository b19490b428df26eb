"""A whole run through a server's batch API: a batch for each step, none paid twice, and nothing lost where one fails."""

import asyncio
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import batch_server
import pytest
from aiohttp import web
from batch_server import HELLO, BatchServer, answer, in_a_thread
from rich.console import Console

import cai.flow.batch_queue as batch_queue
import cai.models.batch_api as batch_api
import cai.models.file_batches as file_batches
from cai.errors import InputError, RunError, UserError
from cai.flow.screen import Screen
from cai.models.file_batches import FileBatches
from cai.models.message_batches import MessageBatches
from cai.recipe.read import load_recipe
from cai.report.summary import spent_line
from cai.run.walk import start

RECIPE = """\
name: batches
constitution: principles/harmless.yaml
models:
  policy: {{endpoints: ["{url}"], model: big, patience: 0, {how}}}
stages:
  - prompts: {{redteam: prompts.jsonl, heldout: 0}}
  - revise: {{model: policy, rounds: 1}}
"""
ROWS, STEPS = 6, 3
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches go when the loop has nothing else to do, and are looked at all the time."""
    for module, name in ((batch_queue, "GATHER_SECONDS"), (batch_queue, "LEAST_SECONDS"), (batch_api, "WAIT_SECONDS")):
        monkeypatch.setattr(module, name, 0.02 if name == "GATHER_SECONDS" else 0.001)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Who starts tests in the background has the signal by which a person stops a run ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Place:
    """Where a recipe is run, again and again, against one server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.said = folder, url, ""
        (folder / "prompts.jsonl").write_text("".join(f'{{"prompt": "Why is rye dark, {n}?"}}\n' for n in range(ROWS)))

    def run(
        self, *overrides: str, how: str = "batch: true", name: str = "run", changed: bool = False, more: str = ""
    ) -> Path:
        recipe, out = self.folder / "recipe.yaml", self.folder / name
        recipe.write_text(RECIPE.format(url=self.url, how=how) + more)
        console = Console(record=True, file=io.StringIO(), width=500)
        try:
            start(load_recipe(recipe, overrides), out, Screen(console), redo_changed=changed)
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


def bodies(server: BatchServer) -> list[dict[str, Any]]:
    return [line["body"] for lines in server.lines.values() for line in lines]


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


@pytest.mark.parametrize("batch", [0, 2])
def test_stopped_while_a_batch_is_out_it_is_waited_for_and_not_handed_in_again(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    server, look = BatchServer(), FileBatches.look

    async def killed(self: FileBatches, id: str) -> Any:
        if id == f"batch-{batch}":
            await stop()
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


async def stop() -> None:
    """As a person stops it, at this very moment."""
    signal.raise_signal(signal.SIGINT)
    await asyncio.Event().wait()


def stopped_at(monkeypatch: pytest.MonkeyPatch, place: Place, batch: str, *overrides: str) -> None:
    """A run that is stopped while a batch is out."""
    look = FileBatches.look

    async def killed(self: FileBatches, id: str) -> Any:
        if id == batch:
            await stop()
        return await look(self, id)

    with monkeypatch.context() as patched:
        patched.setattr(FileBatches, "look", killed)
        with pytest.raises(RunError, match="stopped"):
            place.run(*overrides)


def test_a_role_that_is_not_asked_in_batches_any_more_is_not_paid_twice_unasked(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = BatchServer()
    with at(server) as place:
        stopped_at(monkeypatch, place, "batch-1")
        with pytest.raises(
            UserError, match=r"models.policy: batches of it \(batch-0, batch-1\) were handed in"
        ) as refused:
            place.run(how="concurrency: 2")
        folder = place.folder / "run" / "revise" / ".batches" / "policy"
        assert f"delete {folder} to ask again" in str(refused.value)
        assert server.singles == []
        shutil.rmtree(folder)
        place.run(how="concurrency: 2")
        assert len(server.singles) == ROWS * STEPS


def test_another_constitution_takes_up_the_batches_that_are_out(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The drafts of rows that were not done: what they were asked is the same under either constitution."""
    server, few = BatchServer(), "models.policy.concurrency=2"
    text = (ROOT / "principles" / "harmless.yaml").read_text()
    (tmp_path / "own.yaml").write_text(text)
    with at(server) as place:
        stopped_at(monkeypatch, place, "batch-7", few, "constitution=own.yaml")
        done = sum(path.read_bytes().count(b"\n") for path in (tmp_path / "run" / "revise").glob("part-*"))
        assert 0 < done < ROWS
        principles, mark, exemplars = text.partition("\nexemplars:")
        principles = principles.replace("critique: >-\n      ", "critique: >-\n      Now then, ")
        (tmp_path / "own.yaml").write_text(f"{principles}{mark}{exemplars}")
        drafts = {body["messages"][0]["content"] for body in bodies(server) if len(body["messages"]) == 1}
        run = place.run(few, "constitution=own.yaml", changed=True)
        assert list((run / ".aside").glob("revise-*"))
        assert seal(run)["rows_kept"] == ROWS
        again = [body for body in bodies(server) if len(body["messages"]) == 1]
        assert len(again) <= len(drafts) + done, "only of rows that were done, whose batches they are no more"


@pytest.mark.slow
def test_killed_it_goes_on_with_the_batch_that_is_out(at: Callable[..., Any], tmp_path: Path) -> None:
    """As the two tests beside it, with a process of its own and kill -9."""
    server = BatchServer(held=True)
    with at(server) as place:
        (tmp_path / "recipe.yaml").write_text(RECIPE.format(url=place.url, how="batch: true"))
        line = [sys.executable, "-m", "cai.cli", "run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path)]
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not [note for note in tmp_path.rglob(".batches/policy/*.json") if '"batch-0"' in note.read_text()]:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.01)
        process.kill()
        process.wait()
        server.held = False
        subprocess.run(line, check=True, capture_output=True)
        assert (handed_in(server), server.singles) == ([ROWS] * STEPS, [])


@pytest.mark.parametrize("made", [True, False])
def test_stopped_before_the_batch_s_id_was_heard_it_is_found_again(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    """The one moment in which the server has a batch and nothing on disk has its id."""
    server, post = BatchServer(), file_batches.post

    async def killed(*asked: Any) -> Any:
        if asked[1].endswith("/batches"):
            await (post(*asked) if made else post(asked[0], asked[1].replace("batches", "nowhere"), {}))
            await stop()
        return await post(*asked)

    with at(server) as place:
        monkeypatch.setattr(file_batches, "post", killed)
        with pytest.raises(RunError, match="stopped"):
            place.run()
        assert len(server.batches) == made
        monkeypatch.setattr(file_batches, "post", post)
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


def test_a_few_rows_out_of_step_are_asked_singly(at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_queue, "FEW", 0.5)
    server = BatchServer()
    with at(server) as place:
        run = place.run("models.policy.concurrency=5")
        assert min(handed_in(server)) >= 3 and server.singles
        assert sum(handed_in(server)) + len(server.singles) == ROWS * STEPS
        assert seal(run)["counts"] == {"asked_singly": len(server.singles)}
        assert rows(run) == rows(place.run(how="concurrency: 2", name="singly"))


def test_what_a_batch_did_not_come_to_within_its_time_is_asked_singly(at: Callable[..., Any]) -> None:
    server = BatchServer(
        expired=lambda body: body["messages"][-1]["content"] in ("Why is rye dark, 1?", "Why is rye dark, 4?")
    )
    with at(server) as place:
        run = place.run("models.policy.price={in: 1, out: 0}")
        assert (handed_in(server), len(server.singles)) == ([ROWS] * STEPS, 2)
        assert "batch-0 is expired; 2 of it asked singly" in place.said
        assert seal(run)["rows_kept"] == ROWS
        found = seal(run)  # what is asked singly costs twice what a batch takes for it
        assert found["spent"]["policy (singly)"]["tokens_in"] == 2 * 200
        assert found["cost"] == pytest.approx((found["tokens_in"] + 2 * 200) / 1e6)
        assert spent_line(run) == "Spent: 0.004 (policy 0.0032, policy (singly) 0.0008)"


class Sparing(BatchServer):
    """Gives two samples of several, of what is no greeting."""

    async def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        if batch_server.HELLO in body["messages"][-1]["content"]:
            return await super()._answer(body)
        return await super()._answer({**body, "n": min(body["n"], 2)})


def test_samples_that_a_batch_left_out_are_paid_as_what_they_are(
    at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Sparing()
    with at(server) as place:
        recipe = RECIPE.replace("revise: {{model: policy, rounds: 1}}", "sample: {{model: policy, n: 4}}")
        monkeypatch.setitem(globals(), "RECIPE", recipe)
        run = place.run("models.policy.price={in: 1000, out: 0}")
        assert (handed_in(server), len(server.singles)) == ([ROWS], 2 * ROWS)
        found = json.loads((run / "sample" / "seal.json").read_text())
        tokens = {role: used["tokens_in"] for role, used in found["spent"].items()}
        assert tokens == {"policy": 200 * ROWS, "policy (singly)": 2 * 200 * ROWS}
        assert found["tokens_in"] == sum(tokens.values())


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
        monkeypatch.setattr(batch_api.Pages, "url", lambda self, page: f"{place.url}/nowhere/{page}")
        with pytest.raises(UserError, match=r"models.policy.batch: http.* shows no batches \(404.*take `batch` out"):
            place.run()
        assert server.singles == []


def test_a_budget_hands_in_only_what_it_could_pay_for(at: Callable[..., Any]) -> None:
    server = BatchServer()
    with at(server) as place:
        price = "models.policy.price={in: 0, out: 1000}"
        longer = ("revise.rounds=2", "revise.max_tokens=50")
        with pytest.raises(RunError, match=r"of the budget of 0\.27 is spent"):
            place.run(price, "budget=0.27", *longer)
        assert handed_in(server)[0] == 2  # of 50 tokens at the most, which asked singly would be 0.1 each
        place.run(price, "budget=1000", *longer)
        assert sum(handed_in(server)) == ROWS * 5


Odd = Callable[[web.Response], web.Response]


def once(odd: Odd) -> Odd:
    """Odd the first time, as usual from then on."""
    times = iter([odd])
    return lambda usual: next(times, lambda page: page)(usual)


def page(text: str, status: int = 200) -> Odd:
    return lambda usual: web.Response(text=text, status=status)


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Odd:
    """A file with other lines."""
    return lambda usual: web.Response(body=b"".join(change(bytes(usual.body or b"").splitlines(keepends=True))))  # type: ignore[arg-type]


PASSING = {
    "files": [page("busy", 503), page("no JSON"), page("{}"), page("[1]"), page('{"id": 7}')],
    "batches": [page("made, and then an error", 500), page("{}"), page("no JSON"), page("slow down", 429)],
    "look": [page("", 502), page("no JSON"), page("{}"), page('{"status": null}'), page('{"status": "validating"}')],
    "content": [page("", 500), page("wait", 429)],
}


@pytest.mark.parametrize(("place", "odd"), [(place, odd) for place, each in PASSING.items() for odd in each])
def test_what_passes_costs_nothing_and_no_batch_is_made_twice(at: Callable[..., Any], place: str, odd: Odd) -> None:
    server = BatchServer()
    server.odd[place] = once(odd)
    with at(server) as there:
        there.run("models.policy.patience=5")
        assert (handed_in(server), server.singles) == ([ROWS] * STEPS, [])


@pytest.mark.parametrize(
    ("change", "singly"),
    [
        (lambda lines: lines[:-1], 1),  # one is missing
        (lambda lines: [lines[0][:30], *lines[1:]], 2),  # torn, and the line after it with it
        (lambda lines: [b"\n", b"[]\n", b'{"custom_id": "nobody\'s"}\n', *lines], 0),
        (lambda lines: [*lines, lines[0]], 0),  # one twice
        (lambda lines: [line.replace(b'"choices"', b'"chances"') for line in lines], ROWS),
        (lambda lines: [line.replace(b'"content": ', b'"content": 5, "was": ') for line in lines[:1]] + lines[1:], 1),
        (lambda lines: [line.replace(b'"status_code": 200', b'"status_code": "200"') for line in lines], ROWS),
        (lambda lines: [], ROWS),
    ],
)
def test_what_cannot_be_read_of_a_batch_is_asked_singly(
    at: Callable[..., Any], change: Callable[[list[bytes]], list[bytes]], singly: int
) -> None:
    server = BatchServer()
    server.odd["content"] = once(lines(change))
    with at(server) as there:
        run = there.run()
        assert (handed_in(server), len(server.singles)) == ([ROWS] * STEPS, singly)
        assert rows(run) == rows(there.run(how="concurrency: 2", name="singly"))


def test_a_batch_that_the_server_does_not_know_is_not_paid_again_unasked(at: Callable[..., Any]) -> None:
    server = BatchServer()
    server.odd["look"] = once(page('{"error": {"message": "No batch found with id batch-0"}}', 404))
    with at(server) as there:
        with pytest.raises(RunError, match=r"does not know batch-0 \(404 No batch found with id batch-0\)") as gone:
            there.run()
        [note] = (there.folder / "run" / "revise" / ".batches" / "policy").glob("*.json")
        assert f"delete {note} and run the same command again" in str(gone.value)
        there.run()  # it is there again
        assert handed_in(server) == [ROWS] * STEPS


def test_a_role_s_own_sampling_goes_with_its_requests(at: Callable[..., Any]) -> None:
    server = BatchServer()
    with at(server) as there:
        there.run("models.policy.temperature=0.5", "models.policy.extra_body={top_a: 1}")
        assert {(body["temperature"], body["top_a"]) for body in bodies(server)} == {(0.5, 1)}


class MessagesServer(BatchServer):
    """Anthropic's API, as far as a run goes: messages one by one and in batches."""

    times = 0

    def application(self) -> web.Application:
        app, place = super().application(), "/v1/messages/batches"
        app.add_routes([web.post("/v1/messages", self.message), web.post(place, self.make), web.get(place, self.none)])
        app.add_routes([web.get(f"{place}/{{id}}", self.ended), web.get(f"{place}/{{id}}/results", self.results)])
        return app

    async def message(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not any(HELLO in str(message["content"]) for message in body["messages"]):
            self.singles.append(body)
        return web.json_response(self.said(body))

    def said(self, body: dict[str, Any]) -> dict[str, Any]:
        self.times += 1  # no two samples are alike
        text = f"{answer(body)['choices'][0]['message']['content']} {self.times}"
        said = {"type": "message", "role": "assistant", "stop_reason": "end_turn", "model": body["model"]}
        return {**said, "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 20, "output_tokens": 9}}

    async def make(self, request: web.Request) -> web.Response:
        id = f"msgbatch_{len(self.lines)}"
        self.lines[id] = (await request.json())["requests"]
        return web.json_response({"id": id, "processing_status": "in_progress"})

    async def none(self, _: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async def ended(self, request: web.Request) -> web.Response:
        counts = {"succeeded": 1, "errored": 0, "canceled": 0, "expired": 0}
        return web.json_response({"processing_status": "ended", "request_counts": counts, **request.match_info})

    async def results(self, request: web.Request) -> web.Response:
        lines = [
            {"custom_id": line["custom_id"], "result": {"type": "succeeded", "message": self.said(line["params"])}}
            for line in reversed(self.lines[request.match_info["id"]])
        ]
        return web.Response(text="".join(f"{json.dumps(line)}\n" for line in lines))


def test_anthropic_s_batches_are_gone_on_with_too(at: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server, look = MessagesServer(), MessageBatches.look

    async def killed(self: MessageBatches, id: str) -> Any:
        if id == "msgbatch_1":
            await stop()
        return await look(self, id)

    with at(server) as place:
        with monkeypatch.context() as patched:
            patched.setattr(MessageBatches, "look", killed)
            with pytest.raises(RunError, match="stopped"):
                place.run(how="batch: true, api: anthropic")
        run = place.run(how="batch: true, api: anthropic", more="  - sample: {model: policy, n: 2}\n")
        # It gives one sample at a time, and all of them in one batch.
        assert (handed_in(server), server.singles) == ([ROWS] * STEPS + [2 * ROWS], [])
        assert seal(run)["rows_kept"] == ROWS


def test_batch_is_for_one_endpoint(at: Callable[..., Any]) -> None:
    with (
        at(BatchServer()) as place,
        pytest.raises(InputError, match=r"models.policy.batch: is for texts of one endpoint"),
    ):
        place.run('models.policy.endpoints=["http://a/v1", "http://b/v1"]')


def test_a_role_with_a_way_of_its_own_is_asked_in_batches_too(at: Callable[[BatchServer], Any]) -> None:
    with at(BatchServer()) as place:
        folder = place.run(how="batch: true, temperature: 0.5")
    assert len((folder / "revise" / "part-00000.jsonl").read_text().splitlines()) == ROWS
