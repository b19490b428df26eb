"""RRHF: answers in the order of their scores, by likelihood alone (Yuan et al. 2023, arXiv 2304.05302, section 3.1).

    python -m cai.train.rrhf job.json

With p_i the mean log-probability of the tokens of answer i and r_i its score, the loss of a prompt is
Σ over r_i < r_j of max(0, p_i − p_j), plus −Σ log p over the tokens of the best answer. No reference, no second model.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from datasets import Dataset
from peft import get_peft_model
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments, set_seed

from cai.models.lessons import lesson
from cai.models.templates import ChatTemplate
from cai.stages.rrhf import Rrhf
from cai.train.rl.rollout import pad_id
from cai.train.shared import conversations, fit, loading, saving
from cai.train.shared import job as jobs
from cai.train.shared.soft import Count, Inputs, Loss

IGNORED = -100


class Ranking(TypedDict):
    """A prompt with its answers: their token ids, the prompt's as each has them before it, and their scores."""

    prompt_ids: list[list[int]]
    answer_ids: list[list[int]]
    scores: list[float]


class RankedCollator:
    """Collates prompts with all their answers: one row an answer, those of a prompt together.

    A batch has ``input_ids``, ``attention_mask`` and ``labels`` of shape (answers, length), ``scores`` of shape (answers,)
    and ``sizes``, the answers of each prompt.
    """

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, examples: Sequence[Ranking]) -> dict[str, torch.Tensor]:
        rows = [pair for each in examples for pair in zip(each["prompt_ids"], each["answer_ids"], strict=True)]
        longest = max(len(prompt) + len(answer) for prompt, answer in rows)

        def padded(row: list[int], filler: int) -> list[int]:
            return row + [filler] * (longest - len(row))

        return {
            "input_ids": torch.tensor([padded(prompt + answer, self.pad) for prompt, answer in rows]),
            "attention_mask": torch.tensor([padded([1] * len(prompt + answer), 0) for prompt, answer in rows]),
            "labels": torch.tensor([padded([IGNORED] * len(prompt) + answer, IGNORED) for prompt, answer in rows]),
            "scores": torch.tensor([score for each in examples for score in each["scores"]]),
            "sizes": torch.tensor([len(each["scores"]) for each in examples]),
        }


class RrhfTrainer(Trainer):
    """transformers' ``Trainer`` on batches of ``RankedCollator``; logs both parts of the loss and the pairs ranked right."""

    loss_is_scaled_for_ga = False

    def __init__(self, *args: Any, rank_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rank_weight = rank_weight
        self.model_accepts_loss_kwargs = False  # the loss is a mean over its batch: accumulated ones are averaged
        self._total_train_tokens = 0
        self._parts: dict[str, list[float]] = defaultdict(list)

    def compute_loss(
        self, model: nn.Module, inputs: Inputs, return_outputs: bool = False, num_items_in_batch: Count = None
    ) -> Loss:
        """The mean loss of the batch's prompts."""
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        logps, lengths = answer_logps(outputs.logits, inputs["labels"])
        sizes = inputs["sizes"].tolist()
        groups = zip(logps.split(sizes), lengths.split(sizes), inputs["scores"].split(sizes), strict=True)
        parts = [losses(*group) for group in groups]
        rank, likelihood, right = (torch.stack(each).mean() for each in zip(*parts, strict=True))
        for name, value in (("rank_loss", rank), ("best_loss", likelihood), ("accuracy", right)):
            self._parts[name].append(value.item())
        if model.training:
            self._total_train_tokens += int(inputs["attention_mask"].sum())
        loss = self.rank_weight * rank + likelihood
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As the parent, with the means of the loss's parts since the last time."""
        prefix = "eval_" if any(key.startswith("eval_") for key in logs) else ""
        logs |= {f"{prefix}{name}": sum(each) / len(each) for name, each in self._parts.items()}
        self._parts.clear()
        super().log(logs, start_time)


def answer_logps(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-probability of each answer and its number of tokens, each of shape (answers,).

    Args:
        logits: shape (answers, length, vocabulary).
        labels: the tokens of the answers, −100 elsewhere, shape (answers, length).
    """
    labels = labels[:, 1:]
    nll = cross_entropy(logits[:, :-1].float().transpose(1, 2), labels, reduction="none", ignore_index=IGNORED)
    return -nll.sum(1), (labels != IGNORED).sum(1)


def losses(
    logps: torch.Tensor, lengths: torch.Tensor, scores: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of one prompt: the ranking loss, the best answer's negative log-likelihood, and the share of pairs ranked right.

    Args:
        logps: of the answers, in nats, shape (answers,).
        lengths: their tokens.
        scores: higher is better; equal ones are not ranked.
    """
    mean = logps / lengths
    worse = scores[:, None] < scores[None, :]
    margins = (mean[:, None] - mean[None, :])[worse]
    return margins.clamp(min=0).sum(), -logps[scores.argmax()], (margins < 0).float().mean()


def encode_rows(rows: Dataset, template: ChatTemplate) -> Dataset:
    """Rankings as token ids."""

    def encode(row: conversations.Row) -> dict[str, list[list[int]]]:
        lessons = [
            lesson(template.with_options(row.get("tools")), row["prompt"], each[-1]) for each in row["completions"]
        ]
        return {"prompt_ids": [each.prompt for each in lessons], "answer_ids": [each.answer for each in lessons]}

    return rows.map(encode, remove_columns=[each for each in rows.column_names if each != "scores"])


def settings(job: jobs.Job[Rrhf]) -> TrainingArguments:
    """transformers' arguments of a job; an evaluation batch has as many prompts as a training batch."""
    args = fit.arguments(job, TrainingArguments, per_device_eval_batch_size=job.want.per_device_train_batch_size)
    args.remove_unused_columns = False
    return args


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(Rrhf)
    args = settings(job)
    tokenizer = loading.tokenizer(job)
    template = conversations.template(job, tokenizer)
    rows = loading.load(job, ["prompt", "completions", "scores"])
    train, test, refusals = conversations.fitting(rows, conversations.learnable(template, job.want.max_length))
    set_seed(job.seed)  # adapters begin with random weights
    model, adapter = loading.model(job, args), loading.lora(job, "CAUSAL_LM")
    if adapter and args.gradient_checkpointing:
        model.enable_input_require_grads()
    splits = [encode_rows(each, template) if each else None for each in (train, test)]
    trainer = RrhfTrainer(
        model=get_peft_model(model, adapter) if adapter else model,
        args=args,
        data_collator=RankedCollator(pad_id(tokenizer)),
        train_dataset=splits[0],
        eval_dataset=splits[1],
        processing_class=tokenizer,
        callbacks=[fit.Progress(job.out)],
        rank_weight=job.want.rank_weight,
    )
    saving.save(trainer, job, fit.train(trainer, job), fit.row_counts(trainer, train, test, refusals))


if __name__ == "__main__":
    main()
