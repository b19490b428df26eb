"""How a judge reads a comparison: each method is a file that reads like its paper, and returns votes.

To add one: a file with ``async (pair, principle, orders, want, ask) → votes`` built from ``votes.py``'s pieces (and, where it
looks at one answer alone, a ``ScoreOne``), a line in ``METHODS`` below, and its name in the schema's list of methods.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cai.flow.ask import Ask
from cai.judge.methods.cot import cot
from cai.judge.methods.critique import critique
from cai.judge.methods.debate import debate
from cai.judge.methods.logprob import logprob
from cai.judge.methods.people import people
from cai.judge.methods.propositions import propositions, truth_score
from cai.judge.methods.rank import rank
from cai.judge.methods.reward import reward, reward_of
from cai.judge.methods.rules import rule_score, rules
from cai.judge.methods.score import rated, score
from cai.judge.methods.single import ScoreOne
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote
from constitution.model import Principle

NO_CLAMP = (0.0, 1.0)
REASONED = (0.4, 0.6)
"""After reasoning, probabilities sit near 0 or 1; Bai et al. 2022 clamp them so (section 4.1)."""


@dataclass(frozen=True, slots=True)
class Method:
    """One line of the table.

    Attributes:
        votes: (pair, principle, orders, want, ask) → votes.
        needs: what a principle must have to be judged by: "judgment", "propositions" or, where no principle is shown, "".
        clamp: bounds of the label unless the recipe says otherwise.
        model_kind: what kind of model is asked: "text", "reward", or "" for none.
        score_one: the score of one answer by itself, see ``cai.judge.methods.single.ScoreOne``; None for methods that need
            two. The votes of such a method, the ``score`` stage and rewards during training all go through it.
    """

    votes: Callable[[Pair, Any, Sequence[str], Judging, Ask], Awaitable[list[Vote]]]
    needs: str = "judgment"
    clamp: tuple[float, float] = NO_CLAMP
    model_kind: str = "text"
    score_one: ScoreOne | None = None

    def judges_by(self, principle: Principle) -> bool:
        """Whether a principle can be judged by."""
        return bool(getattr(principle, self.needs))


METHODS: dict[str, Method] = {
    # Two answers beside each other.
    "logprob": Method(logprob),
    "cot": Method(cot, clamp=REASONED),
    "debate": Method(debate, clamp=REASONED),
    "critique": Method(critique, clamp=REASONED),
    # Each answer alone.
    "score": Method(score, score_one=rated),
    "propositions": Method(propositions, needs="propositions", score_one=truth_score),
    "reward": Method(reward, needs="", model_kind="reward", score_one=reward_of),
    "rules": Method(rules, needs="", model_kind="", score_one=rule_score),
    # Several answers at once.
    "rank": Method(rank),
    # No judge: what people said of pairs that came with it.
    "people": Method(people, needs="", model_kind=""),
}
BESIDE = ("logprob", "cot", "debate", "critique")
"""The methods that show two answers beside each other, which have names there."""
