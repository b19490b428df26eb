"""Scored answers → fine-tuning data of the best of them: best-of-n, or rejection sampling (Touvron et al. 2023, 3.2.3).

Its columns are those of ``sft_set``. A group does not tell its prompt's file, so ``source`` is the model that answered.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cai.data.clean import Cleaner
from cai.data.dataset import CompletionRow
from cai.stages.scored import Candidate, candidates, completion
from cai.store.identity import content_key
from cai.store.rows import Drop, Scored


@dataclass(frozen=True, slots=True)
class Best:
    """The ``best`` block.

    Attributes:
        keep: how many answers of a group, from the best down.
        least: the lowest score that is kept, in the method's unit; None sets no bar.
        truncated: "drop" or "keep" answers that were cut off at the token limit.
        test: share of prompts on the test side.
        decontaminate, ngram: as in ``sft_set``.
    """

    keep: int = 1
    least: float | None = None
    truncated: str = "drop"
    test: float = 0.1
    decontaminate: tuple[str, ...] = ()
    ngram: int = 13


def best(rows: Iterable[Scored], want: Best, counts: Counter[str]) -> Iterator[list[CompletionRow] | Drop]:
    """The examples of each group, or why it gives none.

    Args:
        counts: gains the answers left out that could not be scored or were cut off.
    """
    cleaner = Cleaner("none", 1.0, want.decontaminate, want.ngram)
    for row in rows:
        answers = candidates(row, want.truncated, counts)
        choices = [each for each in answers if want.least is None or each.score >= want.least][: want.keep]
        if cleaner.contaminated(row.messages):
            yield Drop(row.id, "contaminated")
        elif not choices:
            yield Drop(row.id, "below_least" if answers else "truncated")
        else:
            yield [_example(row, each) for each in choices]


def _example(row: Scored, answer: Candidate) -> CompletionRow:
    return {
        "prompt": list(row.messages),
        "completion": completion(answer.draft),
        "id": f"{row.id}/{answer.number}",
        "source": answer.draft.model,
        "track": row.track,
        "principles": [row.principle] if row.principle else [],
        "revision": 0,
        "prompt_id": content_key(row.prompt),
    }
