"""Log-odds and probabilities, and how far a share that was counted can be from the truth."""

import math
from bisect import bisect_left
from functools import lru_cache
from itertools import accumulate

Z95 = 1.959964
EDGE = 1e-6
"""Probabilities nearer to 0 or 1 than this count as this near, so that every one has log-odds."""

STEPS = 4000
"""Of an integral."""


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


def share_change(gained: int, lost: int, of: int) -> tuple[float, float]:
    """The 95% interval of a share's change over the same cases (Bonett and Price 2012, adjusted Wald for paired data).

    One case is added to those that came to count and one to those that no longer do, so that where nothing moved, or all did,
    there is doubt left.

    Args:
        gained, lost: cases that count now alone, and before alone.
        of: all cases, one at least.
    """
    up, down = (gained + 1) / (of + 2), (lost + 1) / (of + 2)
    half = Z95 * math.sqrt((up + down - (up - down) ** 2) / (of + 2))
    return max(-1.0, up - down - half), min(1.0, up - down + half)


@lru_cache(maxsize=4096)  # of few samples there are few shares
def jeffreys(won: float, of: int) -> tuple[float, float]:
    """Jeffreys' 95% interval of a share of few, up to a thousand (Brown, Cai and DasGupta 2001, section 4.3).

    The quantiles of Beta(won + ½, of − won + ½); a share of 0 or 1 is an end of its own. (0, 1) where nothing was counted.
    """
    if of == 0:
        return 0.0, 1.0
    # With θ = sin²φ the density of φ has no poles: sin^2·won φ · cos^2·lost φ.
    angles = [(number + 0.5) / STEPS * math.pi / 2 for number in range(STEPS)]
    sums = list(accumulate(math.sin(each) ** (2 * won) * math.cos(each) ** (2 * (of - won)) for each in angles))
    low, high = (math.sin(angles[bisect_left(sums, share * sums[-1])]) ** 2 for share in (0.025, 0.975))
    return low if won > 0 else 0.0, high if won < of else 1.0
