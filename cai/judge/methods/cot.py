"""Reasoning first, then the letters' probabilities (Lee et al. 2023, section 2.1.2; Bai et al. 2022, section 4.1).

One reasoning is written greedily. With ``samples: k``, k are drawn at a temperature, each gets a verdict of its own, and
the k verdicts are averaged; Lee et al. found that this lowered agreement with people (76.2% at 0.3, 72.8% at 1, 78.0%
greedy), so one is the default.
"""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.votes import begun, shown, style, verdict
from cai.judge.settings import Judging
from cai.models.types import Request
from cai.store.rows import Pair, Status, Vote
from constitution import judging, read
from constitution.model import Principle
from constitution.turns import Rendered


async def cot(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote for each reasoning in each order."""
    votes = []
    for order in orders:
        vote = begun(principle, order, want, ask)
        asked = judging.judgment(ask.constitution, principle, row.messages, shown(row, order), style(want, ask, True))
        reply = await ask(_reasoning(asked, want, vote.seed))
        for text, finish in zip(reply.texts, reply.finishes, strict=True):
            vote = replace(vote, rationale=text.strip())
            status = _unusable(vote.rationale, finish)
            begin = f"{vote.rationale}\n\n{judging.ANSWER_BEGINS}"
            votes.append(replace(vote, status=status) if status else await verdict(vote, asked, begin, want, ask))
    return votes


def _reasoning(asked: Rendered, want: Judging, seed: int) -> Request:
    temperature = want.temperature if want.temperature is not None else 0.0 if want.samples == 1 else 1.0
    stop = (*asked.stop, "The answer is")
    return Request(asked.messages, asked.prompt, want.samples, want.max_tokens, temperature, stop=stop, seed=seed)


def _unusable(rationale: str, finish: str) -> Status | None:
    if finish == "thinking":
        return "truncated"
    if not rationale:
        return "unparsed"
    if finish == "content_filter" or read.is_refusal(rationale):
        return "refused"
    return None if finish == "stop" else "truncated"
