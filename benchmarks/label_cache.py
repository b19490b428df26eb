"""How much of what a judge reads comes from the server's prefix cache: one pair under 16 principles in both orders.

    python benchmarks/label_cache.py [--exemplars N] [--pairs 8] [--block-size N]

For each layout a real vLLM server is started anew. Each pair is judged by log-probability under every one of 16 principles
in both orders, and vLLM's own usage numbers are added up: prompt tokens, and those of them that were cached. With
``--exemplars 0``, what is cached is the pair's own: its conversation and answers, asked 32 times. vLLM caches whole blocks:
16 tokens on GPUs, 128 on CPUs.
"""

import argparse
import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

from label_throughput import CONSTITUTION, pairs

from cai.flow.ask import Ask
from cai.models.concurrency import Slots
from cai.models.spec import ModelSpec
from cai.models.vllm import serve
from cai.stages.label import Label, label

PRINCIPLES = 16


async def shares(layout: str, given: argparse.Namespace) -> dict[str, object]:
    """The cached share of each pair's prompt tokens, one pair after the other on one server."""
    args = ("--block-size", str(given.block_size)) if given.block_size else ()
    spec = ModelSpec("judge", vllm=given.model, max_len=4096, concurrency=8, args=args)
    first = CONSTITUTION.principles[:PRINCIPLES]
    shown = tuple(each for each in CONSTITUTION.judgment if each.principle in {one.id for one in first})
    constitution = replace(CONSTITUTION, principles=first, critique_revision=(), judgment=shown)
    want = Label(model="judge", method="logprob", choice="all", exemplars=given.exemplars, layout=layout)
    tokens, cached, each = 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        async with serve(spec, Path(folder)) as server:
            for row in pairs(given.pairs):
                ask = Ask(server, Slots(8), constitution, row.id, Random(row.id))
                await label(row, want, ask)
                tokens, cached = tokens + ask.tokens[0], cached + ask.tokens[1]
                each.append(round(ask.tokens[1] / ask.tokens[0], 3))
    return {"prompt tokens": tokens, "cached": cached, "share": round(cached / tokens, 3), "by pair": each}


async def main(given: argparse.Namespace) -> dict[str, object]:
    """Both layouts."""
    requests = given.pairs * 2 * PRINCIPLES
    about: dict[str, object] = {"model": given.model, "requests": requests, "block size": given.block_size}
    about["exemplars"] = len(CONSTITUTION.judgment) if given.exemplars is None else given.exemplars
    return about | {layout: await shares(layout, given) for layout in ("cached", "paper")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exemplars", type=int, help="all unless given")
    parser.add_argument("--block-size", type=int, help="tokens of a cache block; vLLM's own unless given")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--model", default="bundled/smollm2-135m")
    print(json.dumps(asyncio.run(main(parser.parse_args())), indent=2))
