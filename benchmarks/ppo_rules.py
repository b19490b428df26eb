"""PPO of the bundled model against a reward whose truth is plain: short answers that end.

    python benchmarks/ppo_rules.py [--steps 12] [--out RUN] [ppo.rollouts=generate …]

The same held-out prompts are answered before and after, with the same random draws. PPO is proven where their mean reward is
up by two standard errors or more while the KL of an answer stays under its limit. Prints one line of JSON, and ends with 1
where it is not so. Further arguments are overrides of the recipe.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from recipes import finished

from cai.store.files import read_json
from cai.store.stage import Stage

PROMPTS = Path(__file__).parent.parent / "principles" / "prompts"
KL_LIMIT = 15.0


def recipe(steps: int) -> dict[str, Any]:
    """The recipe."""
    files = {track: {"path": str(PROMPTS / f"{track}.jsonl"), "limit": 80} for track in ("redteam", "helpful")}
    ppo = {
        "base": "policy",
        "method": "rules",
        "rules": {"length": -10},
        "lora": 16,
        "learning_rate": 3e-4,
        "value_learning_rate": 1e-3,
        "max_steps": steps,
        "batch_size": 32,
        "num_mini_batches": 2,
        "num_ppo_epochs": 2,
        "per_device_train_batch_size": 8,
        "generate_batch_size": 32,
        "max_new_tokens": 32,
        "max_length": 160,
        "kl_limit": KL_LIMIT,
        "save_steps": 4,
        "eval_prompts": 32,
        "bf16": False,
    }
    models = {"policy": {"local": "bundled/smollm2-135m"}}
    stages = [{"prompts": {**files, "heldout": 0.2}}, {"ppo": ppo}]
    return {"name": "ppo-rules", "constitution": "principles/harmless.yaml", "models": models, "stages": stages}


def told(folder: Path) -> dict[str, Any]:
    """What the training found, with the seconds of a step and its curve."""
    manifest, lines = read_json(folder / "manifest.json"), Stage(folder).metrics()
    keys, metrics = ("steps", "tokens", "peak_memory", "seconds"), manifest["metrics"]
    curve = [{key: round(line[key], 3) for key in ("step", "reward", "kl", "length", "ended")} for line in lines]
    evals = {key: value for key, value in metrics.items() if key.startswith("eval_")}
    step = sum(line["seconds"] for line in lines) / len(lines)
    return {
        **{key: manifest.get(key) for key in keys},
        "stopped": manifest["stopped"],
        **evals,
        "seconds_a_step": round(step, 1),
        "curve": curve,
    }


def main() -> None:
    """Train, and print what became of the held-out answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--out", type=Path, help="where the run is kept; a temporary folder unless given")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    with finished(recipe(args.steps), args.overrides, args.out) as folder:
        found = told(folder / "ppo")
    proven = found["eval_gain"] >= 2 * found["eval_gain_se"] and found["eval_kl"] < KL_LIMIT
    print(json.dumps({"proven": proven, "kl_limit": KL_LIMIT, **found}))
    sys.exit(not proven)


if __name__ == "__main__":
    main()
