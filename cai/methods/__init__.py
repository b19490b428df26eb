"""How a judge reads a comparison: each method is a file that reads like its paper, and returns votes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cai.flow import Ask
from cai.methods.alone import Alone
from cai.methods.cot import cot
from cai.methods.critique import critique
from cai.methods.debate import debate
from cai.methods.logprob import logprob
from cai.methods.people import people
from cai.methods.propositions import checked, propositions
from cai.methods.rank import rank
from cai.methods.reward import reward, rewarded
from cai.methods.rules import ruled, rules
from cai.methods.score import rated, score
from cai.rows import Pair, Vote
from constitution.model import Principle

if TYPE_CHECKING:
    from cai.stages.label import Label

NO_CLAMP = (0.0, 1.0)
REASONED = (0.4, 0.6)
"""After reasoning, probabilities sit near 0 or 1; Bai et al. 2022 clamp them so (section 4.1)."""


@dataclass(frozen=True, slots=True)
class Method:
    """One line of the table.

    Attributes:
        votes: (pair, principle, orders, want, ask) → votes.
        by: what a principle must have to be judged by: "judgment", "propositions" or, where no principle is shown, "".
        clamp: bounds of the label unless the recipe says otherwise.
        asks: what kind of model is asked: "text", "reward", or "" for none.
        alone: the score of one answer by itself, see ``cai.methods.alone.Alone``; None for methods that need two. The votes
            of such a method, the ``score`` stage and rewards during training all go through it.
    """

    votes: Callable[[Pair, Any, Sequence[str], "Label", Ask], Awaitable[list[Vote]]]
    by: str = "judgment"
    clamp: tuple[float, float] = NO_CLAMP
    asks: str = "text"
    alone: Alone | None = None

    def judges_by(self, principle: Principle) -> bool:
        """Whether a principle can be judged by."""
        return bool(getattr(principle, self.by))


METHODS: dict[str, Method] = {
    # Two answers beside each other.
    "logprob": Method(logprob),
    "cot": Method(cot, clamp=REASONED),
    "debate": Method(debate, clamp=REASONED),
    "critique": Method(critique, clamp=REASONED),
    # Each answer alone.
    "score": Method(score, alone=rated),
    "propositions": Method(propositions, by="propositions", alone=checked),
    "reward": Method(reward, by="", asks="reward", alone=rewarded),
    "rules": Method(rules, by="", asks="", alone=ruled),
    # Several answers at once.
    "rank": Method(rank),
    # No judge: what people said of pairs that came with it.
    "people": Method(people, by="", asks=""),
}
