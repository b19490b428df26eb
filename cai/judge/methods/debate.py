"""Each answer is spoken for in turn, then the judge decides (after Irving et al. 2018, one turn for each side).

The second speaker has read the first. The judge plays both sides itself, so what is tested is the arguments, not the
arguers. The case for (A) always comes first; both orders even that out.
"""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.votes import begun, shown, style, verdict, written
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote
from constitution import judging
from constitution.model import Principle
from constitution.naming import naming


async def debate(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote in each order; its rationale holds both cases."""
    return [await _vote(row, principle, order, want, ask) for order in orders]


async def _vote(row: Pair, principle: Principle, order: str, want: Judging, ask: Ask) -> Vote:
    vote = begun(principle, order, want, ask)
    put, named = style(want, ask), naming(ask.constitution, want.names)
    for_first, for_other = (f"For {named.marked(each)}: " for each in "AB")
    question = judging.case(ask.constitution, principle, row.messages, shown(row, order), put)
    first, wrong = await written(question, want, ask)
    if wrong:
        return replace(vote, rationale=for_first + first, status=wrong)
    question = judging.other_case(ask.constitution, question, first, put)
    second, wrong = await written(question, want, ask)
    vote = replace(vote, rationale=f"{for_first}{first}\n\n{for_other}{second}")
    if wrong:
        return replace(vote, status=wrong)
    question = judging.weighing(ask.constitution, question, second, put)
    return await verdict(vote, question, want, ask)
