"""The option letters' probabilities at once, without reasoning (Bai et al. 2022, section 4.1)."""

from collections.abc import Sequence

from cai.flow.ask import Ask
from cai.judge.methods.votes import begun, shown, style, verdict
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote
from constitution import judging
from constitution.model import Principle


async def logprob(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote in each order: P(A) / (P(A) + P(B)) as the next token after "The answer is: (", or the share of samples."""
    votes = []
    for order in orders:
        vote = begun(principle, order, want, ask)
        asked = judging.judgment(ask.constitution, principle, row.messages, shown(row, order), style(want, ask))
        votes.append(await verdict(vote, asked, want, ask))
    return votes
