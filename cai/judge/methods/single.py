"""One answer looked at by itself: what the methods that need no second answer have in common.

A pairwise vote, the ``score`` stage and a reward during training all read an answer by the same function of its method.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cai.flow.ask import Ask
from cai.judge.methods import choices
from cai.judge.methods.choices import Distribution
from cai.store.rows import Message
from cai.store.votes import STRUCTURED


def least(distributions: Sequence[Distribution]) -> Distribution:
    """The distribution whose options held least together, as it stands for several; of them any may have been structured."""
    found = min(distributions, key=lambda each: each.mass)
    structured = max(each.structured for each in distributions)
    return replace(found, kind=STRUCTURED, structured=structured) if structured else found


class Prompted(Protocol):
    """What an answer answers."""

    @property
    def messages(self) -> Sequence[Message]: ...

    @property
    def track(self) -> str: ...


class Wanted(choices.Wanted, Protocol):
    """What of a stage's block decides how an answer is read.

    Attributes:
        rules: detector → weight, for ``rules``; its own where none are given.
    """

    @property
    def rules(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one answer.

    Attributes:
        value: its score; None where it cannot be read.
        least: of the distributions that it was read from the one whose options held least.
        parts: what the score is made of: rating → its probability, or the probability of each proposition in turn.
    """

    value: float | None
    least: Distribution
    parts: Mapping[int, float]


ScoreOne = Callable[[Prompted, str, Any, Wanted, Ask], Awaitable[float | None]]
"""(what was asked, answer, principle, want, ask) → the answer's score, or None where it cannot be read; higher is better.

Units: of ``reward`` the model's own logit, of ``score`` the expected rating from 1 to 10, of ``propositions`` and ``rules``
the weighted sum. Scores compare within one method, model and principle, and not across them. The principle is None for the
methods that show none. Raises as ``Model.ask``.
"""
