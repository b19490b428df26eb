"""A reward model on people's comparisons: how often does it agree with them, beside the length of the answers?

    python benchmarks/reward_accuracy.py PAIRS [--train 1000] [--base bundled/smollm2-135m] [reward.lora=16 …]

PAIRS is a file of comparisons by people, such as HH-RLHF's (``chosen`` and ``rejected`` transcripts). They go through our own
stages, ``pairs`` → ``label: people`` → ``prefs`` → ``reward``, and 300 are held out by prompt. What agrees with people
without reading stands beside it: the longer answer, and the shorter one. Further arguments are overrides of the recipe.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from recipes import finished

from cai.store.files import read_json

HELD_OUT = 300


def recipe(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe."""
    total = args.train + args.held_out
    stages = [
        {"pairs": {"path": str(args.pairs.resolve()), "limit": total}},
        {"label": {"method": "people"}},
        {"prefs": {"test": args.held_out / total}},
        {"reward": {"base": args.base, "soft_labels": False, "max_length": args.max_length}},
    ]
    return {"name": "reward-accuracy", "constitution": "principles/harmless.yaml", "stages": stages}


def main() -> None:
    """Train, and print the held-out accuracy beside those of the two lengths."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=HELD_OUT)
    parser.add_argument("--base", default="bundled/smollm2-135m")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--out", type=Path, help="where the run is kept; a temporary folder unless given")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    with finished(recipe(args), args.overrides, args.out) as folder:
        report(read_json(folder / "reward" / "manifest.json"))


def report(manifest: dict) -> None:
    """The figures, one a line."""
    held, rows = manifest["held_out"], manifest["rows"]
    accuracy, longer, reward = held["accuracy"], held["longer_baseline"], held["reward_and_length"]
    print(
        f"trained on {rows['train']} pairs ({rows['too_long']} too long), {manifest['steps']} steps, {manifest['seconds']:.0f} s"
    )
    print(f"held out: {held['pairs']} pairs")
    print(f"  reward model  {accuracy['value']:.3f} ({accuracy['low']:.3f}–{accuracy['high']:.3f})")
    print(f"  longer        {longer:.3f}")
    print(f"  shorter       {1 - longer:.3f}")
    print(
        f"  Brier {held['brier']['value']:.3f}, calibration error {held['ece']:.3f} (by chance {held['ece_by_chance']:.3f})"
    )
    for key, said in (("longer_is_right", "the longer was chosen"), ("shorter_is_right", "the shorter was chosen")):
        share = held[key]
        print(f"  where {said}: {share['value']:.3f} ({share['low']:.3f}–{share['high']:.3f}) of {share['of']}")
    print(
        f"  reward and length: rank correlation {reward['spearman']:.3f} ({reward['low']:.3f} to {reward['high']:.3f})"
    )
    print(json.dumps({"steps": manifest["steps"], "rows": rows, **held}))


if __name__ == "__main__":
    main()
