"""PPO's losses, summed over tokens and divided by a count that is given: micro-batches then add up to the whole."""

from torch import Tensor


def policy_loss(new: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float, count: float) -> Tensor:
    """The clipped surrogate (Schulman et al. 2017, equation 7), as a loss.

    Args:
        new, old: log-probabilities of the tokens under the policy and under that which sampled them, (rows, tokens).
        mask: true for the tokens of an answer.
        count: tokens of the whole mini-batch, over all micro-batches and processes.
    """
    ratio = (new - old).exp()
    loss = (-advantages * ratio).maximum(-advantages * ratio.clamp(1 - clip, 1 + clip))
    return (loss * mask).sum() / count


def value_loss(new: Tensor, old: Tensor, returns: Tensor, mask: Tensor, clip: float, count: float) -> Tensor:
    """Half the squared error, of the worse of the value and the value kept near the old one.

    Args:
        new, old: values of the states before the tokens, (rows, tokens), now and when they were sampled.
        clip: how far a value moves from the old one before it stops to count.
    """
    near = new.clamp(old - clip, old + clip)
    loss = (new - returns).square().maximum((near - returns).square())
    return 0.5 * (loss * mask).sum() / count


def clipped_share(new: Tensor, old: Tensor, mask: Tensor, clip: float) -> Tensor:
    """How many tokens' ratios are outside the clip range; a sum, not yet a share."""
    ratio = (new - old).exp()
    return (((ratio - 1).abs() > clip) & mask).sum()
