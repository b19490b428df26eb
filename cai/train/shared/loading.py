"""What a training begins with: its models, their precision and adapters, and its rows."""

import os
from typing import Protocol, runtime_checkable

import torch
from datasets import Dataset, load_dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
)

from cai.data import dataset
from cai.models import cpu
from cai.stages.dpo import Dpo
from cai.stages.kto import Kto
from cai.stages.train import Train
from cai.train import adapters
from cai.train.shared.job import Job
from constitution.tools import DEFINITIONS as TOOLS


@runtime_checkable
class ModelArguments(Protocol):
    """TRL's configs that say how the model is loaded."""

    model_init_kwargs: dict[str, object] | str | None


def half(job: Job[Train]) -> bool:
    """Whether to compute in bfloat16: as the job says, or where the hardware multiplies it."""
    choice = job.want.bf16
    return choice if choice is not None else torch.cuda.is_available() or cpu.dtype() == "bfloat16"


def lora(job: Job[Train], task: str, modules_to_save: list[str] | None = None) -> LoraConfig | None:
    """LoRA on every linear layer, or None where all weights are trained."""
    return adapters.config(job.want.lora, task, modules_to_save) if job.want.lora else None


def base_dtype(job: Job[Train], args: object) -> str:
    """What the base is held in: bfloat16 below adapters where the trainer computes in it, for weights that learn need float32.

    Float32, too, where each process has but a part of it; where its adapters are merged into it and taken out again at each
    step, for a server that samples: their rounding would add up; and of a reward model, which is held beside the saved one to see
    that its head was not lost.

    Args:
        args: the job's config.
    """
    want = job.want
    sharded = any(os.environ.get(f"ACCELERATE_USE_{name}") == "true" for name in ("FSDP", "DEEPSPEED"))
    whole = sharded or want.trl.get("use_vllm") or getattr(want, "quantization", None) or job.kind == "reward"
    return "bfloat16" if want.lora and getattr(args, "bf16", False) and not whole else "float32"


def model(job: Job[Train], args: object) -> PreTrainedModel:
    """The causal language model to train, in what ``base_dtype`` says unless ``model_init_kwargs`` says otherwise.

    Args:
        args: the job's config; its ``model_init_kwargs``, where it has such, are used up.
    """
    kwargs = init_kwargs(args)
    if isinstance(args, ModelArguments):
        args.model_init_kwargs = None  # a trainer that is given a model refuses them
    dtype = base_dtype(job, args)
    return AutoModelForCausalLM.from_pretrained(job.base, **{"dtype": dtype, "trust_remote_code": False, **kwargs})


def init_kwargs(args: object) -> dict[str, object]:
    """A config's ``model_init_kwargs``; empty where it has none."""
    kwargs = args.model_init_kwargs if isinstance(args, ModelArguments) else None
    assert not isinstance(kwargs, str)  # JSON is for TRL's own command line
    return kwargs or {}


def tokenizer(job: Job[Train]) -> PreTrainedTokenizerBase:
    """The base's tokenizer."""
    return AutoTokenizer.from_pretrained(job.base, trust_remote_code=False)


def left_tokenizer(job: Job[Train]) -> PreTrainedTokenizerBase:
    """The base's tokenizer for generation, where prompts end at the same place."""
    return AutoTokenizer.from_pretrained(job.base, padding_side="left", truncation_side="left", trust_remote_code=False)


def reference(job: Job[Dpo | Kto], args: TrainingArguments) -> PreTrainedModel | None:
    """The model that the policy is held to, where the job names another than its base; None leaves it to the trainer.

    Args:
        args: the job's config; its ``model_init_kwargs`` are for this model, too.
    """
    if not (weights := job.want.reference):
        return None
    settings = init_kwargs(args)
    dtype = base_dtype(job, args)
    return AutoModelForCausalLM.from_pretrained(weights, **{"dtype": dtype, "trust_remote_code": False, **settings})


def load(job: Job[Train], columns: list[str]) -> tuple[Dataset, Dataset | None]:
    """The training and the test split of the job's data, with the columns that the trainer takes, and tools if there are any."""
    splits = []
    for split in ("train", "test"):
        files = dataset.files(job.data, split)
        cache = str(job.out / "cache")
        rows = load_dataset("parquet", data_files=files, split="train", cache_dir=cache) if files else None
        more = [TOOLS] if rows is not None and TOOLS in rows.column_names else []
        splits.append(rows.select_columns([*columns, *more]) if rows is not None else None)
    if splits[0] is None:
        raise ValueError(f"{job.data} has no training rows; see its drops.jsonl for the reasons")
    return splits[0], splits[1]
