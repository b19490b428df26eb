"""What a request costs us: requests/s of one process against a server that answers at once.

    python benchmarks/overhead.py [--prompts 4000]

The ``revise`` stage as ``cai run`` runs it (three requests a row, rows stored), beside a bare aiohttp loop that sends as
many requests with as many in flight. The server runs in a process of its own, so on two cores it has one of them.
"""

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path

from server import running
from slots import bare, ours, stats

PORT = 8102


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=4000)
    parser.add_argument("--slots", type=int, default=64)
    given = parser.parse_args()
    with running(PORT, given.slots, mean=0.0) as url, tempfile.TemporaryDirectory() as folder:
        stage = ours(url, given.prompts, Path(folder))
        asyncio.run(bare(url, given.prompts, given.slots))
        loop = stats(url)
    rates = [each["answered"] / each["seconds"] for each in (stage, loop)]
    result = {
        "requests": [stage["answered"], loop["answered"]],
        "cores": os.cpu_count(),
        "cai_per_s": round(rates[0]),
        "bare_loop_per_s": round(rates[1]),
        "ratio": round(rates[0] / rates[1], 3),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
