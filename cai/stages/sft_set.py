"""Chains → the SL-CAI dataset: red-team prompts with their revisions, helpful prompts with their answers.

Bai et al. 2022, section 3.2, train on the revisions of all rounds; ``revisions: last`` takes only the last. A revision
that was cut off is left out, because a model learns from it never to stop.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cai.rows import Chain, Drop


@dataclass(frozen=True, slots=True)
class SftSet:
    """The ``sft_set`` block.

    Attributes:
        revisions: "all" rounds, or the "last".
        truncated: "drop" or "keep" answers that were cut off at the token limit.
        test: share of prompts on the test side.
    """

    revisions: str = "all"
    truncated: str = "drop"
    test: float = 0.1


def sft_set(rows: Iterable[Chain], want: SftSet, counts: Counter[str]) -> Iterator[list[dict[str, Any]] | Drop]:
    """The examples of each chain, or why it gives none.

    Args:
        counts: gains the number of drafts left out as truncated.
    """
    for row in rows:
        first = 1 if row.track == "redteam" else 0
        wanted = list(enumerate(row.drafts))[first:]
        if want.revisions == "last":
            wanted = wanted[-1:]
        whole = [(number, draft) for number, draft in wanted if draft.finish != "length" or want.truncated == "keep"]
        counts["truncated_drafts"] += len(wanted) - len(whole)
        yield [_example(row, number) for number, _ in whole] or Drop(row.id, "truncated" if wanted else "no_revision")


def _example(row: Chain, number: int) -> dict[str, Any]:
    draft = row.drafts[number]
    return {
        "prompt": list(row.messages),
        "completion": [{"role": "assistant", "content": draft.text}],
        "id": f"{row.id}/{number}",
        "source": row.source,
        "track": row.track,
        "principles": [each.principle for each in row.drafts[1 : number + 1]],
        "revision": number,
        "prompt_id": row.id,
    }
