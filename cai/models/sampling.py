"""Sampling that depends on a row's own seed alone, whoever shares its batch, and ends where nobody waits for it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria


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


class Abandonment(StoppingCriteria):
    """Ends a batch that nobody waits for any more, such as an answer that a person stopped.

    Args:
        abandoned: asked after each token.
    """

    def __init__(self, abandoned: Callable[[], bool]) -> None:
        self.abandoned = abandoned

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> Any:
        return torch.full((input_ids.shape[0],), self.abandoned(), device=input_ids.device, dtype=torch.bool)
