"""An OpenAI-compatible server with a known limit, so that a client can be measured against it.

It holds ``--slots`` requests at once; a request keeps its slot for a time drawn from a lognormal distribution, as a
saturated inference server would, and what comes beyond that waits in line. ``GET /stats`` gives the slot-seconds that
were busy since the first request, and ``/stats?reset`` begins anew. ``/metrics`` tells as vLLM does how many requests run
and how many wait, so ``concurrency: auto`` can follow it. With ``--mean 0`` it answers at once: what is left
is the client's own cost.

    python benchmarks/server.py --slots 64 --mean 0.5 --sigma 0.6
"""

import argparse
import asyncio
import heapq
import math
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import hosting
from aiohttp import web

WORDS = ("names", "who", "could", "be", "hurt", "and", "says", "in", "plain", "words", "what", "would", "be", "better")
TEXT_WORDS = 60


class Gauge:
    """How many slots are busy, integrated over time."""

    def __init__(self) -> None:
        self.answered = self.busy = self.waiting = 0
        self.area = 0.0
        self.first = self.last = 0.0
        self.begun = self.probed = 0.0

    def row(self) -> None:
        """A request of a row comes; before the first of them the client may have asked what is harmless."""
        if not self.begun:
            self.begun, self.probed = time.monotonic(), self.area

    def change(self, by: int) -> None:
        """A slot is taken (+1) or given back (−1)."""
        now = time.monotonic()
        self.first = self.first or now
        self.area += self.busy * (now - (self.last or now))
        self.last, self.busy = now, self.busy + by
        self.answered += by < 0

    def stats(self) -> dict[str, float]:
        """Requests answered, slot-seconds busy, seconds from the first request to the last answer; these two of rows alone."""
        whole = {"answered": self.answered, "busy": self.area, "seconds": self.last - self.first}
        return {**whole, "row_busy": self.area - self.probed, "row_seconds": self.last - self.begun}


def durations(mean: float, sigma: float, seed: int) -> Iterator[float]:
    """Seconds that one request after the other holds its slot."""
    rng = random.Random(seed)
    # A lognormal distribution with this mean has its median at mean · exp(−σ²/2).
    middle = math.log(mean) - sigma * sigma / 2
    while True:
        yield rng.lognormvariate(middle, sigma)


def application(slots: int, mean: float, sigma: float, seed: int = 0) -> web.Application:
    """The server.

    Args:
        mean, sigma: of the seconds that a request holds its slot, and of their logarithm.
    """
    free = asyncio.Semaphore(slots)
    times = durations(mean, sigma, seed) if mean else iter(())
    text = " ".join(random.Random(seed).choices(WORDS, k=TEXT_WORDS))
    held = {"gauge": Gauge()}

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        if "say hello" not in body["messages"][-1]["content"]:
            held["gauge"].row()
        held["gauge"].waiting += 1
        async with free:
            held["gauge"].waiting -= 1
            held["gauge"].change(+1)
            if mean:
                await asyncio.sleep(next(times))
            held["gauge"].change(-1)
        return web.json_response(_answer(body, f"{text} {held['gauge'].answered}"))

    async def stats(request: web.Request) -> web.Response:
        now = held["gauge"].stats()
        if "reset" in request.query:
            held["gauge"] = Gauge()  # nothing is in flight between two measurements
        return web.json_response(now)

    async def metrics(_: web.Request) -> web.Response:
        gauge = held["gauge"]
        lines = (("running", gauge.busy), ("waiting", gauge.waiting))
        return web.Response(text="".join(f"vllm:num_requests_{name} {float(count)}\n" for name, count in lines))

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "vllm"}]})

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/stats", stats)
    return app


def _answer(body: dict[str, object], text: str) -> dict[str, object]:
    top = [{"token": "A", "logprob": -0.4}, {"token": "B", "logprob": -1.2}]
    logprobs = {"content": [{"token": "A", "logprob": -0.4, "top_logprobs": top}]} if body.get("logprobs") else None
    count = int(str(body.get("n") or 1))
    choices = [
        {
            "index": n,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": f"{text} {n}"},
            "logprobs": logprobs,
        }
        for n in range(count)
    ]
    asked = len(str(body.get("messages")).split())
    usage = {
        "prompt_tokens": asked,
        "completion_tokens": TEXT_WORDS * count,
        "total_tokens": asked + TEXT_WORDS * count,
    }
    return {"object": "chat.completion", "model": body.get("model"), "choices": choices, "usage": usage}


_processes: dict[int, subprocess.Popen[str]] = {}


def end_server(port: int) -> None:
    """Kill the server on this port, as a crash would."""
    _processes[port].kill()
    _processes[port].wait()


def possible(requests: int, slots: int, mean: float = 0.5, sigma: float = 0.6, seed: int = 0) -> float:
    """How full the slots can be kept at best: each request begins the moment a slot is free, none is known beforehand.

    The times are those that the server draws; what is lost is the end, when no request is left for a slot.
    """
    times = durations(mean, sigma, seed)
    free = [0.0] * slots
    busy = 0.0
    for _ in range(requests):
        seconds = next(times)
        busy += seconds
        heapq.heapreplace(free, free[0] + seconds)
    return busy / (slots * max(free))


@contextmanager
def running(port: int, slots: int = 64, mean: float = 0.5, sigma: float = 0.6, seed: int = 0) -> Iterator[str]:
    """The server in a process of its own until the block is left; gives its base URL. Port 0 is any free one."""
    options = ("--port", port, "--slots", slots, "--mean", mean, "--sigma", sigma, "--seed", seed)
    with hosting.in_process(__file__, *options) as (process, port):
        _processes[port] = process
        yield f"http://127.0.0.1:{port}"


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, default=8101)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--mean", type=float, default=0.5)
    parser.add_argument("--sigma", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    app = application(options.slots, options.mean, options.sigma, options.seed)
    asyncio.run(hosting.serve(app, options.port))


if __name__ == "__main__":
    main()
