"""The seeded choice of principles for a row.

Bai et al. 2022, section 3.1: one principle is drawn at every step, uniformly, independently, with replacement; section
4.1 draws one for each comparison ("ensembling" over principles is across comparisons, not within one).
"""

from random import Random

from constitution.model import Constitution, Principle


def for_revision(constitution: Constitution, rng: Random) -> Principle:
    """The principle of one critique-revision step."""
    return rng.choice(constitution.principles)


def for_judgment(constitution: Constitution, rng: Random) -> Principle:
    """The principle of one comparison, among those with a judgment question.

    Raises:
        ValueError: no principle has one.
    """
    judging = [principle for principle in constitution.principles if principle.judgment]
    if not judging:
        raise ValueError(f'no principle of the constitution "{constitution.name}" has a judgment question')
    return rng.choice(judging)
