"""The training stages as a run sees them: a block of the recipe, and a process of its own that does the work.

The process is ``python -m cai.train.<stage> job.json`` and can be run by hand like that, or under ``accelerate launch``.
Paths pass between the two, never live models. The process appends its metrics to ``metrics.jsonl`` as it goes.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cai import keeper
from cai.errors import RunError
from cai.files import write_json
from cai.models.vllm import cause, resolve

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}
OWN = ("base", "lora", "bf16", "soft_labels", "trl")
"""Keys of a block that are ours; all others are passed to TRL's config under their own names."""


@dataclass(frozen=True, slots=True)
class Train:
    """What the training blocks share; names and meanings are those of TRL's configs.

    Attributes:
        base: the role, path or Hub id to start from.
        lora: rank of LoRA adapters, merged at the end; None trains all weights.
        bf16: bfloat16 autocast; None means where the hardware has it.
        save_steps: steps between checkpoints, from which a killed run goes on.
        trl: any other key of the TRL config.
    """

    base: str
    learning_rate: float = 1e-5
    lr_scheduler_type: str = "constant"
    warmup_steps: int = 0
    num_train_epochs: float = 1.0
    max_steps: int = -1
    per_device_train_batch_size: int = 4
    gradient_accumulation_steps: int = 1
    max_length: int = 1024
    gradient_checkpointing: bool = False
    save_steps: int = 100
    lora: int | None = None
    bf16: bool | None = None
    trl: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sft(Train):
    """The ``sft`` block: one epoch at a constant learning rate (Bai et al. 2022, section 3.2)."""


@dataclass(frozen=True, slots=True)
class Reward(Train):
    """The ``reward`` block; ``soft_labels: false`` trains on the hard choice."""

    center_rewards_coefficient: float | None = 0.01
    soft_labels: bool = True


@dataclass(frozen=True, slots=True)
class Dpo(Train):
    """The ``dpo`` block."""

    learning_rate: float = 1e-6
    beta: float = 0.1
    loss_type: tuple[str, ...] = ("sigmoid",)


def job(kind: str, want: Train, base: str, data: Path, out: Path, seed: int) -> Path:
    """Write the job file that the training process reads; returns its path."""
    block = {key: value for key, value in asdict(want).items() if key not in ("base", "trl")}
    settings = {
        "kind": kind,
        "base": resolve(base),
        "data": str(data),
        "out": str(out),
        "seed": seed,
        "own": {key: block.pop(key) for key in list(block) if key in OWN},
        "config": {**block, **want.trl},
    }
    write_json(out / "job.json", settings)
    return out / "job.json"


async def train(kind: str, job_file: Path, log: Path, on_metrics: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Run the training process to its end; returns the manifest it leaves.

    Args:
        on_metrics: called with each line the process adds to ``metrics.jsonl``.

    Raises:
        RunError: it failed; its last error is in the message.
    """
    out = job_file.parent
    log.unlink(missing_ok=True)
    process = keeper.start(_launcher(kind, job_file), log, QUIET)
    metrics, seen = out / "metrics.jsonl", 0
    try:
        while process.poll() is None:
            seen = _tail(metrics, seen, on_metrics)
            await asyncio.sleep(0.5)
        _tail(metrics, seen, on_metrics)
    finally:
        await asyncio.shield(asyncio.to_thread(keeper.stop, process))
    if process.returncode != 0:
        raise RunError(f"training {out.name} failed: {cause(log)}; the whole log is {log}")
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


def check_config(kind: str, keys: list[str]) -> list[str]:
    """Keys that TRL's config for this stage does not have; asked of TRL itself in a process of its own."""
    import subprocess

    line = [sys.executable, "-m", f"cai.train.{kind}", "--unknown-keys", *keys]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, **QUIET})
    if done.returncode != 0:
        raise RunError(f"TRL's settings for {kind} cannot be read: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return done.stdout.split()


def _launcher(kind: str, job_file: Path) -> list[str]:
    module = ["-m", f"cai.train.{kind}", str(job_file)]
    config = os.environ.get("CAI_ACCELERATE_CONFIG")
    if config:
        return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config, *module]
    return [sys.executable, *module]


def _tail(path: Path, seen: int, on_metrics: Callable[[dict[str, Any]], None]) -> int:
    """Pass on the whole lines after ``seen`` bytes; returns how far it read."""
    if not path.exists():
        return seen
    with path.open("rb") as file:
        file.seek(seen)
        for line in file:
            if not line.endswith(b"\n"):
                break
            seen += len(line)
            on_metrics(json.loads(line))
    return seen
