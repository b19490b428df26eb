"""Preferences by length-normalised likelihood and a margin, without a reference (Meng et al. 2024, equation 6)."""

from dataclasses import dataclass

from cai.stages.train import Aligned


@dataclass(frozen=True, slots=True)
class Simpo(Aligned):
    """The ``simpo`` block.

    Attributes:
        beta: scale of the length-normalised log-probabilities; 2 to 2.5 in the paper.
        simpo_gamma: the margin γ by which the chosen answer is to be ahead; 0.3 to 1.6 in the paper.
        cpo_alpha: weight of the chosen answer's likelihood; the paper has none, TRL's own default is 1.
    """

    learning_rate: float = 1e-6
    beta: float = 2.0
    simpo_gamma: float = 1.0
    cpo_alpha: float = 0.0
