"""Direct preference optimisation on AI preferences (Rafailov et al. 2023)."""

from dataclasses import dataclass

from cai.stages.train import Train


@dataclass(frozen=True, slots=True)
class Dpo(Train):
    """The ``dpo`` block.

    Attributes:
        beta: strength of the pull to the reference model.
        loss_type: TRL's losses, added up.
    """

    learning_rate: float = 1e-6
    beta: float = 0.1
    loss_type: tuple[str, ...] = ("sigmoid",)
