"""Fine-tuning and preferences in one loss, without a reference: likelihood plus β times the log-odds ratio (Hong et al. 2024)."""

from dataclasses import dataclass

from cai.stages.train import Aligned


@dataclass(frozen=True, slots=True)
class Orpo(Aligned):
    """The ``orpo`` block.

    Attributes:
        beta: weight of the odds ratio, λ in the paper (equation 6).
    """

    learning_rate: float = 8e-6
    beta: float = 0.1
