"""The judge reads a critique of each answer before its verdict.

A critique is what the supervised stage asks for (Bai et al. 2022, section 3.1), of each answer alone under the same
principle, so it cannot favour a position; the two are written once and shown in both orders.
"""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.votes import begun, shown, style, verdict, written
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote
from constitution import ask as asking
from constitution import judging
from constitution.model import Principle


async def critique(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote in each order; its rationale holds both critiques."""
    texts = []
    for answer in (row.a.text, row.b.text):
        question = asking.critique(ask.constitution, principle, row.messages, answer, style(want, ask))
        texts.append(await written(question, want, ask))
    (of_a, wrong_a), (of_b, wrong_b) = texts
    votes = []
    for order in orders:
        vote = replace(begun(principle, order, want, ask), rationale=f"Of a: {of_a}\n\nOf b: {of_b}")
        if wrong := wrong_a or wrong_b:
            votes.append(replace(vote, status=wrong))
            continue
        critiques = (of_a, of_b) if order == "ab" else (of_b, of_a)
        pair = row.messages, shown(row, order)
        question = judging.judgment_with_critiques(ask.constitution, principle, pair, critiques, style(want, ask))
        votes.append(await verdict(vote, question, want, ask))
    return votes
