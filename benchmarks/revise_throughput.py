"""Wall time of the revise stage beside a bare loop that sends the very same requests to the same server.

    python benchmarks/revise_throughput.py [--prompts 64] [--in-flight 16] [--model bundled/smollm2-135m]

First the stage runs as in a recipe: rows stored, principles drawn, each request waiting for the one before it. Every
request is recorded. Then the server is started anew, so that its cache is as empty as before, and a loop without rows,
stages or storage sends the recorded requests, as many in flight, none waiting for another. The loop is the bound: what
the stage loses against it is our overhead and the waiting within a row. With as many prompts as requests in flight, every
row runs its chain from the beginning to the end of the measurement, and the last of them run alone: take some times more.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

import aiohttp

from cai.data.prompts import PromptSource, read
from cai.flow.ask import Ask
from cai.flow.flow import flow
from cai.flow.live import Live, RowStage
from cai.models.concurrency import Slots
from cai.models.dialect import Vllm
from cai.models.spec import ModelSpec
from cai.models.types import Model, Reply, Request
from cai.models.vllm import VllmEndpoint, serve
from cai.stages.prompts import Prompts
from cai.stages.revise import Revise, revise
from cai.store.ledger import Fingerprint
from cai.store.rows import Chain, Drop, Prompt
from cai.store.stage import Stage
from constitution.load import load
from constitution.shipped import SHIPPED


class Recording:
    """A model that remembers what it was asked and how many tokens it gave."""

    def __init__(self, inner: Model) -> None:
        self.inner, self.name = inner, inner.name
        self.concurrency, self.format, self.continues = inner.concurrency, inner.format, inner.continues
        self.requests: list[Request] = []
        self.tokens = 0

    async def ask(self, request: Request, row_id: str) -> Reply:
        self.requests.append(request)
        reply = await self.inner.ask(request, row_id)
        self.tokens += reply.tokens_out
        return reply


def prompts(count: int) -> list[Prompt]:
    """The first red-team prompts of the shipped file."""
    source = PromptSource(str(SHIPPED / "principles" / "prompts" / "redteam.jsonl"), limit=count)
    return [row for row in read(Prompts((source,)).sources) if isinstance(row, Prompt)]


async def stage(model: Recording, rows: list[Prompt], rounds: int, folder: Path) -> float:
    """Seconds that the stage takes."""
    source, target = Stage(folder / "prompts"), Stage(folder / "revise")
    source.write_part(0, rows)
    target.begin(Fingerprint("revise", {}, 0, "", {}, {}))
    want = Revise("policy", rounds=rounds, max_tokens=160, temperature=0.4, top_p=0.9, exemplars=2)

    async def work(row: Prompt, ask: Ask) -> list[Chain] | Drop:
        return await revise(row, want, ask)

    constitution = load(SHIPPED / "principles" / "harmless.yaml")
    slots = Slots(model.concurrency)
    row_stage = RowStage("revise", target, Prompt, work, ("model",))
    step = Live(row_stage, target, {"model": (model, slots)}, constitution, 0)
    began = time.monotonic()
    await flow([step], source, 2 * model.concurrency)
    return time.monotonic() - began


async def bare(server: VllmEndpoint, requests: list[Request]) -> tuple[float, int]:
    """Seconds and generated tokens of the loop."""
    url, free = server.replicas[0].url, asyncio.Semaphore(server.concurrency)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def one(request: Request) -> int:
            path, body = Vllm().body(server.name, request)
            async with free, http.post(f"{url}/{path}", json=body) as response:
                return (await response.json())["usage"]["completion_tokens"]

        began = time.monotonic()
        tokens = sum(await asyncio.gather(*map(one, requests)))
        return time.monotonic() - began, tokens


async def main(given: argparse.Namespace) -> dict[str, object]:
    """Both, one after the other, each on a fresh server."""
    spec = ModelSpec("policy", vllm=given.model, max_len=4096, concurrency=given.in_flight)
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "logs"
        async with serve(spec, logs) as server:
            recording = Recording(server)
            ours = await stage(recording, prompts(given.prompts), given.rounds, Path(folder))
        async with serve(spec, logs) as server:
            loop, tokens = await bare(server, recording.requests)
    return {
        "cores": os.cpu_count(),
        "model": given.model,
        "prompts": given.prompts,
        "requests": len(recording.requests),
        "in flight": given.in_flight,
        "stage": {"seconds": round(ours, 1), "tokens": recording.tokens, "tokens/s": round(recording.tokens / ours, 1)},
        "bare loop": {"seconds": round(loop, 1), "tokens": tokens, "tokens/s": round(tokens / loop, 1)},
        "wall time, stage over bare loop": round(ours / loop, 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--model", default="bundled/smollm2-135m")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=16)
    given = parser.parse_args()
    print(json.dumps(asyncio.run(main(given)), indent=2))
