"""Advantages of tokens: generalised advantage estimation, whitening, and how much of the returns the critic explains."""

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, equation 16), answer by answer.

    An answer's last token ends its episode, cut off or not: what comes after it is worth nothing.

    Args:
        rewards, values: shape (rows, tokens); the value is that of the state before the token is chosen.
        mask: true for the tokens of an answer, which stand first in their row.

    Returns:
        Advantages and returns (advantage + value), zero outside the mask.
    """
    advantages, later = torch.zeros_like(rewards), torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        following = values[:, t + 1] * mask[:, t + 1] if t + 1 < rewards.shape[1] else torch.zeros_like(later)
        surprise = rewards[:, t] + gamma * following - values[:, t]
        later = (surprise + gamma * lam * later) * mask[:, t]
        advantages[:, t] = later
    return advantages, (advantages + values) * mask


def moments(values: Tensor, mask: Tensor) -> Tensor:
    """Count, sum and sum of squares of the masked values: what processes add up before they take a mean."""
    inside = values[mask].double()
    return torch.stack([torch.tensor(float(inside.numel()), device=values.device), inside.sum(), inside.square().sum()])


def mean_std(total: Tensor) -> tuple[float, float]:
    """The mean and the standard deviation (of a population) behind ``moments``."""
    count, first, second = total.tolist()
    if not count:
        return 0.0, 0.0
    mean = first / count
    return mean, max(second / count - mean**2, 0.0) ** 0.5


def whiten(values: Tensor, mask: Tensor, total: Tensor) -> Tensor:
    """Values with mean 0 and standard deviation 1 over all processes, zero outside the mask.

    Args:
        total: the ``moments`` of all processes.
    """
    mean, std = mean_std(total)
    return (values - mean) / (std + 1e-8) * mask


def explained_variance(returns: Tensor, errors: Tensor) -> float:
    """1 − Var(return − value) / Var(return): 1 for a critic that knows, 0 for one that knows nothing.

    Args:
        returns, errors: the ``moments`` of the returns, and of the returns less the values.
    """
    spread = mean_std(returns)[1]
    return 1 - (mean_std(errors)[1] / spread) ** 2 if spread else 0.0
