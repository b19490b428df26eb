"""Anthropic's message batches, after its documentation: what is handed in, looked at and read."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import cai.flow.batch_queue as batch_queue
import cai.models.batch_api as batch_api
from cai.errors import RunError, UserError
from cai.flow.batch_queue import BatchQueue
from cai.models.dialect import OpenAI
from cai.models.message_batches import MessageBatches
from cai.models.replica import Replica
from cai.models.spec import ModelSpec
from cai.store.batches import BatchFolder, BatchNote

SAID = {"type": "message", "content": [{"type": "text", "text": "Its bran."}], "stop_reason": "end_turn"}
RESULTS = {
    "a-1": {"type": "succeeded", "message": SAID},
    "b-1": {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error"}}},
    "c-1": {"type": "expired"},
}
COUNTS = {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 0, "expired": 1}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_queue, "GATHER_SECONDS", 0.01)
    monkeypatch.setattr(batch_queue, "LEAST_SECONDS", 0.001)
    monkeypatch.setattr(batch_api, "WAIT_SECONDS", 0.001)


class Console:
    """The API, and what it was handed; its batches have ended at the second look."""

    def __init__(self, *odd: web.Response) -> None:
        self.handed: list[dict[str, Any]] = []
        self.odd, self.looks = list(odd), 0

    async def make(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.odd:
            return self.odd.pop(0)
        self.handed.append(asked)
        return web.json_response({"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"})

    async def look(self, _: web.Request) -> web.Response:
        self.looks += 1
        known = {"id": "msgbatch_1", "processing_status": "ended" if self.looks > 1 else "in_progress"}
        return web.json_response({**known, "request_counts": COUNTS})

    async def results(self, _: web.Request) -> web.Response:
        lines = [{"custom_id": key, "result": result} for key, result in reversed(RESULTS.items())]
        return web.Response(text="".join(f"{json.dumps(line)}\n" for line in lines))

    async def all(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [], "has_more": False})


def through(console: Console, folder: Path, work: Callable[[BatchQueue], Awaitable[Any]]) -> Any:
    """What the work gives with a queue before the API."""

    async def scene() -> Any:
        app = web.Application()
        page = "/v1/messages/batches"
        app.add_routes(
            [web.post(page, console.make), web.get(page, console.all), web.get(f"{page}/{{id}}", console.look)]
        )
        app.add_routes([web.get(f"{page}/{{id}}/results", console.results)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        spec = ModelSpec("judge", endpoints=(url,), model="big", patience=1.0)
        try:
            async with aiohttp.ClientSession() as http:
                there: Any = SimpleNamespace(
                    spec=spec, name="big", dialect=OpenAI(), replicas=[Replica(url)], http=http
                )
                queue = BatchQueue(MessageBatches(there), BatchFolder(folder), "big", lambda text: None)
                await queue.open()
                return await work(queue)
        finally:
            await runner.cleanup()

    return asyncio.run(scene())


async def three(queue: BatchQueue) -> list[tuple[Any, bool]]:
    lines = {key: queue.api.line(key, "messages", {"model": "big", "max_tokens": 9}) for key in RESULTS}
    return await asyncio.gather(*(queue.answer(key, "messages", line) for key, line in lines.items()))


def test_what_succeeded_is_answered_and_the_rest_is_left_to_be_asked_singly(tmp_path: Path) -> None:
    console = Console()
    assert through(console, tmp_path, three) == [(SAID, False), (None, False), (None, False)]
    [handed] = console.handed
    assert handed["requests"][0] == {"custom_id": "a-1", "params": {"model": "big", "max_tokens": 9}}
    assert through(console, tmp_path, three) == [(SAID, True), (None, True), (None, True)]
    assert len(console.handed) == 1


def test_one_that_is_busy_is_asked_again_and_one_that_may_have_made_it_is_not(tmp_path: Path) -> None:
    console = Console(web.Response(status=529, text="overloaded"))
    assert through(console, tmp_path / "busy", three)[0] == (SAID, False)
    console = Console(web.Response(status=504, text="upstream timed out"))
    with pytest.raises(RunError, match=r"it is not known whether .* has a batch of 3 requests of big \(.*504.*console"):
        through(console, tmp_path / "unknown", three)
    assert console.handed == []


def test_a_server_without_message_batches_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cai.models.message_batches.PAGE", "messages/heaps")
    with pytest.raises(UserError, match=r"models.judge.batch: .* shows no batches \(404"):
        through(Console(), tmp_path, three)


def test_one_that_was_handed_in_as_the_run_was_stopped_is_not_paid_again_unasked(tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    async def stopped(queue: BatchQueue) -> None:
        api: Any = queue.api

        async def unheard(made: Any) -> str:
            await made
            raise Stopped

        api.pages.id = unheard
        line = api.line("a-1", "messages", {"model": "big"})
        with pytest.raises(Stopped):
            await api.hand_in(
                line,
                "messages",
                lambda note: queue.folder.write(0, BatchNote(note=note, batch="", ended="", keys=["a-1"])),
            )

    console = Console()
    through(console, tmp_path, stopped)
    assert len(console.handed) == 1
    with pytest.raises(
        RunError, match=r"just as the run was stopped.*console.*delete .*00000.json and run the same"
    ) as unknown:
        through(console, tmp_path, three)
    (tmp_path / "00000.json").unlink()
    assert through(console, tmp_path, three)[0] == (SAID, False)
    assert str(tmp_path / "00000.json") in str(unknown.value)
