"""Answers that are good or bad by themselves, weighed against a reference (Ethayarajh et al. 2024, equation 7)."""

from dataclasses import dataclass

from cai.stages.train import Aligned


@dataclass(frozen=True, slots=True)
class Kto(Aligned):
    """The ``kto`` block.

    Attributes:
        beta: strength of the pull to the reference model.
        reference: the role, path or Hub id of that model; the base where none is given.
        loss_type: "kto"; or "apo_zero_unpaired" (D'Oosterlinck et al. 2024), which needs no estimate of the divergence.
        desirable_weight, undesirable_weight: of good and of bad answers. The paper (equation 8) wants their weights times
            their numbers to stand between 1:1 and 4:3.
        precompute_ref_log_probs: ask the reference once, before training, and then let it go from memory.
    """

    learning_rate: float = 1e-6
    beta: float = 0.1
    reference: str = ""
    loss_type: str = "kto"
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    precompute_ref_log_probs: bool = False
