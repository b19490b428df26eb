"""What the trainers share: the job file in, checkpoints and metrics on the way, a merged model and its manifest out."""

import argparse
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset, load_dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed

from cai.data import dataset
from cai.models import cpu
from cai.models.weights import whole
from cai.store.files import write_json
from cai.store.ledger import versions
from cai.train import adapters
from cai.train.launch import checkpoints
from cai.train.shared import devices, quantized, trackers
from cai.train.shared.watch import watched

PATIENCE = 7200
"""Seconds that processes wait for one another: one of them may wait for a server to start, or for a judge."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job file, as ``cai.train.launch.start.job`` writes it.

    Attributes:
        scoring: how answers are scored, for trainers that answer prompts, see ``cai.train.rl.rewards.Scoring``.
        judging: how the guards' held-out judge scores them.
        sampler: the vLLM servers that sample answers, see ``cai.train.rl.serving.ServerSettings``.
        logs: where figures go besides ``metrics.jsonl``; from the command line, for it changes nothing of the model.
        run: what the training is called there, ``recipe/block``.
    """

    kind: str
    base: str
    data: Path
    out: Path
    seed: int
    own: dict[str, Any]
    config: dict[str, Any]
    scoring: dict[str, Any] | None = None
    judging: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = None
    logs: str = "none"
    run: str = ""


def from_command_line() -> Job:
    """The job named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    # No launcher has an option that begins like this one; torchrun would take --logs for its own.
    parser.add_argument("--figures-to", default="none")
    parser.add_argument("--figures-as", default="")
    given = parser.parse_args()
    data = json.loads(given.job.read_text(encoding="utf-8"))
    set_seed(data["seed"])  # by it adapters and new heads begin
    places = {key: Path(data[key]) for key in ("data", "out")}
    run = given.figures_as or f"{places['out'].parent.name}/{places['out'].name}"
    return Job(**{**data, **places, "logs": given.figures_to, "run": run})


def arguments(job: Job, config: type) -> Any:
    """The TRL config of a job."""
    gpu = torch.cuda.is_available()
    return config(
        **{
            "output_dir": str(job.out / "checkpoints"),
            "seed": job.seed,
            "use_cpu": not gpu,
            "bf16": half(job),
            "dataloader_pin_memory": gpu,
            "logging_steps": 1,
            "ddp_timeout": PATIENCE,
            "save_strategy": "steps",
            "save_total_limit": 2,
            "disable_tqdm": True,
            **trackers.settings(job),
            **job.config,
        }
    )


def with_config(job: Job, config: dict[str, Any]) -> Job:
    """The same job with other settings for its config."""
    return replace(job, config=config)


def model(job: Job, args: Any) -> Any:
    """The causal language model to train, in float32 unless ``model_init_kwargs`` says otherwise.

    Args:
        args: the job's config; its ``model_init_kwargs``, where it has such, are used up.
    """
    given = getattr(args, "model_init_kwargs", None) or {}
    if given:
        args.model_init_kwargs = None  # a trainer that is given a model refuses them
    return AutoModelForCausalLM.from_pretrained(job.base, **{"dtype": "float32", **given})


def left_tokenizer(job: Job) -> Any:
    """The base's tokenizer for generation, where prompts end at the same place."""
    return AutoTokenizer.from_pretrained(job.base, padding_side="left", truncation_side="left")


def reference(job: Job, args: Any) -> Any:
    """The model that the policy is held to, where the job names another than its base; None leaves it to the trainer.

    Args:
        args: the job's config; its ``model_init_kwargs`` are for this model, too.
    """
    given = getattr(args, "model_init_kwargs", None) or {}
    weights = job.own.get("reference")
    return AutoModelForCausalLM.from_pretrained(weights, **{"dtype": "float32", **given}) if weights else None


def half(job: Job) -> bool:
    """Whether to compute in bfloat16: as the job says, or where the hardware multiplies it."""
    wanted = job.own.get("bf16")
    return wanted if wanted is not None else torch.cuda.is_available() or cpu.dtype() == "bfloat16"


def lora(job: Job, task: str, modules_to_save: list[str] | None = None) -> LoraConfig | None:
    """LoRA on every linear layer, or None where all weights are trained."""
    rank = job.own.get("lora")
    return adapters.config(rank, task, modules_to_save) if rank else None


def load(job: Job, columns: list[str]) -> tuple[Dataset, Dataset | None]:
    """The training and the test split of the job's data, with the columns that the trainer takes."""
    splits = []
    for split in ("train", "test"):
        files = dataset.files(job.data, split)
        cache = str(job.out / "cache")
        rows = load_dataset("parquet", data_files=files, split="train", cache_dir=cache) if files else None
        splits.append(rows.select_columns(columns) if rows is not None else None)
    if splits[0] is None:
        raise ValueError(f"{job.data} has no training rows; see its drops.jsonl for the reasons")
    return splits[0], splits[1]


def counted(trainer: Any, train: Dataset, test: Dataset | None) -> dict[str, int]:
    """Rows that a trainer took and those that it left out as too long, for ``save``.

    Args:
        train, test: what it was given.

    Raises:
        ValueError: it took none.
    """
    kept = {"train": len(trainer.train_dataset), "test": len(trainer.eval_dataset) if test else 0}
    if not kept["train"]:
        raise ValueError(f"max_length leaves none of the {len(train)} training rows; raise it")
    return {**kept, "too_long": len(train) + len(test or ()) - sum(kept.values())}


class Progress(TrainerCallback):
    """Appends each line of metrics to ``metrics.jsonl`` and marks checkpoints as complete."""

    def __init__(self, out: Path) -> None:
        self.path = out / "metrics.jsonl"

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, "steps": state.max_steps, **(logs or {})}) + "\n")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        PartialState().wait_for_everyone()  # each process writes its own random state
        if state.is_world_process_zero and folder.exists():
            (folder / checkpoints.COMPLETE).touch()


def train(trainer: Any, job: Job) -> dict[str, Any]:
    """Train from the last complete checkpoint, or from the start; returns the metrics on the held-out split."""
    if trainer.is_world_process_zero():
        tidied = checkpoints.last_checkpoint(Path(trainer.args.output_dir))
        for name in ("metrics.jsonl", "answers.jsonl"):
            checkpoints.rewind(job.out / name, checkpoints.step_of(tidied) if tidied else 0)
        trackers.hold(job)
    trainer.accelerator.wait_for_everyone()
    checkpoint = checkpoints.last_checkpoint(Path(trainer.args.output_dir))
    devices.check_reference(trainer)
    began = time.monotonic()
    watch = watched(trainer, job)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    metrics = trainer.evaluate() if trainer.eval_dataset is not None else {}
    return {
        **metrics,
        **({"stopped": watch.stopped} if watch and watch.stopped else {}),
        "seconds": round(time.monotonic() - began, 1),
        "resumed_from": checkpoints.step_of(checkpoint) if checkpoint else 0,
    }


def save(
    trainer: Any,
    job: Job,
    metrics: dict[str, Any],
    rows: dict[str, int],
    check: Callable[[Path], dict[str, Any]] | None = None,
    **more: Any,
) -> None:
    """Write the merged model, aside first, then its manifest, and let the checkpoints go.

    Args:
        rows: rows trained on, tested on and left out ("train", "test", "too_long").
        check: looks at the saved model before it gets its name; returns what the manifest is to say of it.
        more: further keys of the manifest.
    """
    trainer.accelerator.wait_for_everyone()
    state = devices.gathered(trainer)
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    with whole():  # by this process alone
        more |= save_model(model, trainer.processing_class, job, check, state)
    more |= {"steps": trainer.state.global_step, "tokens": int(getattr(trainer, "_total_train_tokens", 0))}
    manifest(job, metrics, rows, more)


def save_model(
    model: Any,
    tokenizer: Any,
    job: Job,
    check: Callable[[Path], dict[str, Any]] | None = None,
    state: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a model with its adapters merged, aside first; returns what ``check`` says of it.

    Args:
        state: its weights, where they were gathered from several processes.
    """
    if isinstance(model, PeftModel):
        scratch = job.out / ".adapter"
        if quantized.is_quantized(model):
            model = quantized.merged(model, job.base, scratch, state=state)
        elif state is not None:
            model, state = quantized.merged(model, job.base, scratch, torch.float32, state), None
        else:
            model = model.merge_and_unload()
    aside, target = job.out / ".model.tmp", job.out / "model"
    shutil.rmtree(aside, ignore_errors=True)
    model.save_pretrained(aside, state_dict=state)
    tokenizer.save_pretrained(aside)
    found = check(aside) if check else {}
    shutil.rmtree(target, ignore_errors=True)
    os.replace(aside, target)
    return found


def manifest(job: Job, metrics: dict[str, Any], rows: dict[str, int], more: dict[str, Any]) -> None:
    """Say what was trained, which is the last thing done, and let the checkpoints go."""
    known = {
        "stage": job.kind,
        "base": job.base,
        "data": _fingerprint(job.data),
        "seed": job.seed,
        "config": job.config | job.own,
        "rows": rows,
        "stopped": metrics.pop("stopped", ""),
        "metrics": metrics,
        "seconds": metrics.get("seconds", 0.0),
        "resumed_from": metrics.get("resumed_from", 0),
        "processes": PartialState().num_processes,
        "peak_memory": devices.peak_memory(),
        "versions": versions(),
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **more,
    }
    write_json(job.out / "manifest.json", known)
    for folder in ("checkpoints", "cache"):
        shutil.rmtree(job.out / folder, ignore_errors=True)


def _fingerprint(folder: Path) -> dict[str, str]:
    """File → SHA-256 of the data trained on."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*folder.glob("*.parquet"), *folder.glob("part-*.jsonl")])
    }
