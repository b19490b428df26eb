"""The fit itself: a TRL config from a job, metrics and checkpoints on the way, and what a killed training goes on from."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cai.stages.train import Train
from cai.store.files import append_to
from cai.train.launch import checkpoints
from cai.train.shared import devices, loading, trackers
from cai.train.shared.job import Figures, Job
from cai.train.shared.watch import monitor

C = TypeVar("C")
PATIENCE = 7200
"""Seconds that processes wait for one another: one of them may wait for a server to start, or for a judge."""


def arguments(job: Job[Train], config: Callable[..., C], **settings: object) -> C:
    """The config of a job's trainer: what all blocks have, what is given, and last what the block's ``trl`` says.

    Args:
        settings: keys of the trainer's own.
    """
    gpu = torch.cuda.is_available()
    values = {
        "output_dir": str(job.out / "checkpoints"),
        "seed": job.seed,
        "use_cpu": not gpu,
        "bf16": loading.half(job),
        "dataloader_pin_memory": gpu,
        "logging_steps": 1,
        "ddp_timeout": PATIENCE,
        "save_strategy": "steps",
        "save_total_limit": 2,
        "disable_tqdm": True,
        **trackers.settings(job),
        **_shared(job.want),
        **settings,
        **job.want.trl,
    }
    omissions = {each.name for each in fields(job.want)} & signature(config).parameters.keys() - values.keys()
    assert not omissions, f"{job.kind} does not hand on {omissions}"  # the user's word would count for nothing
    args = config(**values)
    if isinstance(args, loading.ModelArguments) and (dtype := loading.base_dtype(job, args)) != "float32":
        args.model_init_kwargs = {"dtype": dtype, **loading.init_kwargs(args)}
    return args


def _shared(want: Train) -> dict[str, object]:
    """What the config of every trainer has of a block, under the same names."""
    return {
        "learning_rate": want.learning_rate,
        "lr_scheduler_type": want.lr_scheduler_type,
        "warmup_steps": want.warmup_steps,
        "num_train_epochs": want.num_train_epochs,
        "max_steps": want.max_steps,
        "per_device_train_batch_size": want.per_device_train_batch_size,
        "gradient_accumulation_steps": want.gradient_accumulation_steps,
        "gradient_checkpointing": want.gradient_checkpointing,
        "save_steps": want.save_steps,
    }


def train_rows(trainer: Trainer) -> Dataset:
    """The rows that a trainer took to train on, as it tokenized them."""
    assert isinstance(trainer.train_dataset, Dataset)
    return trainer.train_dataset


def eval_rows(trainer: Trainer) -> Dataset:
    """Those that it took to test on."""
    assert isinstance(trainer.eval_dataset, Dataset)
    return trainer.eval_dataset


def row_counts(trainer: Trainer, train: Dataset, test: Dataset | None, refusals: Mapping[str, int]) -> dict[str, int]:
    """Rows that a trainer took and those that were left out, for ``save``.

    Args:
        train, test: what it was given; what it then has no longer was too long for it.
        refusals: those that it was not given, by their reason.

    Raises:
        ValueError: it took none.
    """
    counts = {"train": len(train_rows(trainer)), "test": len(eval_rows(trainer)) if test else 0}
    if not counts["train"]:
        raise ValueError(f"max_length leaves none of the {len(train)} training rows; raise it")
    too_long = len(train) + len(test or ()) - sum(counts.values()) + refusals.get("too_long", 0)
    return {**counts, **refusals, "too_long": too_long}


class Progress(TrainerCallback):
    """Appends each line of metrics to ``metrics.jsonl`` and marks checkpoints as complete."""

    def __init__(self, out: Path) -> None:
        self.path = out / "metrics.jsonl"

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, object] | None = None,
        **_: object,
    ) -> None:
        if not state.is_world_process_zero:
            return
        with append_to(self.path) as file:
            file.write(json.dumps({"step": state.global_step, "steps": state.max_steps, **(logs or {})}) + "\n")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        PartialState().wait_for_everyone()  # each process writes its own random state
        if state.is_world_process_zero and folder.exists():
            (folder / checkpoints.COMPLETE).touch()


class NothingLeft(Exception):
    """A training goes on from its last step."""


class LastStep(TrainerCallback):
    """Ends a training that has done all its steps; transformers 5.17 does one more where they end within an epoch.

    It has to be the last callback, for the others are to see that the training begins.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if state.global_step >= state.max_steps:
            raise NothingLeft


def train(trainer: Trainer, job: Job[Train]) -> Figures:
    """Train from the last complete checkpoint, or from the start; returns the metrics on the held-out split."""
    if trainer.is_world_process_zero():
        newest = checkpoints.last_checkpoint(Path(str(trainer.args.output_dir)))
        for name in ("metrics.jsonl", "answers.jsonl"):
            checkpoints.rewind(job.out / name, checkpoints.step_of(newest) if newest else 0)
        trackers.hold(job)
    trainer.accelerator.wait_for_everyone()
    checkpoint = checkpoints.last_checkpoint(Path(str(trainer.args.output_dir)))
    devices.check_reference(trainer)
    start_time = time.monotonic()
    watch = monitor(trainer, job)
    trainer.add_callback(LastStep())
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except NothingLeft:
        trainer.is_in_train = False
        trainer.callback_handler.on_train_end(trainer.args, trainer.state, trainer.control)
    metrics = trainer.evaluate() if trainer.eval_dataset is not None else {}
    return {
        **metrics,
        **({"stopped": watch.stopped} if watch and watch.stopped else {}),
        "seconds": round(time.monotonic() - start_time, 1),
        "resumed_from": checkpoints.step_of(checkpoint) if checkpoint else 0,
    }
