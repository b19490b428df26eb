"""The saved reward model beside the trained one: they score alike, and here are its figures on held-out pairs.

A reward model's head is easily lost on its way to the disk (adapters that do not hold it, a merge that leaves it out), and
what is loaded then has a head drawn at random. So a few answers are scored before and after.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from pyarrow import parquet
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase, Trainer

from cai.data import dataset
from cai.data.dataset import PreferenceRow
from cai.judge.reward_figures import figures
from cai.models.reward import scores
from cai.models.spec import ModelSpec
from cai.models.templates import ChatTemplate
from cai.models.weights import load
from cai.stages.reward import Reward
from cai.train.shared.job import Job

PROBED = 8
"""Pairs scored before and after saving."""
TOLERANCE = {torch.float32: 1e-3}
COARSE = 0.05
"""The tolerance where the weights are saved in less than float32: merging adapters rounds them once more."""

Rewards = tuple[float, float]


def rows(job: Job[Reward], split: str, most: int | None = None) -> list[PreferenceRow]:
    """The first rows of a split, with all their columns; none where there is no such split."""
    files = dataset.files(job.data, split)
    examples = [row for file in files for row in parquet.read_table(file).slice(0, most).to_pylist()]
    return examples[:most]


def rewards(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[PreferenceRow]
) -> list[Rewards]:
    """Of each pair the chosen answer's score and the rejected one's, in logits."""
    template = ChatTemplate(tokenizer)
    token_ids = [_tokens(template, example, side) for example in examples for side in ("chosen", "rejected")]
    logits = scores(model, tokenizer, token_ids)
    return list(zip(logits[::2], logits[1::2], strict=True))


def fitting(
    job: Job[Reward], tokenizer: PreTrainedTokenizerBase, examples: Sequence[PreferenceRow]
) -> list[PreferenceRow]:
    """The pairs of which both sides are within ``max_length``; training leaves out the others too."""
    most, template = job.want.max_length, ChatTemplate(tokenizer)
    return [
        example
        for example in examples
        if all(len(_tokens(template, example, side)) <= most for side in ("chosen", "rejected"))
    ]


def probe(trainer: Trainer, job: Job[Reward]) -> list[Rewards]:
    """The scores of a few pairs by the model as trained; none where its weights are spread over several processes."""
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return []
    # Without the autocast of training, whose bfloat16 would hide or feign a difference.
    model, tokenizer = (
        trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False),
        trainer.processing_class,
    )
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    return rewards(model.eval(), tokenizer, _probed(job, tokenizer))


def check(folder: Path, before: Sequence[Rewards], job: Job[Reward]) -> dict[str, object]:
    """Load the saved model and score with it; returns its figures for the manifest.

    Args:
        before: what ``probe`` gave.

    Raises:
        ValueError: it scores otherwise than the trained model did.
    """
    dtype = torch.float32 if _is_float32(folder) else torch.bfloat16
    spec = ModelSpec("reward", reward=str(folder), dtype=str(dtype).removeprefix("torch."))
    model, tokenizer = load(spec, AutoModelForSequenceClassification, "right")
    distance = same(
        before, rewards(model, tokenizer, _probed(job, tokenizer)[: len(before)]), TOLERANCE.get(dtype, COARSE)
    )
    held_out = fitting(job, tokenizer, rows(job, "test"))
    measures = figures(held_out, rewards(model, tokenizer, held_out), job.want.soft_labels)
    return {"held_out": measures, "reloaded": {"pairs": len(before), "apart": distance}}


def same(before: Sequence[Rewards], after: Sequence[Rewards], tolerance: float) -> float:
    """How far the scores are apart at most.

    Raises:
        ValueError: further than the tolerance, which is for scores of about one and grows with them.
    """
    both = [(one, two) for was, now in zip(before, after, strict=True) for one, two in zip(was, now, strict=True)]
    worst = max(both, key=lambda each: abs(each[0] - each[1]) / max(1.0, abs(each[0])), default=(0.0, 0.0))
    if not abs(worst[0] - worst[1]) <= tolerance * max(1.0, abs(worst[0])):
        raise ValueError(
            f"the saved reward model is not the trained one: it gives an answer {worst[1]:.4f} where that gave {worst[0]:.4f}; "
            "its head was lost on saving, so it is not kept: with LoRA, the head has to be among modules_to_save"
        )
    return max((abs(one - two) for one, two in both), default=0.0)


def _probed(job: Job[Reward], tokenizer: PreTrainedTokenizerBase) -> list[PreferenceRow]:
    return fitting(job, tokenizer, rows(job, "train", 4 * PROBED))[:PROBED]


def _tokens(template: ChatTemplate, example: PreferenceRow, side: str) -> list[int]:
    return template.with_options(example.get("tools")).score_ids(example["prompt"] + example[side])


def _is_float32(folder: Path) -> bool:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, trust_remote_code=False).dtype in (None, torch.float32)
