"""Scored answers → good and bad ones, each by itself, as KTO takes them (Ethayarajh et al. 2024).

A mark has to be earned in absolute terms: the better of two bad answers is still a bad one. So there are two thresholds,
and what lies between them is in a dead band, left out and counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cai.data.clean import Cleaner
from cai.data.dataset import MarkedRow
from cai.stages.scored import Candidate, candidates, completion
from cai.store.identity import content_key
from cai.store.rows import Drop, Scored


@dataclass(frozen=True, slots=True)
class Unpaired:
    """The ``unpaired`` block.

    Attributes:
        good: the lowest score of a good answer, in the method's unit.
        bad: the highest score of a bad one; below ``good``.
        truncated: "drop" or "keep" answers that were cut off at the token limit.
        test: share of prompts on the test side.
        decontaminate, ngram: as in ``sft_set``.
    """

    good: float
    bad: float
    truncated: str = "drop"
    test: float = 0.1
    decontaminate: tuple[str, ...] = ()
    ngram: int = 13


def unpaired(rows: Iterable[Scored], want: Unpaired, counts: Counter[str]) -> Iterator[list[MarkedRow] | Drop]:
    """The marked answers of each group, or why it gives none.

    Args:
        counts: gains the good and the bad answers, those in the dead band, and those not scored or cut off.
    """
    cleaner = Cleaner("none", 1.0, want.decontaminate, want.ngram)
    for row in rows:
        if cleaner.contaminated(row.messages):
            yield Drop(row.id, "contaminated")
            continue
        answers = candidates(row, want.truncated, counts)
        marked = [each for each in answers if not want.bad < each.score < want.good]
        counts["dead_band"] += len(answers) - len(marked)
        counts["good"] += sum(each.score >= want.good for each in marked)
        counts["bad"] += sum(each.score <= want.bad for each in marked)
        examples = [_example(row, each, each.score >= want.good) for each in marked]
        yield examples or Drop(row.id, "dead_band" if answers else "truncated")


def _example(row: Scored, answer: Candidate, good: bool) -> MarkedRow:
    return {
        "prompt": list(row.messages),
        "completion": completion(answer.draft),
        "label": good,
        "id": f"{row.id}/{answer.number}",
        "track": row.track,
        "prompt_id": content_key(row.prompt),
    }
