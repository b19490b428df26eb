"""How far the policy is from its reference, and the coefficient that holds it there."""

from dataclasses import dataclass

from torch import Tensor


def tokenwise(policy: Tensor, reference: Tensor) -> Tensor:
    """log π − log π_ref of sampled tokens: its mean over samples is the KL divergence.

    Each can be below zero. Where their mean and the KL over all tokens part, the tokens were not sampled from the policy whose
    probabilities are taken.
    """
    return policy - reference


def over_all_tokens(policy: Tensor, reference: Tensor) -> Tensor:
    """The KL divergence before each token, over all tokens that could have come: no sample of it is below zero.

    Args:
        policy, reference: log-probabilities of every token, shape (…, vocabulary).

    Returns:
        Nats, shape (…).
    """
    # A token that cannot come adds nothing, where the product would be no number.
    ratio = (policy - reference).masked_fill(policy.isneginf(), 0)
    return (policy.exp() * ratio).sum(-1)


def never_negative(policy: Tensor, reference: Tensor) -> Tensor:
    """Another estimate with the same mean, e^−d − 1 + d for d = log π − log π_ref, that no sample makes negative.

    Schulman 2020, "Approximating KL divergence" (k3).
    """
    log_ratio = policy - reference
    return (-log_ratio).exp() - 1 + log_ratio


@dataclass(slots=True)
class Coefficient:
    """The weight of the KL in the reward: fixed, or adapted to a target (Ziegler et al. 2019, section 2.2).

    Attributes:
        value: the weight now.
        target: the KL of an answer, in nats, to be held; None leaves the weight as it is.
        horizon: answers over which the weight is adapted.
    """

    value: float
    target: float | None = None
    horizon: int = 10_000

    def adapt(self, kl: float, answers: int) -> None:
        """Move the weight after a batch whose answers had this KL on average."""
        if self.target:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.value *= 1 + error * answers / self.horizon
