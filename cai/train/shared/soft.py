"""Soft labels: what the trainers on preferences share that learn P(chosen is better) rather than the choice.

For an advantage d of the chosen answer (of rewards, or β times that of log-ratios) and the label p, the cross-entropy
−p·log σ(d) − (1−p)·log σ(−d) is −log σ(d) + (1−p)·d: the hard loss, which TRL has, and one term more.
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import Trainer

Inputs = dict[str, torch.Tensor]
"""A batch, as a trainer is given it."""
Loss = torch.Tensor | tuple[torch.Tensor, object]
"""What ``compute_loss`` returns: the loss, with the model's outputs beside it where they are asked for."""
Count = torch.Tensor | int | None
"""The examples of a whole step, where transformers knows them."""
Row = dict[str, object]
PROB = "chosen_prob"


class WithNumbers:
    """A collator that keeps a column of numbers beside what another makes; ``absent``, if given, is for rows that have none."""

    def __init__(self, inner: Callable[[list[Row]], Inputs], column: str, absent: int | None) -> None:
        self.inner, self.column, self.absent = inner, column, absent

    def __call__(self, examples: list[Row]) -> Inputs:
        batch = self.inner(examples)
        values = [each[self.column] if self.absent is None else each.get(self.column, self.absent) for each in examples]
        batch[self.column] = torch.tensor(values)
        return batch


def keep_column(trainer: Trainer, column: str, absent: int | None = None) -> None:
    """Let a column of numbers through to a TRL trainer's batches, as one more that it keeps."""
    trainer.data_collator = WithNumbers(trainer.data_collator, column, absent)
    trainer._set_signature_columns_if_needed()
    trainer._signature_columns = [*(trainer._signature_columns or ()), column]


def soft_term(delta: torch.Tensor, prob: torch.Tensor) -> torch.Tensor:
    """What turns the hard loss into the soft one: the mean of (1 − p)·d.

    Args:
        delta: d, shape (pairs,).
        prob: P(chosen is better), shape (pairs,).
    """
    return ((1 - prob.to(delta)) * delta).mean()


def log_brier(trainer: Any, delta: torch.Tensor, prob: torch.Tensor) -> None:
    """Add the Brier score of σ(d) against the label to what the trainer logs; arguments as in ``soft_term``."""
    brier = (torch.sigmoid(delta.detach().float()) - prob).square()
    mode = "train" if trainer.model.training else "eval"
    trainer._metrics[mode]["brier"].append(trainer.accelerator.gather_for_metrics(brier).mean().item())
