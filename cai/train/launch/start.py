"""A training stage as a run sees it: a job file, and a process of its own that does the work.

The process is ``python -m cai.train.<stage> job.json`` and can be run by hand like that, or under ``accelerate launch``.
Paths pass between the two, never live models. The process appends its metrics to ``metrics.jsonl`` as it goes.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Required, TypedDict

from cai.errors import RunError
from cai.models import passwords, process
from cai.models.bundled import resolve
from cai.models.process import cause
from cai.stages import read_block
from cai.stages.train import Train
from cai.store.files import Json, whole_lines, write_json
from cai.store.form import Amount, Count
from cai.store.rows import plain
from cai.train.launch import checkpoints, memory
from cai.train.launch.hardware import Hardware

LOOK_SECONDS = 0.5
"""Between two looks at what a training reports."""
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}


class MetricsLine(TypedDict, total=False):
    """A line of ``metrics.jsonl``, which has figures by their names too; ``alarms`` are sentences."""

    step: Required[int]
    steps: Required[int]
    alarms: list[str]


class Manifest(TypedDict, total=False):
    """What a training says last of itself, as far as a run or its report reads it."""

    rows: Required[dict[str, Count]]
    metrics: Required[dict[str, Json]]
    seconds: Required[Amount]
    config: dict[str, Json]
    steps: Count
    tokens: Count
    stopped: str


@dataclass(frozen=True, slots=True)
class Where:
    """What a training runs on and where its figures go besides ``metrics.jsonl``: neither decides what it learns from.

    Attributes:
        logs: "tensorboard", "wandb", "mlflow", "trackio" or "none".
        run: what the training is called there, ``recipe/block``; by its folder where it is empty.
        servers: as ``cai.models.passwords.environment`` gives it.
    """

    hardware: Hardware = field(default_factory=Hardware)
    logs: str = "none"
    run: str = ""
    servers: Mapping[str, str] = field(default_factory=dict)


def job(
    kind: str, want: Train, base: str, places: tuple[Path, Path], seed: int, extras: Mapping[str, object] | None = None
) -> Path:
    """Write the job file that the training process reads; returns its path.

    Args:
        places: the folder of the data, and that of the stage.
        extras: "scoring", "judging", "sampler" and "template", see ``cai.train.shared.job.Job``.
    """
    data, out = places
    block = plain(replace(want, base=resolve(base)))
    settings = {
        "kind": kind,
        "block": block,
        "data": str(data),
        "out": str(out),
        "seed": seed,
        **passwords.without(extras or {}),
    }
    write_json(out / "job.json", settings)
    return out / "job.json"


async def train(
    kind: str, job_file: Path, log: Path, where: Where, on_metrics: Callable[[MetricsLine], None]
) -> dict[str, Json]:
    """Run the training process to its end; returns the manifest it leaves.

    Args:
        on_metrics: called with each line the process adds to ``metrics.jsonl``.

    Raises:
        RunError: it failed; its last error is in the message.
    """
    out = job_file.parent
    log.unlink(missing_ok=True)
    metrics, last = out / "metrics.jsonl", checkpoints.last_checkpoint(out / "checkpoints")
    # Before it starts: what it does again is then read once, and from where it begins.
    checkpoints.rewind(metrics, checkpoints.step_of(last) if last else 0)
    line = [*where.hardware.command(), "-m", f"cai.train.{kind}", str(job_file), "--figures-to", where.logs]
    line += ["--figures-as", where.run] if where.run else []
    child = process.start(line, log, {**QUIET, **where.hardware.environment(), **where.servers})
    offset = metrics.stat().st_size if metrics.exists() else 0
    try:
        while child.poll() is None:
            offset = _tail(metrics, offset, on_metrics)
            await asyncio.sleep(LOOK_SECONDS)
        _tail(metrics, offset, on_metrics)
    finally:
        await asyncio.shield(asyncio.to_thread(process.stop, child))
    if child.returncode != 0:
        raise RunError(f"{kind} {_why(job_file, log, child.returncode)}, in {out}; the whole log is {log}")
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


def _why(job_file: Path, log: Path, code: int) -> str:
    """Why a training failed."""
    settings, metrics = json.loads(job_file.read_text(encoding="utf-8")), job_file.with_name("metrics.jsonl")
    lines = list(whole_lines(metrics))
    tail = log.read_text(errors="replace")[-20_000:] if log.exists() else ""
    steps = int(checkpoints.step_in(lines[-1])) if lines else 0
    want = read_block(settings["kind"], settings["block"]) if "block" in settings else None
    return memory.ran_out(tail, code, want, steps) or f"failed: {cause(log)}"


def _tail(path: Path, offset: int, on_metrics: Callable[[MetricsLine], None]) -> int:
    """Pass on the whole lines after ``offset`` bytes; returns how far it read."""
    if not path.exists():
        return offset
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                break
            offset += len(line)
            on_metrics(json.loads(line))
    return offset
