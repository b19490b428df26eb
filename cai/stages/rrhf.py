"""Answers in the order of their scores, by their length-normalised likelihood (Yuan et al. 2023, section 3.1)."""

from dataclasses import dataclass

from cai.stages.train import Aligned


@dataclass(frozen=True, slots=True)
class Rrhf(Aligned):
    """The ``rrhf`` block; an example of its batch is a prompt with all its answers.

    Attributes:
        rank_weight: of the ranking loss beside the likelihood of the best answer; 1 in the paper. The code that was
            released with it has 100, and a mean over tokens where the paper has a sum.
    """

    learning_rate: float = 2e-5
    per_device_train_batch_size: int = 1
    rank_weight: float = 1.0
