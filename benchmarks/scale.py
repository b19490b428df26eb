"""Whether size alone costs: memory, time per row and resume, from a run of few prompts to one of a million.

    python benchmarks/scale.py [--prompts 10000 100000 1000000]

Prompts are made up, the server answers at once, and each run is the ``prompts`` and ``sample`` stages of ``cai run`` in a
process of its own: its peak memory is the system's own figure for it. Then the same command runs again, finds all done, and
that is timed too. Memory that stays and rows/s that stay are what to look for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from server import running

PORT = 8104
RECIPE = """\
name: scale
constitution: principles/harmless.yaml
models:
  policy: {{endpoints: ["{url}/v1"], model: mock}}
stages:
  - prompts: {{redteam: {prompts}}}
  - sample: {{model: policy}}
"""


def timed(recipe: Path, out: Path) -> tuple[float, int]:
    """Seconds and peak memory, in MiB, of one ``cai run``."""
    began = time.monotonic()
    log = (out.parent / "log.txt").open("w")
    child = subprocess.Popen([sys.executable, "-m", "cai.cli", "run", recipe, "--out", out], stdout=log, stderr=log)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit((out.parent / "log.txt").read_text())
    return time.monotonic() - began, used.ru_maxrss // 1024


def measure(url: str, count: int, folder: Path) -> dict[str, float]:
    """One run, and the same again."""
    prompts, recipe = folder / "prompts.jsonl", folder / "scale.yaml"
    with prompts.open("w") as file:
        file.writelines(
            json.dumps({"prompt": f"What is the story of number {number}?"}) + "\n" for number in range(count)
        )
    recipe.write_text(RECIPE.format(url=url, prompts=prompts))
    seconds, memory = timed(recipe, folder / "out")
    again, _ = timed(recipe, folder / "out")
    return {
        "prompts": count,
        "seconds": round(seconds, 1),
        "rows_per_s": round(count / seconds),
        "peak_mib": memory,
        "again_seconds": round(again, 2),
    }


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, nargs="+", default=[10_000, 100_000])
    given = parser.parse_args()
    with running(PORT, mean=0.0) as url:
        for count in given.prompts:
            with tempfile.TemporaryDirectory() as folder:
                print(json.dumps({**measure(url, count, Path(folder)), "cores": os.cpu_count()}), flush=True)


if __name__ == "__main__":
    main()
