"""Rounds: answer, judge and train again with the newest policy, as long as it gets better (Touvron et al. 2023, section 3.2.3).

A block of rounds is no step itself: each of its rounds is a folder of ordinary steps, then a comparison of its policy with
the one before, then a verdict; ``cai.recipe.rounds`` makes them. What is here are the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Rounds:
    """The ``rounds`` block.

    Attributes:
        init: the role of the policy that the first round begins with.
        stages: the steps of a round, the training of its policy last. Their models may be ``newest`` or ``previous``, the
            policy that the round before made, and ``initial``, which is ``init``.
        evaluate: how a round's policy is compared with the one before: the ``judge``, and other keys of ``evaluate``.
        times: rounds at most.
        until: the bounds that a round has to keep, see ``Bounds``.
        same_judge: says once more that the judge of the comparison also labels.
    """

    init: str
    stages: tuple[Mapping[str, Any], ...]
    evaluate: Mapping[str, Any]
    times: int = 3
    until: Mapping[str, Any] = field(default_factory=dict)
    same_judge: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """When the rounds end: with the first round that leaves a bound; None is no bound.

    Attributes:
        win_rate: the share of wins over the policy before, among decided comparisons, must be above this. It is the share
            itself, not the end of its interval, that counts.
        kl: the most that the policy may be from the initial one, in nats an answer.
        length: its answers' mean words, over those of the initial policy's answers, must be within these.
    """

    win_rate: float | None = 0.5
    kl: float | None = None
    length: tuple[float, float] | None = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the last step of a round decides by.

    Attributes:
        models: roles: the initial policy, and the round's.
        against: the role of the policy before.
        first: the first round's comparison, which has the initial policy's answers.
    """

    models: tuple[str, str]
    against: str
    first: str
    until: Bounds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the rounds end with: the policy of the last round that was accepted.

    Attributes:
        base: the role of the initial policy, which stays where no round was accepted.
        verdicts: the names of the rounds' last steps.
    """

    base: str
    verdicts: tuple[str, ...]
