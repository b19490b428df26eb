"""What orpo and simpo share: trainers that TRL calls experimental, and can take out in any release.

They are imported when they are needed. What those trainers leave to their callers is done here: the model is loaded in
float32 (by its path they take the checkpoint's own type, and in bfloat16 steps of 1e-6 are rounded away), and prompts that
fill ``max_length`` alone are left out and counted (with no token of an answer left their loss is not a number).
"""

import importlib
from collections.abc import Mapping

from datasets import Dataset
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from cai.stages.train import Train
from cai.store.rows import Message
from cai.train.launch import configs
from cai.train.shared import fit, loading, saving
from cai.train.shared.job import Job
from cai.train.shared.turns import texts, tokens


def load(module: str, name: str) -> tuple[type, type]:
    """A trainer of TRL's and its config.

    Args:
        module: under ``trl.experimental``.
        name: what both names begin with, such as "ORPO".

    Raises:
        SystemExit: this TRL has it no longer; the message is a sentence.
    """
    try:
        package = importlib.import_module(f"trl.experimental.{module}")
        return getattr(package, f"{name}Trainer"), getattr(package, f"{name}Config")
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("trl.experimental"):
            raise
        raise SystemExit(configs.gone(f"trl.experimental.{module}.{name}Trainer")) from None


def run(module: str, name: str, job: Job[Train], **settings: object) -> None:
    """Train on a job.

    Args:
        module, name: as in ``load``.
        settings: what the block has for the trainer's config beside what all have.
    """
    trainer_type, config = load(module, name)
    train, test = loading.load(job, ["prompt", "chosen", "rejected"])
    tokenizer = AutoTokenizer.from_pretrained(job.base, trust_remote_code=False)
    args = fit.arguments(job, config, max_length=job.want.max_length, **settings)
    fitting = [as_text(each, tokenizer, args.max_length) if each is not None else None for each in (train, test)]
    trainer = trainer_type(
        model=loading.model(job, args),
        args=args,
        train_dataset=fitting[0],
        eval_dataset=fitting[1],
        processing_class=tokenizer,
        peft_config=loading.lora(job, "CAUSAL_LM"),
        callbacks=[fit.Progress(job.out)],
    )
    rows = fit.counted(trainer, train, test)
    saving.save(trainer, job, fit.train(trainer, job), rows)


def as_text(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Pairs as plain texts, without those whose prompt leaves no room for an answer."""

    def rendered(row: Mapping[str, list[Message]]) -> dict[str, str]:
        prompt, chosen = texts(tokenizer, row["prompt"], row["chosen"])
        return {"prompt": prompt, "chosen": chosen, "rejected": texts(tokenizer, row["prompt"], row["rejected"])[1]}

    plain = rows.map(rendered, remove_columns=rows.column_names)
    return plain.filter(lambda row: len(tokens(tokenizer, row["prompt"])) < max_length)
