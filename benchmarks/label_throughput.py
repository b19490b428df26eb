"""Wall time of the label stage beside a bare loop that sends the very same requests to the same server.

    python benchmarks/label_throughput.py [--method cot] [--pairs 72] [--in-flight 16]

As ``revise_throughput.py``, for labels: the stage runs as in a recipe, both orders, a principle drawn for each pair, every
vote stored; then, on a server started anew, a loop without rows, stages or storage sends the recorded requests, as many in
flight, none waiting for another. The pairs are the examples that ``principles/harmless.yaml`` carries.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from revise_throughput import Recording, bare

from cai.flow.flow import flow
from cai.flow.live import Live, RowStage
from cai.models.concurrency import Slots
from cai.models.spec import ModelSpec
from cai.models.vllm import serve
from cai.stages.label import Label, label
from cai.store.ledger import Fingerprint
from cai.store.rows import Draft, Drop, Pair, Preference
from cai.store.stage import Stage
from constitution.load import load
from constitution.shipped import SHIPPED

CONSTITUTION = load(SHIPPED / "principles" / "harmless.yaml")


def pairs(count: int) -> list[Pair]:
    """The constitution's examples, as pairs."""
    found = []
    for principle in CONSTITUTION.principles:
        for number, each in enumerate(principle.examples):
            drafts = Draft(each.better, "", "stop", 0), Draft(each.worse, "", "stop", 0)
            asked = ({"role": "user", "content": each.prompt},)
            found.append(Pair(f"{principle.id}/{number}", principle.id, asked, *drafts, "redteam"))
    return found[:count]


async def stage(model: Recording, rows: list[Pair], want: Label, folder: Path) -> float:
    """Seconds that the stage takes."""
    source, target = Stage(folder / "sample"), Stage(folder / "label")
    source.write_part(0, rows)
    target.begin(Fingerprint("label", {}, 0, "", {}, {}))

    async def work(row: Pair, ask: object) -> list[Preference] | Drop:
        return await label(row, want, ask)  # pyright: ignore[reportArgumentType]

    slots = Slots(model.concurrency)
    row_stage = RowStage("label", target, Pair, work, ("model",))
    step = Live(row_stage, target, {"model": (model, slots)}, CONSTITUTION, 0)
    began = time.monotonic()
    await flow([step], source, 2 * model.concurrency)
    return time.monotonic() - began


async def main(given: argparse.Namespace) -> dict[str, object]:
    """Both, one after the other, each on a fresh server."""
    spec = ModelSpec("judge", vllm=given.model, max_len=4096, concurrency=given.in_flight)
    want = Label(model="judge", method=given.method, max_tokens=160, exemplars=2)
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder) / "logs"
        async with serve(spec, logs) as server:
            recording = Recording(server)
            ours = await stage(recording, pairs(given.pairs), want, Path(folder))
        async with serve(spec, logs) as server:
            loop, tokens = await bare(server, recording.requests)
    return {
        "cores": os.cpu_count(),
        "model": given.model,
        "method": given.method,
        "pairs": given.pairs,
        "requests": len(recording.requests),
        "in flight": given.in_flight,
        "stage": {"seconds": round(ours, 1), "tokens": recording.tokens},
        "bare loop": {"seconds": round(loop, 1), "tokens": tokens},
        "wall time, stage over bare loop": round(ours / loop, 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="cot")
    parser.add_argument("--pairs", type=int, default=72)
    parser.add_argument("--model", default="bundled/smollm2-135m")
    parser.add_argument("--in-flight", type=int, default=16)
    print(json.dumps(asyncio.run(main(parser.parse_args())), indent=2))
