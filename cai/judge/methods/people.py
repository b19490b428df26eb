"""What people said, taken for a vote: P(a) is the share of them who found a the better.

For pairs that came with people's labels, so that a reward model or a policy can be trained on those as on a judge's.
"""

from collections.abc import Sequence

from cai.flow.ask import Ask
from cai.judge.methods.votes import ALONE, decided
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote


async def people(row: Pair, principle: None, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote for all of them; none of a pair that nobody compared."""
    vote = Vote("", ALONE, "people", "people", 0, "unparsed", kind="people")
    return [decided(vote, sum(row.people) / len(row.people)) if row.people else vote]
