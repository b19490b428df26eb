"""What a training stage costs over a plain TRL script with the same settings: steps/s, ours over theirs.

    python benchmarks/trainer_overhead.py [sft reward dpo …] [--steps 8] [--beside] [--base bundled/smollm2-135m] [--lora 16]

Each trainer is run by ``python -m cai.train.KIND`` and by TRL's own trainer with the same model, rows and settings, in a
process of its own each, ``--repeats`` times: one after the other, each of the two first by turns, or ``--beside`` each other
on half of the cores each, halves swapped by turns, so that what else the machine does is in the way of both. Seconds are the
median from the start of a step to that of the next, with all that is done between, our metrics included; the first is left
out. A ratio is the geometric mean of those of the repeats, with the standard error of that mean. There are no checkpoints, and
guards are off, as TRL has none (``--guards`` leaves them on). Peak memory is each process's own. PPO and RRHF have no peer in
TRL.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from cai.data import dataset
from cai.models.bundled import resolve
from cai.stages import STAGES
from cai.stages.online import Online
from cai.stages.train import Aligned
from cai.store.files import read_json
from cai.store.rows import Prompt
from cai.store.stage import Stage
from cai.train.launch import configs
from cai.train.launch.start import QUIET, job

ROOT = Path(__file__).parent.parent
PROMPTS = ROOT / "principles" / "prompts" / "redteam.jsonl"
ROWS = 64
CLOCK = """
import atexit, json, os, sys, time
os.sched_setaffinity(0, json.loads(os.environ["CORES"]))
from transformers import Trainer
step, began = Trainer.training_step, []
def timed(self, *args, **more):
    began.append(time.perf_counter())
    return step(self, *args, **more)
Trainer.training_step = timed
atexit.register(lambda: open(os.environ["BEGAN"], "w").write(json.dumps(began)))
"""
OURS = """
import runpy
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""
PLAIN = """
import importlib, resource
from datasets import load_dataset
from peft import LoraConfig
said = json.loads(sys.argv[1])
out, lora, task = said["out"], said["lora"], said["task"]
rows = load_dataset("parquet", data_files=f"{said['data']}/train.parquet", split="train", cache_dir=f"{out}/cache")
whole = ["score"] if task == "SEQ_CLS" else None
peft = LoraConfig(r=lora, lora_alpha=2 * lora, target_modules="all-linear", task_type=task, modules_to_save=whole) if lora else None
module = importlib.import_module(said["module"])
config, trainer_type = (getattr(module, said["name"] + kind) for kind in ("Config", "Trainer"))
args = config(output_dir=out, report_to="none", disable_tqdm=True, logging_steps=1, use_cpu=True,
    dataloader_pin_memory=False, seed=0, **said["config"])
def shorter(completions, **_):
    return [-len(each[0]["content"].split()) / 100 for each in completions]
more = {"reward_funcs": shorter} if said["online"] else {}
model = said["base"]
if said["module"] != "trl":  # they take the checkpoint's own type, and no rows with other columns' names
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    more = {"processing_class": AutoTokenizer.from_pretrained(said["base"])}
trainer = trainer_type(model=model, args=args, train_dataset=rows.select_columns(said["columns"]), peft_config=peft, **more)
trainer.train()
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """TRL's trainer for one of our stages.

    Attributes:
        name: what it and its config begin with; empty where TRL has none.
        columns: of its rows.
        both: settings of both, beside those that our stage has by itself.
        theirs: settings that our trainer adds.
    """

    name: str
    columns: tuple[str, ...] = ("prompt", "chosen", "rejected")
    module: str = "trl"
    task: str = "CAUSAL_LM"
    both: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)


GROUPS = {"per_device_train_batch_size": 8, "num_generations": 4, "max_completion_length": 32}
PEERS = {
    "sft": Peer("SFT", ("prompt", "completion")),
    "reward": Peer("Reward", task="SEQ_CLS"),
    "dpo": Peer("DPO", both={"loss_type": ("sigmoid",)}),
    "kto": Peer("KTO", ("prompt", "completion", "label")),
    "orpo": Peer("ORPO", module="trl.experimental.orpo"),
    "simpo": Peer("CPO", module="trl.experimental.cpo", theirs={"loss_type": "simpo"}),
    "grpo": Peer("GRPO", ("prompt",), both=GROUPS),
    "rloo": Peer("RLOO", ("prompt",), both=GROUPS),
    "rrhf": Peer(""),
    "ppo": Peer("", both={"batch_size": 8, "num_ppo_epochs": 1, "max_new_tokens": 32}),
}
ALIKE = {"reward": {"soft_labels": False}}
"""Settings that make ours do what TRL's does."""
Cores = list[int]
Seen = tuple[list[float], int]
"""Seconds of each step, and peak bytes."""


def rows(kind: str) -> list[dict[str, Any]]:
    """Examples of some 130 tokens; all alike, so that every batch is as much work, whoever draws it."""
    text = json.loads(PROMPTS.read_text(encoding="utf-8").splitlines()[0])["prompt"]
    found = []
    for number in range(ROWS):
        prompt = [{"role": "user", "content": text}]
        yes, no = (f"{word} {text} " * 3 for word in ("No, because", "Yes, and"))
        yes_said, no_said = ([{"role": "assistant", "content": each}] for each in (yes, no))
        row = {"prompt": prompt, "track": "redteam", "id": str(number), "prompt_id": str(number)}
        pair = {"chosen": yes_said, "rejected": no_said, "chosen_prob": 0.9, "margin": 0.0, "principles": ["harm"]}
        of_kind = {
            "sft": {"completion": yes_said},
            "kto": {"completion": yes_said if number % 2 else no_said, "label": bool(number % 2)},
            "rrhf": {"completions": [yes_said, no_said], "scores": [1.0, 0.0]},
        }
        found.append({**row, **of_kind.get(kind, pair)})
    return found


def store(kind: str, folder: Path) -> None:
    """The rows as our stages leave them: Parquet, and prompts in parts."""
    folder.mkdir(parents=True)
    dataset.write(folder, iter(rows(kind)), set())
    asked = [Prompt(row["id"], tuple(row["prompt"]), "bench", "redteam") for row in rows(kind)]
    Stage(folder).write_parts(asked, ROWS)


def job_of(kind: str, base: str, folder: Path, given: dict[str, Any]) -> Path:
    """The job file of our trainer, from which TRL's has its settings, too."""
    online = issubclass(STAGES[kind].want, Online)
    want = STAGES[kind].want(base=base, **given, **({"method": "rules"} if online else {}))
    scoring = {"method": "rules", "rules": {"length": -1}, "constitution": str(ROOT / "principles" / "harmless.yaml")}
    beside = {"scoring": {**scoring, "logs": str(folder), "spec": None}} if online else {}
    return job(kind, want, base, (folder / "data", folder / "ours"), 0, beside)


def ours(kind: str, base: str, folder: Path, given: dict[str, Any], cores: Cores) -> Seen:
    """What our trainer takes."""
    _, seconds = clocked(OURS, cores, f"cai.train.{kind}", str(job_of(kind, base, folder, given)))
    if not seconds:  # PPO is none of transformers' trainers
        seconds = [line["seconds"] for line in Stage(folder / "ours").metrics()][1:]
    return seconds, read_json(folder / "ours" / "manifest.json")["peak_memory"]


def plain(kind: str, base: str, folder: Path, given: dict[str, Any], cores: Cores) -> Seen:
    """What TRL's own takes."""
    peer = PEERS[kind]
    block = read_json(job_of(kind, base, folder, given))["block"]
    theirs = configs.keys(kind) - {"packing"}  # None leaves that to us
    settings = {key: value for key, value in (block | block["trl"]).items() if key in theirs}
    said = {
        **{key: getattr(peer, key) for key in ("name", "module", "columns", "task")},
        "base": base,
        "data": str(folder / "data"),
        "out": str(folder / "plain"),
        "lora": given.get("lora"),
        "online": peer.columns == ("prompt",),
        "config": {"bf16": given["bf16"], **settings, **peer.theirs},
    }
    printed, seconds = clocked(PLAIN, cores, json.dumps(said))
    return seconds, int(printed.splitlines()[-1])


def clocked(program: str, cores: Cores, *given: str) -> tuple[str, list[float]]:
    """Run a program; returns what it printed, and the seconds of each of transformers' steps but the first and last."""
    with tempfile.NamedTemporaryFile() as times:
        env = {**os.environ, **QUIET, "BEGAN": times.name, "CORES": json.dumps(cores)}
        done = subprocess.run([sys.executable, "-c", CLOCK + program, *given], capture_output=True, text=True, env=env)
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        began = json.loads(Path(times.name).read_text())
    return done.stdout, [later - earlier for earlier, later in pairwise(began)][1:]


def measured(kind: str, base: str, given: dict[str, Any], repeats: int, beside: bool) -> dict[str, list[Seen]]:
    """Who → what each repeat took."""
    runs: dict[str, Callable[..., Seen]] = {"ours": ours, "plain": plain} if PEERS[kind].name else {"ours": ours}
    found: dict[str, list[Seen]] = {name: [] for name in runs}
    cores = sorted(os.sched_getaffinity(0))

    def once(name: str, share: Cores) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store(kind, Path(folder) / "data")
            found[name].append(runs[name](kind, base, Path(folder), given, share))

    for number in range(repeats):
        names = list(runs)[:: -1 if number % 2 else 1]
        shares = [cores[: len(cores) // 2], cores[len(cores) // 2 :]] if beside else [cores, cores]
        with ThreadPoolExecutor(len(runs) if beside else 1) as pool:
            list(pool.map(once, names, shares))
    return found


def told(found: dict[str, list[Seen]]) -> str:
    """Steps/s and peak memory of each, and the ratio."""
    parts = []
    for name, seen in found.items():
        seconds, peak = statistics.median(one for each in seen for one in each[0]), max(each[1] for each in seen) / 1e9
        parts.append(f"{'TRL ' if name == 'plain' else ''}{1 / seconds:.3f} steps/s, peak {peak:.2f} GB")
    if "plain" in found:
        parts.append(f"ratio {ratio(found['ours'], found['plain'])}")
    return "; ".join(parts)


def ratio(mine: list[Seen], theirs: list[Seen]) -> str:
    """Our steps/s over theirs, with its standard error where there is one."""
    medians = [
        (statistics.median(one[0]), statistics.median(other[0])) for one, other in zip(mine, theirs, strict=True)
    ]
    logs = [math.log(other / one) for one, other in medians]
    mean = math.exp(statistics.mean(logs))
    error = f" ± {mean * statistics.stdev(logs) / math.sqrt(len(logs)):.3f}" if len(logs) > 1 else ""
    return f"{mean:.3f}{error} of {len(logs)} ({', '.join(f'{math.exp(each):.3f}' for each in logs)})"


def main() -> None:
    """Measure each kind and print its ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(PEERS), choices=[*PEERS, []])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--base", default="bundled/smollm2-135m")
    parser.add_argument("--lora", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--beside", action="store_true", help="both at once, on half of the cores each")
    parser.add_argument("--guards", action="store_true", help="leave ours on")
    args = parser.parse_args()
    base = resolve(args.base)
    for kind in args.kinds:
        given: dict[str, Any] = {"max_steps": args.steps, "max_length": 256, "bf16": False, "learning_rate": 1e-5}
        given |= {"lora": args.lora} if args.lora else {}
        # A checkpoint is the same gigabytes for both, and takes as long as the disk has to do for others.
        given |= {"trl": {"save_strategy": "no"}} if kind != "ppo" else {}
        if not args.guards and issubclass(STAGES[kind].want, Aligned):
            given["guards"] = {"every": 0}
        settings = {**given, **ALIKE.get(kind, {}), **PEERS[kind].both}
        print(f"{kind}: {told(measured(kind, base, settings, args.repeats, args.beside))}", flush=True)


if __name__ == "__main__":
    main()
