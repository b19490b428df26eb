"""Chains → the SL-CAI dataset: red-team prompts with their revisions, helpful prompts with their answers.

Bai et al. 2022, section 3.2, train on the revisions of all rounds; ``revisions: last`` takes only the last. A revision
that was cut off is left out, because a model learns from it never to stop.

A red-team prompt none of whose revisions was kept gives no example, whether a judge found none better or the critique found
nothing wrong: that critique is the word of the model that wrote the answer, and what it overlooks is what this set must not
teach. Prompts whose first answers are to be learnt belong on the track helpful.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cai.data.clean import CHECKS, USUAL, Cleaner, Exchange
from cai.data.dataset import CompletionRow
from cai.data.endings import cut
from cai.store.identity import content_key
from cai.store.ledger import ADDED
from cai.store.rows import Chain, Drop

STOOD = {"fine": "found_fine", "not_better": "not_better"}
"""Flag of a draft that is no revision → the reason that is counted."""


@dataclass(frozen=True, slots=True)
class SftSet:
    """The ``sft_set`` block.

    Attributes:
        revisions: "all" rounds, or the "last".
        truncated: "drop" or "keep" answers that were cut off at the token limit.
        test: share of prompts on the test side.
        hygiene: the checks that leave an answer out, see ``cai.data.clean.CHECKS``.
        dedupe: "exact" (the same conversation), "near" (also an answer like another's, by MinHash) or "none".
        similarity: from which two answers are near copies.
        decontaminate: prompt files of evaluations, whose prompts must not be learnt from.
        ngram: words that a prompt shares with one of those to be left out; 13 in Brown et al. 2020, appendix C.
        thinking: "drop" or "keep" what was thought before an answer; a revision's thought speaks of the critique before it.
    """

    revisions: str = "all"
    truncated: str = "drop"
    test: float = 0.1
    hygiene: tuple[str, ...] = USUAL
    dedupe: str = "exact"
    similarity: float = 0.8
    decontaminate: tuple[str, ...] = ()
    ngram: int = 13
    thinking: str = field(default="drop", metadata=ADDED)


def sft_set(rows: Iterable[Chain], want: SftSet, counts: Counter[str]) -> Iterator[list[CompletionRow] | Drop]:
    """The examples of each chain, or why it gives none.

    Args:
        counts: gains the drafts left out, by reason.
    """
    cleaner = Cleaner(want.dedupe, want.similarity, want.decontaminate, want.ngram)
    for row in rows:
        same = [STOOD[flag] for draft in row.drafts for flag in draft.flags if flag in STOOD]
        wrong = {number: _wrong(row, number, want, cleaner) for number in _numbers(row, want)}
        counts.update(f"{reason}_drafts" for reason in (*same, *wrong.values()) if reason)
        examples = [_example(row, number, want) for number, reason in wrong.items() if not reason]
        yield examples or Drop(row.id, next(iter((*wrong.values(), *same)), "no_revision"))


def _numbers(row: Chain, want: SftSet) -> tuple[int, ...]:
    """The numbers of the drafts that may be examples: revisions that were kept, and the answer to a helpful prompt."""
    numbers = row.revisions if row.track == "redteam" else (0, *row.revisions)
    return numbers[-1:] if want.revisions == "last" else numbers


def _wrong(row: Chain, number: int, want: SftSet, cleaner: Cleaner) -> str:
    """Why a draft is left out; empty where nothing is wrong with it."""
    draft = row.drafts[number]
    if reason := cut(draft, want.truncated):
        return reason
    former = row.drafts[number - 1].text if number else ""
    exchange = Exchange(row.messages, draft.text, former, draft.flags, row.language)
    reason = next((name for name in want.hygiene if CHECKS[name](exchange)), "")
    return reason or ("contaminated" if cleaner.contaminated(row.messages) else cleaner.wrong(exchange))


def _example(row: Chain, number: int, want: SftSet) -> CompletionRow:
    draft = row.drafts[number]
    # Under the name by which TRL and chat templates know it.
    thought = {"reasoning_content": draft.thinking} if want.thinking == "keep" and draft.thinking else {}
    # Rounds that left the answer as it was are no revisions of it.
    principles = [row.drafts[each].principle for each in row.revisions if each <= number]
    return {
        "prompt": list(row.messages),
        "completion": [{"role": "assistant", "content": draft.text, **thought}],
        "id": f"{row.id}/{number}",
        "source": row.source,
        "track": row.track,
        "principles": principles,
        "revision": len(principles),
        "prompt_id": content_key(row.prompt),
    }
