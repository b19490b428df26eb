"""What a request costs us: requests/s of one process against a server that answers at once.

    python benchmarks/overhead.py [--prompts 4000] [--rounds 3]

The ``revise`` stage as ``cai run`` runs it (three requests a row, rows stored), beside a bare aiohttp loop that sends as
many requests with as many in flight. The server runs in a process of its own, so on two cores it has one of them. The two
take turns, and the ratio is the median of their rounds. With ``--concurrency auto``, the default of ``cai run``, the stage
has more and more in flight, as the server never lets any wait, and opens a connection for each of them.
"""

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path
from statistics import median

from server import running
from slots import REQUESTS, bare, ours, stats

PORT = 8102


def rate(figures: dict[str, float]) -> float:
    """Requests/s, from the first request to the last answer."""
    return figures["answered"] / figures["seconds"]


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, default=64, help="requests in flight")
    parser.add_argument("--concurrency", help="the stage's, where it is not to have as many in flight as the loop")
    given = parser.parse_args()
    stage, loop = [], []
    with running(PORT, given.slots, mean=0.0) as url:
        for _ in range(given.rounds):
            with tempfile.TemporaryDirectory() as folder:
                stage.append(rate(ours(url, given.prompts, Path(folder), given.concurrency or given.slots)))
            asyncio.run(bare(url, given.prompts, given.slots))
            loop.append(rate(stats(url)))
    ratios = [one / other for one, other in zip(stage, loop, strict=True)]
    result = {
        "requests": REQUESTS * given.prompts,
        "cores": os.cpu_count(),
        "cai_per_s": round(median(stage)),
        "bare_loop_per_s": round(median(loop)),
        "ratio": round(median(ratios), 3),
        "ratios": [round(each, 3) for each in ratios],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
