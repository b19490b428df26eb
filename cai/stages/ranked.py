"""Scored answers → one row a prompt with all of them and their scores, the best first, as RRHF ranks them (Yuan et al. 2023)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cai.data.clean import Cleaner
from cai.data.dataset import RankedRow
from cai.stages.scored import candidates, completion
from cai.store.identity import content_key
from cai.store.rows import Drop, Scored


@dataclass(frozen=True, slots=True)
class Ranked:
    """The ``ranked`` block.

    Attributes:
        truncated: "drop" or "keep" answers that were cut off at the token limit.
        test: share of prompts on the test side.
        decontaminate, ngram: as in ``sft_set``.
    """

    truncated: str = "drop"
    test: float = 0.1
    decontaminate: tuple[str, ...] = ()
    ngram: int = 13


def ranked(rows: Iterable[Scored], want: Ranked, counts: Counter[str]) -> Iterator[list[RankedRow] | Drop]:
    """The ranking of each group, or why it gives none; a group of equal scores says nothing of an order.

    Args:
        counts: gains the answers left out that could not be scored or were cut off.
    """
    cleaner = Cleaner("none", 1.0, want.decontaminate, want.ngram)
    for row in rows:
        answers = candidates(row, want.truncated, counts)
        if cleaner.contaminated(row.messages):
            yield Drop(row.id, "contaminated")
        elif len(answers) < 2:
            yield Drop(row.id, "one_answer_left")
        elif answers[0].score == answers[-1].score:
            yield Drop(row.id, "equal_scores")
        else:
            example: RankedRow = {
                "prompt": list(row.messages),
                "completions": [completion(each.draft) for each in answers],
                "scores": [each.score for each in answers],
                "id": row.id,
                "track": row.track,
                "prompt_id": content_key(row.prompt),
            }
            yield [example]
