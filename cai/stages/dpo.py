"""Direct preference optimisation on AI preferences (Rafailov et al. 2023, equation 7).

The default differs from the paper: its sigmoid loss lowers the likelihood of the chosen answer too, as long as that of the
rejected one falls faster, so the likelihood of the chosen answer is added as a second loss (RPO: Pang et al. 2024, section
3). ``loss_type: [sigmoid]`` is the paper's.
"""

from dataclasses import dataclass

from cai.stages.train import Aligned

LOSSES = (
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
)
"""All that TRL 1.16 has."""

SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")
"""Those that ``label_smoothing`` bears on."""


@dataclass(frozen=True, slots=True)
class Dpo(Aligned):
    """The ``dpo`` block.

    Attributes:
        beta: strength of the pull to the reference model.
        reference: the role, path or Hub id of that model; the base where none is given.
        loss_type: TRL's losses, added up.
        loss_weights: one for each loss; all are 1 where none are given.
        soft_labels: the sigmoid loss against the label's probability p, −p·log σ(βΔ) − (1−p)·log σ(−βΔ), rather than the
            hard choice.
        label_smoothing: how likely a label is flipped, the same for all pairs; for robust, exo_pair, aot, aot_unpaired.
        ld_alpha: weight of the tokens by which one answer is longer than the other, 0 to 1 (Liu et al. 2024, LD-DPO);
            None weights all the same.
        precompute_ref_log_probs: ask the reference once, before training, and then let it go from memory.
    """

    learning_rate: float = 1e-6
    beta: float = 0.1
    reference: str = ""
    loss_type: tuple[str, ...] = ("sigmoid", "sft")
    loss_weights: tuple[float, ...] | None = None
    soft_labels: bool = False
    label_smoothing: float = 0.0
    ld_alpha: float | None = None
    precompute_ref_log_probs: bool = False
