"""A trained reward model as the judge: P(a) = σ(r_a − r_b) (Bradley and Terry 1952; Lee et al. 2023, section 2.2.1).

The constitution is in the model's weights, if anywhere: no principle is shown and the vote names none.
"""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.single import Prompted, Wanted
from cai.judge.methods.votes import ALONE, begun, by_scores
from cai.judge.settings import Judging
from cai.models.types import Request
from cai.store.rows import Pair, Vote


async def reward(row: Pair, principle: None, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote, whatever the orders; its ``scores`` are the two rewards."""
    vote = replace(begun(principle, ALONE, want, ask), kind="scores")
    scores = [await reward_of(row, each.text, None, want, ask) for each in (row.a, row.b)]
    return [by_scores(vote, scores)]


async def reward_of(row: Prompted, answer: str, principle: None, want: Wanted, ask: Ask) -> float:
    """One answer's reward, the model's own logit."""
    messages = (*row.messages, {"role": "assistant", "content": answer})
    return (await ask(Request(messages, score=True, track=row.track))).score
