"""A reward model on AI preferences, with soft labels (Bai et al. 2022, section 4.1; Lee et al. 2023, section 2.2.1)."""

from dataclasses import dataclass

from cai.stages.train import Train


@dataclass(frozen=True, slots=True)
class Reward(Train):
    """The ``reward`` block.

    Attributes:
        center_rewards_coefficient: pulls rewards towards a mean of zero (Eisenstein et al. 2023).
        soft_labels: train on the label's probability; false trains on the hard choice.
        margin: with hard labels, the least distance wanted between the two rewards, by the column of that name (Touvron
            et al. 2023, section 3.2.2).
        ensemble: models trained from different seeds, which the role then means together (Coste et al. 2023): their own
            steps are called reward, reward-2, reward-3 and so on.
    """

    center_rewards_coefficient: float | None = 0.01
    soft_labels: bool = True
    margin: bool = False
    ensemble: int = 1
