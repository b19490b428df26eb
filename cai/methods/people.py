"""What people said, taken for a vote: P(a) is the share of them who found a the better.

For pairs that came with people's labels, so that a reward model or a policy can be trained on those as on a judge's.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cai.flow import Ask
from cai.methods.voting import ALONE, decided
from cai.rows import Pair, Vote

if TYPE_CHECKING:
    from cai.stages.label import Label


async def people(row: Pair, principle: None, orders: Sequence[str], want: "Label", ask: Ask) -> list[Vote]:
    """One vote for all of them; none of a pair that nobody compared."""
    vote = Vote("", ALONE, "people", "people", 0, "unparsed")
    return [decided(vote, sum(row.people) / len(row.people)) if row.people else vote]
