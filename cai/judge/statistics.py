"""Log-odds and probabilities, and how far a share that was counted can be from the truth."""

import math

Z95 = 1.959964
EDGE = 1e-6
"""Probabilities nearer to 0 or 1 than this count as this near, so that every one has log-odds."""


def logit(p: float) -> float:
    """The log-odds in nats, finite at 0 and 1 too."""
    p = min(max(p, EDGE), 1 - EDGE)
    return math.log(p / (1 - p))


def sigmoid(x: float) -> float:
    """The probability of these log-odds."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def wilson(won: float, of: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (Wilson 1927); (0, 1) where nothing was counted."""
    if of == 0:
        return 0.0, 1.0
    share, square = won / of, Z95**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z95 * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return max(0.0, middle - half), min(1.0, middle + half)
