"""The servers that people have, as mocks: a web server that says what is written of one in ``exchanges``."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from exchanges import anthropic, engines, gateways, openai, vllm
from exchanges.forms import Body, Server

SERVERS: dict[str, Server] = {
    **openai.SERVERS,
    **vllm.SERVERS,
    **engines.SERVERS,
    **gateways.SERVERS,
    **anthropic.SERVERS,
}


@asynccontextmanager
async def running(
    server: Server, page: Callable[[Body], web.Response], seconds: float = 0.0
) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """The server's URL, and what it is asked.

    Args:
        seconds: that an answer takes; an error takes none.
    """
    asked: list[web.Request] = []

    async def models(_: web.Request) -> web.Response:
        return web.json_response(server.listed)

    async def exchange(request: web.Request) -> web.Response:
        asked.append(request)
        answer = page(await request.json())
        await asyncio.sleep(seconds if answer.status == 200 else 0)
        return answer

    app = web.Application()
    app.add_routes([web.get("/v1/models", models), web.post(server.path, exchange)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", asked
    finally:
        await runner.cleanup()
