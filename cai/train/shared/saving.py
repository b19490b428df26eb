"""What a training leaves: a merged model, whole or not there, and last its manifest."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from accelerate import PartialState
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

from cai.models.weights import whole
from cai.stages.train import Train
from cai.store.files import write_json
from cai.store.ledger import versions
from cai.train.adapters import under
from cai.train.launch import needs
from cai.train.shared import devices, quantized
from cai.train.shared.job import Figures, Job


def save(
    trainer: Trainer,
    job: Job[Train],
    metrics: Figures,
    rows: dict[str, int],
    check: Callable[[Path], Mapping[str, object]] | None = None,
    **more: object,
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
    model, tokenizer = trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class
    assert isinstance(model, PreTrainedModel | PeftModel) and isinstance(tokenizer, PreTrainedTokenizerBase)
    decided = _decided(trainer, job, model)
    with whole():  # by this process alone
        more |= save_model(model, tokenizer, job, check, state)
    more |= {
        "decided": decided,
        "steps": trainer.state.global_step,
        "tokens": int(getattr(trainer, "_total_train_tokens", 0)),
    }
    manifest(job, metrics, rows, more)


def _decided(trainer: Trainer, job: Job[Train], model: nn.Module) -> dict[str, object]:
    """What the recipe leaves open: what was computed in, what the base was held in, whether rows were packed; and advice."""
    dtype = "4bit" if quantized.is_quantized(model) else str(under(model).dtype).removeprefix("torch.")
    packing, advice = getattr(trainer.args, "packing", None), needs.doubtful(job.kind, job.want)
    return {
        "bf16": trainer.args.bf16,
        "weights": dtype,
        **({} if packing is None else {"packing": packing}),
        **({"advice": advice} if advice else {}),
    }


def save_model(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    job: Job[Train],
    check: Callable[[Path], Mapping[str, object]] | None = None,
    state: dict[str, Tensor] | None = None,
) -> Mapping[str, object]:
    """Write a model with its adapters merged, aside first; returns what ``check`` says of it.

    Args:
        state: its weights, where they were gathered from several processes.
    """
    if isinstance(model, PeftModel):
        scratch, read = job.out / ".adapter", job.want.init_kwargs
        if quantized.is_quantized(model):
            model = quantized.merge(model, job.base, scratch, state=state, read=read)
        elif state is not None or under(model).dtype != torch.float32:
            model, state = quantized.merge(model, job.base, scratch, torch.float32, state, read), None
        else:
            model = model.merge_and_unload()
    aside, target = job.out / ".model.tmp", job.out / "model"
    shutil.rmtree(aside, ignore_errors=True)
    model.save_pretrained(str(aside), state_dict=state)
    tokenizer.save_pretrained(aside)
    checked = check(aside) if check else {}
    shutil.rmtree(target, ignore_errors=True)
    os.replace(aside, target)
    return checked


def manifest(job: Job[Train], metrics: Figures, rows: dict[str, int], more: Mapping[str, object]) -> None:
    """Say what was trained, which is the last thing done, and let the checkpoints go."""
    record = {
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
    write_json(job.out / "manifest.json", record)
    for folder in ("checkpoints", "cache"):
        shutil.rmtree(job.out / folder, ignore_errors=True)


def _fingerprint(folder: Path) -> dict[str, str]:
    """File → SHA-256 of the data trained on."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*folder.glob("*.parquet"), *folder.glob("part-*.jsonl")])
    }
