"""What a training stage costs over a plain TRL script with the same settings: steps/s, ours over theirs.

    python benchmarks/trainer_overhead.py [sft reward dpo kto …] [--steps 8] [--base bundled/smollm2-135m] [--lora 16]

Each trainer is run in turn by ``python -m cai.train.KIND`` and by TRL's own trainer with the same model, rows, order of
settings and seed, in a process of its own each, twice. The seconds are those that transformers itself reports for the
training (``train_runtime``), with our checkpoints' bookkeeping and guards in ours. Peak memory is each process's own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cai import dataset
from cai.models.vllm import resolve
from cai.stages import STAGES
from cai.training import QUIET, job

PROMPTS = Path(__file__).parent.parent / "principles" / "prompts" / "redteam.jsonl"
PLAIN = """
import json, resource, sys
from datasets import load_dataset
from peft import LoraConfig
import trl
name, base, data, out, columns, task, lora, config = json.loads(sys.argv[1])
rows = load_dataset("parquet", data_files=f"{data}/train.parquet", split="train", cache_dir=f"{out}/cache").select_columns(columns)
whole = ["score"] if task == "SEQ_CLS" else None
peft = LoraConfig(r=lora, lora_alpha=2 * lora, target_modules="all-linear", task_type=task, modules_to_save=whole) if lora else None
args = getattr(trl, f"{name}Config")(output_dir=out, report_to="none", disable_tqdm=True, logging_steps=1, use_cpu=True,
    dataloader_pin_memory=False, seed=0, **config)
trainer = getattr(trl, f"{name}Trainer")(model=base, args=args, train_dataset=rows, peft_config=peft)
seconds = trainer.train().metrics["train_runtime"]
print(json.dumps([seconds, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""
KINDS: dict[str, tuple[str, list[str], str]] = {
    "sft": ("SFT", ["prompt", "completion"], "CAUSAL_LM"),
    "reward": ("Reward", ["prompt", "chosen", "rejected"], "SEQ_CLS"),
    "dpo": ("DPO", ["prompt", "chosen", "rejected"], "CAUSAL_LM"),
    "kto": ("KTO", ["prompt", "completion", "label"], "CAUSAL_LM"),
}


def rows(kind: str, count: int) -> list[dict[str, Any]]:
    """Examples of some 130 tokens, alike for both."""
    asked = [json.loads(line)["prompt"] for line in PROMPTS.read_text(encoding="utf-8").splitlines()][:count]
    found = []
    for number, text in enumerate(asked):
        prompt = [{"role": "user", "content": text}]
        yes, no = ([{"role": "assistant", "content": f"{word} {text} " * 3}] for word in ("No, because", "Yes, and"))
        row = {"prompt": prompt, "track": "redteam", "id": str(number), "prompt_id": str(number)}
        pair = {"chosen": yes, "rejected": no, "chosen_prob": 0.9, "margin": 0.0, "principles": ["harm"]}
        of_kind = {
            "sft": {"completion": yes},
            "kto": {"completion": yes if number % 2 else no, "label": bool(number % 2)},
        }
        found.append({**row, **of_kind.get(kind, pair)})
    return found


def ours(kind: str, base: str, folder: Path, given: dict[str, Any]) -> tuple[float, int]:
    """Seconds of training and peak bytes of our trainer."""
    want = STAGES[kind].want(base=base, **given)
    file = job(kind, want, base, (folder / "data", folder / "ours"), 0)
    subprocess.run([sys.executable, "-m", f"cai.train.{kind}", str(file)], check=True, capture_output=True)
    lines = [json.loads(line) for line in (folder / "ours" / "metrics.jsonl").read_text().splitlines()]
    seconds = next(line["train_runtime"] for line in lines if "train_runtime" in line)
    return seconds, json.loads((folder / "ours" / "manifest.json").read_text())["peak_memory"]


def plain(kind: str, base: str, folder: Path, given: dict[str, Any]) -> tuple[float, int]:
    """Seconds of training and peak bytes of TRL's own."""
    name, columns, task = KINDS[kind]
    settings = {key: value for key, value in given.items() if key not in ("lora", "soft_labels", "guards")}
    settings = {"lr_scheduler_type": "constant", "save_strategy": "no", **settings}
    said = [name, base, str(folder / "data"), str(folder / "plain"), columns, task, given.get("lora"), settings]
    line = [sys.executable, "-c", PLAIN, json.dumps(said)]
    done = subprocess.run(line, check=True, capture_output=True, text=True, env={**os.environ, **QUIET})
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def main() -> None:
    """Measure each kind and print its ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), choices=[*KINDS, []])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--base", default="bundled/smollm2-135m")
    parser.add_argument("--lora", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    base = resolve(args.base)
    for kind in args.kinds:
        given: dict[str, Any] = {"max_steps": args.steps, "max_length": 256, "bf16": False, "learning_rate": 1e-5}
        given |= {"lora": args.lora} if args.lora else {}
        given |= {"soft_labels": False} if kind == "reward" else {"loss_type": ("sigmoid",)} if kind == "dpo" else {}
        measured: dict[str, list[tuple[float, int]]] = {"ours": [], "plain": []}
        for _ in range(args.repeats):
            for name, run in (("plain", plain), ("ours", ours)):
                with tempfile.TemporaryDirectory() as folder:
                    dataset.write(_made(Path(folder) / "data"), iter(rows(kind, 64)), set())
                    measured[name].append(run(kind, base, Path(folder), given))
        seconds = {name: statistics.fmean(each[0] for each in found) for name, found in measured.items()}
        peaks = {name: max(each[1] for each in found) / 1e9 for name, found in measured.items()}
        print(
            f"{kind}: {seconds['plain'] / seconds['ours']:.3f} of TRL's steps/s "
            f"({args.steps / seconds['ours']:.3f} and {args.steps / seconds['plain']:.3f} steps/s; "
            f"peak {peaks['ours']:.2f} and {peaks['plain']:.2f} GB)",
            flush=True,
        )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
