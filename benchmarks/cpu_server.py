"""What a vLLM server of ours does on this machine's CPU: generated tokens/s by type of number, alone and beside other work.

    python benchmarks/cpu_server.py [--dtypes bfloat16,float32] [--env NAME=VALUE …]

The bundled model, 48 requests in flight, each of 96 answering with 128 tokens; then the same while another process computes
without end on one core. "beside" is the ratio of the two rates: on two cores half is what is there to have. Seconds to ready
count from the start of the process. ``--env`` sets variables of the server's, to compare with what it is given otherwise.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cai.models.spec import ModelSpec
from cai.models.types import Request
from cai.models.vllm import VllmEndpoint, serve

IN_FLIGHT, REQUESTS, TOKENS = 48, 96, 128


@contextmanager
def busy(core: int) -> Iterator[None]:
    """Another process that computes without end on one core."""
    line = f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", line])
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def rate(served: VllmEndpoint) -> float:
    """Generated tokens/s."""
    places, began = asyncio.Semaphore(IN_FLIGHT), time.monotonic()

    async def one(number: int) -> int:
        asked = ({"role": "user", "content": f"Write a long story about the number {number}."},)
        async with places:
            return (await served.ask(Request(asked, max_tokens=TOKENS, seed=number), str(number))).tokens_out

    tokens = sum(await asyncio.gather(*map(one, range(REQUESTS))))
    return tokens / (time.monotonic() - began)


async def measure(dtype: str, env: dict[str, str]) -> dict[str, float]:
    """One server's figures."""
    spec = ModelSpec("policy", vllm="bundled/smollm2-135m", max_len=4096, dtype=dtype)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        async with serve(spec, Path(folder), env) as served:
            ready = time.monotonic() - began
            await rate(served)  # what is made at the first requests
            alone = await rate(served)
            with busy(max(os.sched_getaffinity(0))):
                beside = await rate(served)
    return {
        "ready_s": round(ready, 1),
        "alone": round(alone),
        "beside_busy_core": round(beside),
        "beside": round(beside / alone, 2),
    }


def main() -> None:
    """Print the figures by type of number."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--dtypes", default="bfloat16,float32")
    parser.add_argument("--env", nargs="*", default=[], help="NAME=VALUE for the server")
    given = parser.parse_args()
    env = dict(each.split("=", 1) for each in given.env)
    result = {dtype: asyncio.run(measure(dtype, env)) for dtype in given.dtypes.split(",")}
    print(json.dumps({"cores": os.cpu_count(), "in_flight": IN_FLIGHT, "env": env, **result}, indent=2))


if __name__ == "__main__":
    main()
