"""Whether generator and judge work at once: ``sample`` and ``label`` together over the slower of the two alone.

    python benchmarks/two_endpoints.py [--prompts 1024] [--slots 64]

Two servers with as many slots each and lognormal times (mean 0.5 s, sigma 0.6). A prompt costs the generator one request
and the judge two, one for each order, so the judge is the slower one. First both stages run in one ``cai run`` and stream
into each other; then ``sample`` runs alone, and ``label`` alone on what it made.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from server import running

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start

RECIPE = """\
name: two
constitution: principles/harmless.yaml
models:
  policy: {{endpoints: ["{policy}/v1"], model: mock, concurrency: {slots}}}
  judge: {{endpoints: ["{judge}/v1"], model: mock, concurrency: {slots}}}
stages:
  - prompts: {{redteam: prompts.jsonl, heldout: 0}}
  - sample: {{model: policy}}
"""
LABEL = "  - label: {model: judge, method: logprob}\n"


def seconds(recipe: Path, text: str, out: Path) -> float:
    """One ``cai run`` of what is not done yet."""
    recipe.write_text(text)
    began = time.monotonic()
    start(load_recipe(recipe), out, Screen())
    return time.monotonic() - began


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=1024)
    parser.add_argument("--slots", type=int, default=64)
    given = parser.parse_args()
    with running(0, given.slots) as policy, running(0, given.slots) as judge, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lines = (json.dumps({"prompt": f"Prompt {number}?"}) + "\n" for number in range(given.prompts))
        (folder / "prompts.jsonl").write_text("".join(lines))
        text = RECIPE.format(policy=policy, judge=judge, slots=given.slots)
        both = seconds(folder / "two.yaml", text + LABEL, folder / "both")
        sample = seconds(folder / "two.yaml", text, folder / "alone")
        label = seconds(folder / "two.yaml", text + LABEL, folder / "alone")
    result = {
        "prompts": given.prompts,
        "cores": os.cpu_count(),
        "both": round(both, 1),
        "sample alone": round(sample, 1),
        "label alone": round(label, 1),
        "both over the slower one": round(both / max(sample, label), 3),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
