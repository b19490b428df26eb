"""Sampling that depends on a row's own seed alone, whoever shares its batch."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor


class GumbelNoise(LogitsProcessor):
    """Adds Gumbel noise to the logits, from a generator for each row: the largest is then a sample from the softmax.

    Args:
        device: of the generators; the CPU's give the same noise on every machine.
    """

    def __init__(self, seeds: Sequence[int], temperature: float = 1.0, device: str = "cpu") -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self.temperature = temperature

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> Any:
        rows = [torch.rand(scores.shape[-1], generator=each, device=each.device) for each in self.generators]
        return scores / self.temperature - torch.log(-torch.log(torch.stack(rows).clamp_min(1e-20))).to(scores)
