"""What the harmless requests before the first row add to a run: requests and seconds of ``label`` with them and without.

    python benchmarks/probe.py [--pairs 200] [--slots 64] [--mean 0.5] [--rounds 3]

``method: cot``, both orders: a reasoning and a verdict each, so that there are two kinds of request to show the server, one
after the other and before anything else. The server has as many slots as given and lognormal times (sigma 0.6). The two take
turns, on a server started anew, and the ratio is the median of their rounds.
"""

import argparse
import json
import os
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from unittest.mock import patch

from recipes import finished
from server import running
from slots import stats

from cai.models.probe import Probes
from cai.models.types import Request

Figures = tuple[float, float]
"""Requests that the server answered, seconds of the whole run."""


def recipe(url: str, pairs: Path, slots: int) -> dict[str, object]:
    """Labels for pairs from a file."""
    return {
        "name": "probe",
        "constitution": "principles/harmless.yaml",
        "models": {"judge": {"endpoints": [f"{url}/v1"], "model": "mock", "concurrency": slots}},
        "stages": [{"pairs": {"path": str(pairs)}}, {"label": {"model": "judge", "method": "cot"}}],
    }


def unshown() -> AbstractContextManager[object]:
    """No harmless request is sent before rows."""

    async def nothing(probes: Probes, request: Request) -> None:
        return None

    return patch.object(Probes, "before", nothing)


def measured(given: argparse.Namespace, seed: int, shown: bool) -> Figures:
    """One run."""
    with running(0, given.slots, given.mean, seed=seed) as url, tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.jsonl"
        answers = (
            {"prompt": f"Prompt {n}?", "chosen": f"Rye {n}.", "rejected": f"Oats {n}."} for n in range(given.pairs)
        )
        pairs.write_text("".join(json.dumps(each) + "\n" for each in answers))
        began = time.monotonic()
        with nullcontext() if shown else unshown(), finished(recipe(url, pairs, given.slots), [], None):
            seconds = time.monotonic() - began
        return stats(url)["answered"], seconds


def main() -> None:
    """Print requests, seconds and the ratio of the seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--mean", type=float, default=0.5, help="seconds that a request takes")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    rounds = [(measured(given, seed, True), measured(given, seed, False)) for seed in range(given.rounds)]
    ratios = [shown[1] / unasked[1] for shown, unasked in rounds]
    result = {
        "pairs": given.pairs,
        "cores": os.cpu_count(),
        "requests": [int(median(each[side][0] for each in rounds)) for side in (0, 1)],
        "seconds": [round(median(each[side][1] for each in rounds), 2) for side in (0, 1)],
        "ratio": round(median(ratios), 3),
        "ratios": [round(each, 3) for each in ratios],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
