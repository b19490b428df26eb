"""Where the servers of tests and benchmarks listen: an application in a thread, or a program in a process of its own."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


async def listening(app: web.Application, port: int = 0) -> web.AppRunner:
    """An application on a port of this machine, a free one unless told: ``runner.addresses[0][1]``."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def serve(app: web.Application, port: int) -> None:
    """Serve for ever, as the program that ``in_process`` starts: it says where it listens, when it does."""
    print((await listening(app, port)).addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextmanager
def in_thread(app: web.Application, port: int = 0) -> Iterator[str]:
    """An application until the block is left; gives its URL, without a path."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(listening(app, port), loop).result()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def in_process(program: str, *options: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program that serves, until the block is left; gives its process, and the port that it says."""
    line = [sys.executable, program, *map(str, options)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
