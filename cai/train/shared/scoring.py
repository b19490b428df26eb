"""The saved reward model beside the trained one: they score alike, and what that gave the held-out pairs is told in figures.

A reward model's head is easily lost on its way to the disk (adapters that do not hold it, a merge that leaves it out), and
what is loaded then has a head drawn at random. So a few pairs that were trained on are scored before and after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from pyarrow import parquet
from transformers import PreTrainedTokenizerBase, Trainer

from cai.data import dataset
from cai.judge.reward_figures import figures
from cai.models.reward import scores
from cai.models.spec import ModelSpec
from cai.models.weights import load_scorer
from cai.stages.reward import Reward
from cai.train.adapters import under
from cai.train.shared import fit
from cai.train.shared.job import Job

PROBED = 8
"""Pairs scored before and after saving."""
TOLERANCE = {torch.float32: 1e-3}
COARSE = 0.05
"""The tolerance where the weights are in less than float32: merging adapters rounds them once more."""

Rewards = tuple[float, float]
"""The scores of a pair's chosen answer and its rejected one, in logits."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the trained model gives a few conversations.

    Attributes:
        conversations: their token ids; two of each pair.
        scores: in logits, one of each.
        dtype: what the weights were in.
    """

    conversations: list[list[int]]
    scores: list[float]
    dtype: torch.dtype


def held_out(job: Job[Reward], rewards: Mapping[int, Rewards]) -> dict[str, object]:
    """Figures for the manifest.

    Args:
        rewards: the number of a held-out row → its scores, as the trainer's own evaluation gave them.
    """
    rows = [row for file in dataset.files(job.data, "test") for row in parquet.read_table(file).to_pylist()]
    return figures(
        [rows[number] for number in sorted(rewards)], [rewards[each] for each in sorted(rewards)], job.want.soft_labels
    )


def probe(trainer: Trainer) -> Probe:
    """The scores of the first pairs by the model as trained; where its weights are spread, all processes have to ask."""
    tokenizer = trainer.processing_class
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    rows: Any = islice(fit.train_rows(trainer), PROBED)
    conversations = [row[side] for row in rows for side in ("chosen_ids", "rejected_ids")]
    spread = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    # Without the autocast of training, whose bfloat16 would hide or feign a difference; spread weights are in it themselves.
    plain = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    dtype = torch.bfloat16 if spread and trainer.args.bf16 else under(plain).dtype
    model: Any = (
        trainer.model_wrapped if trainer.is_fsdp_enabled else plain
    )  # DeepSpeed's own is no model of transformers
    model.eval()
    return Probe(conversations, scores(model, tokenizer, conversations), dtype)


def check(folder: Path, before: Probe) -> dict[str, object]:
    """Load the saved model and score with it, in what the trained one was in; returns how far apart the two are.

    Raises:
        ValueError: it scores otherwise than the trained model did, or there was nothing to score.
    """
    if not before.scores:
        raise ValueError(
            "no pair was scored before the reward model was saved, so that nothing tells whether it is whole"
        )
    spec = ModelSpec("reward", reward=str(folder), dtype=str(before.dtype).removeprefix("torch."))
    after = scores(*load_scorer(spec), before.conversations)
    return {"pairs": len(before.scores) // 2, "apart": distance(before, after)}


def distance(before: Probe, after: list[float]) -> float:
    """How far the scores are apart at most.

    Raises:
        ValueError: further than the tolerance, which is for scores of about one and grows with the largest.
    """
    worst = max(zip(before.scores, after, strict=True), key=lambda each: abs(each[0] - each[1]))
    scale = max(1.0, *map(abs, before.scores))
    if not abs(worst[0] - worst[1]) <= TOLERANCE.get(before.dtype, COARSE) * scale:
        raise ValueError(
            f"the saved reward model is not the trained one: it gives an answer {worst[1]:.4f} where that gave {worst[0]:.4f}; "
            "its head was lost on saving, so it is not kept: with LoRA, the head has to be among modules_to_save"
        )
    return abs(worst[0] - worst[1])
