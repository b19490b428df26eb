"""How far what samples the answers is from the policy that learns from them, where the two are not one computation.

Even with the same weights a server computes a little differently; tokens are weighted for that. A server that has not the policy's
weights is another matter: what is learnt from another's answers is not so, and the reward falls while nothing seems wrong.
"""

import math
from collections.abc import Mapping

from torch import Tensor

from cai.train.rl import kl

MOST_WEIGHT = 2.0
"""Of a token that another computation drew."""
MOST_APART = math.log(2.0)
"""Nats a token, in the mean over an answer, beyond which it is no sample of the policy."""
NEARER = 4.0
"""So many times nearer to the reference than to the policy, answers are the reference's own."""
ROUNDING = 1e-6
"""Nats a token that float32 makes of equal weights."""


def importance(policy: Tensor, sampler: Tensor) -> Tensor:
    """Importance weights π/π_drawn of tokens, truncated (Ionides 2008; for RLHF, Yao et al. 2025), shape (rows, answer)."""
    return (policy - sampler).exp().clamp_max(MOST_WEIGHT)


def near(policy: Tensor, sampler: Tensor, mask: Tensor) -> Tensor:
    """Whether each answer may be a sample of the policy, shape (rows,): the geometric mean of π/π_drawn is between 1/2 and 2.

    Args:
        policy, sampler: log-probabilities of the tokens, shape (rows, answer).
        mask: true for the tokens of an answer.
    """
    ratio = (policy - sampler).masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp_min(1)
    return ratio.abs() <= MOST_APART


def sums(policy: Tensor, reference: Tensor, sampler: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """What processes add up for ``figures``; log-probabilities of shape (rows, answer)."""

    def total(other: Tensor) -> Tensor:
        return kl.never_negative(sampler, other).masked_fill(~mask, 0).sum()

    return {
        "policy": total(policy),
        "reference": total(reference),
        "tokens": mask.sum(),
        "answers": mask.any(1).sum(),
        "far": (~near(policy, sampler, mask)).sum(),
    }


def figures(totals: Mapping[str, float]) -> dict[str, float]:
    """By their names in ``metrics.jsonl``: the KL of what drew the answers, in nats.

    ``drawn`` is that to the policy, a token, ``drawn_start`` that to the reference, from which servers begin, ``kl_drawn`` that to
    the policy, an answer; ``far`` is the share of answers that are left out, see ``near``.
    """
    tokens, answers = max(totals["tokens"], 1.0), max(totals["answers"], 1.0)
    return {
        "drawn": totals["policy"] / tokens,
        "drawn_start": totals["reference"] / tokens,
        "kl_drawn": totals["policy"] / answers,
        "far": totals["far"] / answers,
    }


def check(figures: Mapping[str, float], most: float | None) -> None:
    """See that the answers of a step are the policy's.

    Args:
        figures: of the step, before anything is learnt from it.
        most: ``guards.drawn.stop``; None bounds nothing.

    Raises:
        ValueError: they are not.
    """
    if "drawn" not in figures:
        return
    drawn, start = figures["drawn"], figures["drawn_start"]
    if drawn > max(NEARER * start, ROUNDING):
        raise ValueError(
            f"rollouts: the servers do not take the policy's weights: answers are {drawn:.2g} nats a token from the policy, and "
            f"{start:.2g} from the weights that it began with; see their logs, then run the same command again"
        )
    if most is not None and not drawn <= most:
        raise ValueError(
            f"rollouts: the servers' answers are {drawn:.2g} nats a token from the policy, over guards.drawn.stop ({most:g}); "
            "see their logs, then run the same command again"
        )
