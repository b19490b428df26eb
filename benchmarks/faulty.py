"""A server that answers as it should, but for what a fault makes of some requests."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request, dict[str, Any]], Any]
"""A request and its body → a response in place of the usual one, or None."""


class Faulty:
    """A server that answers as it should, but for what the fault makes of some requests.

    Args:
        every: the fault comes at each request whose number is a multiple of this.
        loading: how often it is asked for its models before it has loaded them.
    """

    def __init__(self, fault: Answer | None = None, every: int = 5, loading: int = 0) -> None:
        self.fault, self.every, self.loading, self.seconds = fault, every, loading, 0.003
        self.asked = self.failed = self.listed = 0
        self.held = False  # while it is, nothing is answered

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked = number = self.asked + 1
        await asyncio.sleep(self.seconds)
        while self.held:
            await asyncio.sleep(self.seconds)
        if self.fault and number % self.every == 0:
            odd = self.fault(request, body)
            if odd is not None:
                self.failed += 1
                return await odd if asyncio.iscoroutine(odd) else odd
        return web.json_response(reply(body))

    async def models(self, _: web.Request) -> web.Response:
        self.listed += 1
        if self.listed <= self.loading:
            self.failed += 1
            return web.Response(status=503, text="loading")
        return web.json_response({"data": [{"id": "mock", "owned_by": "mock"}]})


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """A usual answer; a critique's differs from an answer's."""
    said = f"Word {abs(hash(json.dumps(body['messages']))) % 10**6}."
    choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
    return {"model": "mock", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}


@contextmanager
def serving(server: Faulty, port: int = 0) -> Iterator[str]:
    """The server in a thread of its own until the block is left; gives its base URL."""
    loop = asyncio.new_event_loop()
    runner: list[web.AppRunner] = []

    async def begin() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", server.chat)
        app.router.add_get("/v1/models", server.models)
        runner.append(web.AppRunner(app, access_log=None, shutdown_timeout=0.1))
        await runner[0].setup()
        await web.TCPSite(runner[0], "127.0.0.1", port, reuse_address=True).start()

    async def end() -> None:
        await runner[0].cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(begin(), loop).result()
    try:
        yield f"http://127.0.0.1:{runner[0].addresses[0][1]}/v1"
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def status(code: int, **headers: str) -> Answer:
    """An answer with this status and nothing else."""
    return lambda request, body: web.Response(
        status=code, headers={key.replace("_", "-"): value for key, value in headers.items()}, text="on schedule"
    )


def torn(request: web.Request, body: dict[str, Any]) -> web.Response:
    return web.Response(text=json.dumps(reply(body))[:40], content_type="application/json")


def empty(request: web.Request, body: dict[str, Any]) -> web.Response:
    return web.json_response({**reply(body), "choices": []})


def reset(request: web.Request, body: dict[str, Any]) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(request: web.Request, body: dict[str, Any]) -> web.Response:
    await asyncio.sleep(3)
    return web.Response()
