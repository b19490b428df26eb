"""``concurrency: auto``: the limit follows a server's own figures until it is full, and no further."""

import asyncio
import random
import statistics

import pytest
from aiohttp import web

from cai.models import concurrency
from cai.models.endpoint import Endpoint
from cai.models.spec import ModelSpec
from cai.models.types import Request

PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 1e+01
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 7.0
"""


def test_vllm_s_page_is_read_and_engines_are_summed() -> None:
    assert concurrency.read_load(PAGE) == concurrency.ServerLoad(running=5, waiting=10)
    assert concurrency.read_load("process_cpu_seconds_total 3.0\n") is None


async def reached(slots: int | None, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """The limit after a while against a server with so many slots (None: one that tells nothing), and the most that ran."""
    monkeypatch.setattr(concurrency, "SECONDS", 0.1)
    places, state = asyncio.Semaphore(slots or 64), {"running": 0, "waiting": 0, "most": 0, "done": 0}

    async def chat(_: web.Request) -> web.Response:
        state["waiting"] += 1
        async with places:
            state["waiting"] -= 1
            state["running"] += 1
            state["most"] = max(state["most"], state["running"])
            await asyncio.sleep(random.uniform(0.4, 1.0))
            state["running"] -= 1
            state["done"] += 1
        choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
        return web.json_response({"model": "m", "choices": [choice]})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m", "owned_by": "vllm"}]})

    async def metrics(_: web.Request) -> web.Response:
        lines = [f"vllm:num_requests_{name} {float(state[name])}" for name in ("running", "waiting")]
        return web.Response(text="\n".join(lines) + "\n") if slots else web.Response(status=404)

    app = web.Application()
    app.add_routes(
        [web.post("/v1/chat/completions", chat), web.get("/v1/models", models), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        async with (
            Endpoint((url,), "m", ModelSpec("policy", endpoints=(url,))) as model,
            concurrency.open_slots(model) as held,
        ):

            async def one(number: int) -> None:
                await held.acquire(0)
                try:
                    await model.ask(Request(({"role": "user", "content": "Hi"},)), str(number))
                finally:
                    held.release()

            tasks = [asyncio.create_task(one(number)) for number in range(3000)]
            while state["done"] < 3 * (slots or 64):
                await asyncio.sleep(0.01)
            seen = []
            for _ in range(20):
                await asyncio.sleep(0.03)
                seen.append(held.limit)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return statistics.median_low(seen), state["most"]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("slots", [12, 100])
def test_the_limit_finds_what_the_server_holds(slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, most = asyncio.run(reached(slots, monkeypatch))
    assert most == slots  # full
    assert slots <= limit <= 2 * slots + 8  # with a short queue


def test_a_server_that_tells_nothing_gets_a_usual_number(monkeypatch: pytest.MonkeyPatch) -> None:
    limit, _ = asyncio.run(reached(None, monkeypatch))
    assert limit == concurrency.START
