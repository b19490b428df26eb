"""What a training leaves: a merged model, whole or not there, and last its manifest."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import PeftModel

from cai.models.weights import whole
from cai.stages.train import Train
from cai.store.files import write_json
from cai.store.ledger import versions
from cai.train.shared import devices, quantized
from cai.train.shared.job import Job


def save(
    trainer: Any,
    job: Job[Train],
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
    job: Job[Train],
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


def manifest(job: Job[Train], metrics: dict[str, Any], rows: dict[str, int], more: dict[str, Any]) -> None:
    """Say what was trained, which is the last thing done, and let the checkpoints go."""
    known = {
        "stage": job.kind,
        "base": job.base,
        "data": _fingerprint(job.data),
        "seed": job.seed,
        "config": job.settings,
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
