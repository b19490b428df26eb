"""What orpo and simpo share: trainers that TRL calls experimental, and can take out in any release.

They are imported when they are needed. What those trainers leave to their callers is done here: the model is loaded in
float32 unless it stands below adapters (by its path they take the checkpoint's own type, and in bfloat16 steps of 1e-6 are rounded
away). They tokenize
anew what was put together here, put the tokenizer's first token before it and its last behind it where they are not there; so
they are shown a tokenizer that has no such tokens but those of the chat template.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from datasets import Dataset

from cai.models.lessons import continuation, lesson
from cai.models.templates import ChatTemplate
from cai.stages.train import Train
from cai.train.launch import configs
from cai.train.shared import conversations, fit, loading, saving
from cai.train.shared.job import Job


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
    template = conversations.template(job, loading.tokenizer(job))
    rows = loading.load(job, ["prompt", "chosen", "rejected"])
    args = fit.arguments(job, config, max_length=job.want.max_length, **settings)
    train, test, refusals = conversations.fitting(rows, conversations.learnable(template, args.max_length))
    splits = [as_text(each, template) if each is not None else None for each in (train, test)]
    with plain(template):
        trainer = exact(trainer_type, template)(
            model=loading.model(job, args),
            args=args,
            train_dataset=splits[0],
            eval_dataset=splits[1],
            processing_class=template.tokenizer,
            peft_config=loading.lora(job, "CAUSAL_LM"),
            callbacks=[fit.Progress(job.out)],
        )
    saving.save(trainer, job, fit.train(trainer, job), fit.row_counts(trainer, train, test, refusals))


def as_text(rows: Dataset, template: ChatTemplate) -> Dataset:
    """Pairs as plain texts."""

    def rendered(row: conversations.Row) -> dict[str, str]:
        chosen, rejected = (
            lesson(template.with_options(row.get("tools")), row["prompt"], row[side][-1])
            for side in ("chosen", "rejected")
        )
        return {"prompt": chosen.prompt_text, "chosen": chosen.answer_text, "rejected": rejected.answer_text}

    return rows.map(rendered, remove_columns=rows.column_names)


@contextmanager
def plain(template: ChatTemplate) -> Iterator[None]:
    """Meanwhile the tokenizer begins texts with nothing, and ends them as the chat template ends an answer."""
    tokenizer = template.tokenizer
    tokens = tokenizer.bos_token, tokenizer.eos_token
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.bos_token, tokenizer.eos_token = None, template.end or tokenizer.eos_token
    try:
        yield
    finally:
        tokenizer.bos_token, tokenizer.eos_token = tokens


def exact(trainer_type: type, template: ChatTemplate) -> type:
    """The trainer, by which the prompt keeps its tokens also where the tokenizer would have joined them to the answer's."""

    class Exact(trainer_type):
        def build_tokenized_answer(self, prompt: str, answer: str) -> dict[str, list[int]]:
            prompt_ids = template.ids(prompt)
            answer_ids = continuation(template, prompt_ids, prompt, answer)
            marks = {"prompt_attention_mask": [1] * len(prompt_ids), "attention_mask": [1] * len(answer_ids)}
            return {"prompt_input_ids": prompt_ids, "input_ids": answer_ids, **marks}

    Exact.__name__ = trainer_type.__name__
    return Exact
