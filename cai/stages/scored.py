"""What the sets made from scores share: which scored answers can be learnt from, and what a completion looks like."""

from collections import Counter
from typing import NamedTuple

from cai.data.endings import cut
from cai.store.rows import Draft, Scored


class Candidate(NamedTuple):
    """A scored answer with its place in the group."""

    score: float
    number: int
    draft: Draft


def candidates(row: Scored, truncated: str, counts: Counter[str]) -> list[Candidate]:
    """The answers of a row that have a score, the best first; equal scores stay in their order.

    Args:
        truncated: "drop" answers cut off at the token limit, from which a model learns never to stop, or "keep" them.
        counts: gains the answers left out, by reason.
    """
    answers = []
    for number, (score, draft) in enumerate(zip(row.scores, row.answers, strict=True)):
        if score is None:
            counts["unparsed_answers"] += 1
        elif reason := cut(draft, truncated):
            counts["truncated_answers" if reason == "truncated" else reason] += 1
        else:
            answers.append(Candidate(score, number, draft))
    return sorted(answers, key=lambda each: -each.score)


def completion(draft: Draft) -> list[dict[str, str]]:
    """An answer as a list of one message."""
    return [{"role": "assistant", "content": draft.text}]
