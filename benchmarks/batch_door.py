"""What the batch door adds: the seconds of ``revise`` through a server's batches, over those of the same requests asked singly.

    python benchmarks/batch_door.py [--prompts 1000] [--slots 64] [--seconds 0.5] [--rounds 1]

The server holds as many requests at once in batches as singly, and each takes as long; so what is more is the door's own: the
moments without a request after which a batch is handed in, the looks at it, and the files. A real batch takes minutes to hours,
of which these are no part; the figure to keep is the seconds for each step.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from batch_server import in_a_process
from recipes import finished


def recipe(url: str, prompts: Path, given: argparse.Namespace, batch: bool) -> dict[str, object]:
    """Answers, critiques and revisions, in batches or not."""
    how = {"batch": True} if batch else {"concurrency": given.slots}
    return {
        "name": "batch-door",
        "constitution": "principles/harmless.yaml",
        "models": {"policy": {"endpoints": [url], "model": "big", **how}},
        "stages": [
            {"prompts": {"redteam": str(prompts), "heldout": 0}},
            {"revise": {"model": "policy", "rounds": given.rounds}},
        ],
    }


def measured(given: argparse.Namespace, batch: bool) -> tuple[float, float]:
    """Seconds of the stage by the clock, and of CPU time of this process."""
    with tempfile.TemporaryDirectory() as folder, in_a_process(given.slots, given.seconds) as url:
        prompts = Path(folder) / "prompts.jsonl"
        prompts.write_text(
            "".join(json.dumps({"prompt": f"Why is rye dark, {n}?"}) + "\n" for n in range(given.prompts))
        )
        worked = time.process_time()
        with finished(recipe(url, prompts, given, batch), [], None) as run:
            seal = json.loads((run / "revise" / "seal.json").read_text())
        assert seal["rows_kept"] == given.prompts, seal
        return seal["seconds"], time.process_time() - worked


def main() -> None:
    """Print both, their ratio, and the seconds that a step has more."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5, help="that a request takes")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    (singly, cpu_singly), (together, cpu_together) = measured(given, False), measured(given, True)
    steps = 1 + 2 * given.rounds
    result = {
        "prompts": given.prompts,
        "steps": steps,
        "cores": os.cpu_count(),
        "seconds": {"singly": round(singly, 1), "batches": round(together, 1)},
        "cpu_seconds": {"singly": round(cpu_singly, 1), "batches": round(cpu_together, 1)},
        "ratio": round(together / singly, 3),
        "seconds_more_for_each_step": round((together - singly) / steps, 1),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
