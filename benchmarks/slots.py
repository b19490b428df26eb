"""How full a fixed number of slots is kept: answer → critique → revision on many prompts, through the whole of cai.

    python benchmarks/slots.py [--prompts 1024] [--slots 64]

A server with 64 slots, each request holding one for a lognormal time (mean 0.5 s, sigma 0.6), is given the ``revise``
stage as ``cai run`` runs it: rows stored, principles drawn, ``concurrency: auto``. The ratio is slot-seconds busy over
slots × elapsed time, from the first request of a row on: before it come a few harmless ones, one for each kind of request,
whose seconds are "probe_seconds" whatever the number of rows ("cai_with_probe" counts them in). A bare loop beside it keeps
as many rows open as there are slots; what it loses is the tail, where the last rows' chains run out one after another.
"possible" is what these very times allow: nobody knows which of the last requests will be the long ones. "on_disk_at_half"
is the share of the rows that a power cut after half of the requests would leave.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
from server import possible, running

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start
from cai.store.stage import Stage

PORT = 8101
REQUESTS = 3
"""An answer, a critique and a revision."""
LOOK_SECONDS = 0.1
RECIPE = """\
name: slots
constitution: principles/harmless.yaml
models:
  policy: {{endpoints: ["{url}/v1"], model: mock, concurrency: {concurrency}}}
stages:
  - prompts: {{redteam: {prompts}, heldout: 0}}
  - revise: {{model: policy, rounds: 1, exemplars: 0}}
"""


def stats(url: str) -> dict[str, float]:
    """The server's figures, and begin anew."""
    with urllib.request.urlopen(f"{url}/stats?reset") as answer:
        return json.load(answer)


def ours(url: str, count: int, folder: Path, concurrency: int | str = "auto") -> dict[str, float]:
    """The stage as ``cai run`` runs it."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"Prompt {number}?"}) + "\n" for number in range(count)))
    recipe = folder / "slots.yaml"
    recipe.write_text(RECIPE.format(url=url, prompts=prompts, concurrency=concurrency))
    start(load_recipe(recipe), folder / "run", Screen())
    return stats(url)


def at_half(url: str, count: int, run: Path) -> float:
    """The share of the rows that are on disk once half of the stage's requests are answered."""
    while True:
        with urllib.request.urlopen(f"{url}/stats") as answer:
            if json.load(answer)["answered"] >= REQUESTS * count / 2:
                return Stage(run / "revise").count_done() / count
        time.sleep(LOOK_SECONDS)


async def bare(url: str, count: int, slots: int) -> None:
    """Three requests a row, one after the other, as many rows at once as there are slots."""
    places = asyncio.Semaphore(slots)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def row(number: int) -> None:
            async with places:
                for step in range(REQUESTS):
                    body = {"model": "mock", "messages": [{"role": "user", "content": f"{number}.{step}"}]}
                    async with http.post(f"{url}/v1/chat/completions", json=body) as answer:
                        await answer.json()

        await asyncio.gather(*map(row, range(count)))


def main() -> None:
    """Print both ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=1024)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of the times that requests take")
    given = parser.parse_args()
    with running(PORT, given.slots, seed=given.seed) as url, tempfile.TemporaryDirectory() as folder:
        with ThreadPoolExecutor(1) as beside:
            half = beside.submit(at_half, url, given.prompts, Path(folder) / "run")
            stage = ours(url, given.prompts, Path(folder))
        asyncio.run(bare(url, given.prompts, given.slots))
        loop = stats(url)
    result = {
        "prompts": given.prompts,
        "slots": given.slots,
        "cores": os.cpu_count(),
        "cai": round(stage["row_busy"] / (given.slots * stage["row_seconds"]), 4),
        "cai_with_probe": round(stage["busy"] / (given.slots * stage["seconds"]), 4),
        "probe_seconds": round(stage["seconds"] - stage["row_seconds"], 1),
        "possible": round(possible(int(stage["answered"]), given.slots, seed=given.seed), 4),
        "bare_loop": round(loop["busy"] / (given.slots * loop["seconds"]), 4),
        "on_disk_at_half": round(half.result(), 4),
        "requests": [stage["answered"], loop["answered"]],
        "seconds": [round(stage["seconds"], 1), round(loop["seconds"], 1)],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
