"""Group-relative policy optimisation (Shao et al. 2024): answers compared with others to the same prompt, no critic."""

from dataclasses import dataclass

from cai.stages.online import Online


@dataclass(frozen=True, slots=True)
class Grpo(Online):
    """The ``grpo`` block.

    Attributes:
        per_device_train_batch_size: answers a step on each device; times ``gradient_accumulation_steps`` a multiple of
            ``num_generations``.
        num_generations: answers to each prompt.
        max_completion_length: tokens of an answer.
        beta: weight of the KL to the reference. TRL's is 0, which is unsafe with a learned reward; ours is the paper's.
        missing_eos_penalty: taken off the score of an answer that does not end, as in ``ppo``.
    """

    per_device_train_batch_size: int = 8
    num_generations: int = 8
    max_completion_length: int = 256
    beta: float = 0.04
    missing_eos_penalty: float = 1.0
