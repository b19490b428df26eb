"""Several reward models as one: each scores the conversation, and one of four rules makes one score of theirs.

- ``weighted``: Σ w·r / Σ w; ``mean`` is the same with equal weights.
- ``minimum``: the least of them; the weights say nothing.
- ``safety_first``: the safety model's score where σ of it is below the threshold or the prompt is of the track redteam, else
  the weighted mean of the others (Touvron et al. 2023, section 3.2.3; they ask whether a prompt is from the safety
  set, and whiten the result).

``spread`` subtracts so many standard deviations of the members: what they disagree on is not to be exploited (Coste et al.
2023, uncertainty-weighted optimisation; they subtract a multiple of the variance, and a deviation has the scores' own unit).
"""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence

from cai.models.dialect import writes_nothing
from cai.models.spec import ModelSpec
from cai.models.types import Model, Reply, Request

RULES = ("weighted", "mean", "minimum", "safety_first")
CAREFUL_TRACK = "redteam"


class Combined:
    """Reward models that are up, in the order of ``spec.rewards``."""

    format, continues = "chat", False

    def __init__(self, spec: ModelSpec, members: Sequence[Model]) -> None:
        self.spec, self.members, self.name = spec, members, spec.title
        self.concurrency = spec.concurrency or min(each.concurrency for each in members)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; only scores can be asked. A member that cannot score it leaves it without any score."""
        if not request.score:
            raise writes_nothing(self.name)
        replies = await asyncio.gather(*(each.ask(request, row_id) for each in self.members))
        roles = [each.role for each in self.spec.members]
        score = combine(
            self.spec, {role: reply.score for role, reply in zip(roles, replies, strict=True)}, request.track
        )
        return Reply(tokens_in=sum(each.tokens_in for each in replies), model=self.name, score=score)


def combine(spec: ModelSpec, scores: Mapping[str, float], track: str = "") -> float:
    """One score of several.

    Args:
        scores: role → raw score.
        track: of the prompt; empty where it is not known.
    """
    if spec.combine == "minimum":
        return min(scores.values())
    weights = dict.fromkeys(scores, 1.0) if spec.combine == "mean" else dict(spec.rewards)
    if spec.combine == "safety_first":
        safety = scores[spec.safety]
        if safety < log_odds(spec.threshold) or track == CAREFUL_TRACK:
            return safety
        del weights[spec.safety]
    total = sum(weights.values())
    middle = sum(weight * scores[role] for role, weight in weights.items()) / total
    variance = sum(weight * (scores[role] - middle) ** 2 for role, weight in weights.items()) / total
    return middle - spec.spread * math.sqrt(variance)


def log_odds(p: float) -> float:
    """The score whose σ is this probability; infinite at 0 and 1."""
    return math.log(p / (1 - p)) if 0 < p < 1 else math.copysign(math.inf, p - 0.5)


def problems(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """The key, and a sentence, for settings of a combination that do not go together."""
    if not spec.rewards:
        return
    others = [role for role, weight in spec.rewards.items() if role != spec.safety and weight > 0]
    if spec.combine == "safety_first":
        if spec.safety not in spec.rewards:
            yield "safety", f"safety_first needs to know the safety model; name one of: {', '.join(spec.rewards)}"
        elif not others:
            yield "rewards", "safety_first needs a second reward model, with a weight above 0; add one"
    elif spec.safety:
        yield "safety", f"is for combine: safety_first, and this is {spec.combine}; take it out"
    if spec.combine != "minimum" and not any(spec.rewards.values()):
        yield "rewards", "the weights are all 0; give one that is above"
    if spec.spread and spec.combine in ("minimum", "safety_first"):
        yield "spread", f"is for combine: weighted or mean, and this is {spec.combine}; take it out"
