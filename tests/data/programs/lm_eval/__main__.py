"""``lm_eval run``, as far as a run calls it; ``hellaswag`` asks for likelihoods, ``formless`` has no figures."""

import json
import os
import sys
import urllib.request
from pathlib import Path

options = dict(zip(sys.argv[1:], sys.argv[2:], strict=False))
model = dict(each.split("=", 1) for each in options["--model_args"].split(","))
if options["--tasks"] == "hellaswag":
    sys.exit(
        "NotImplementedError: Loglikelihood is not supported for chat completions. Consider using the completions API."
    )
body = json.dumps(
    {"model": model["model"], "messages": [{"role": "user", "content": "Q1"}], "temperature": 0.0, "seed": 1}
)
headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", "Content-Type": "application/json"}
with urllib.request.urlopen(urllib.request.Request(model["base_url"], body.encode(), headers)) as answer:
    right = "right" in json.load(answer)["choices"][0]["message"]["content"]
figures = {
    "alias": "ifeval",
    "exact,none": float(right),
    "exact_stderr,none": "N/A",
    "loose,strict": 0.5,
    "loose_stderr,strict": 0.1,
}
results = {
    "results": {"ifeval": figures},
    "versions": {"ifeval": 4.0},
    "n-samples": {"ifeval": {"original": 541, "effective": 1}},
}
if options["--tasks"] == "formless":
    results = {"results": {"formless": 1}, "n-samples": {}}
folder = Path(options["--output_path"]) / model["model"]
folder.mkdir(parents=True)
(folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps(results))
