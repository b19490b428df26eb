"""REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024): the KL in the reward, clipping by answer, no critic."""

from dataclasses import dataclass

from cai.stages.online import Online


@dataclass(frozen=True, slots=True)
class Rloo(Online):
    """The ``rloo`` block.

    Attributes:
        per_device_train_batch_size: answers a step on each device; times ``gradient_accumulation_steps`` a multiple of
            ``num_generations``.
        num_generations: answers to each prompt.
        max_completion_length: tokens of an answer.
        beta: weight of the KL to the reference in the reward.
        missing_eos_penalty: taken off the score of an answer that does not end, as in ``ppo``.
    """

    per_device_train_batch_size: int = 8
    num_generations: int = 4
    max_completion_length: int = 256
    beta: float = 0.05
    missing_eos_penalty: float = 1.0
