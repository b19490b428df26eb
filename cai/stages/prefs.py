"""Preferences → the preference dataset, as TRL takes it.

``chosen_prob`` is the clamped label and ``chosen_prob_raw`` the judge's own probability, both that the chosen answer is
the better. ``margin`` is in steps by confidence (calibrated, where the judge is), after Llama 2 (Touvron et al. 2023,
section 3.2.2).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cai.data.clean import Cleaner
from cai.data.dataset import PreferenceRow
from cai.data.endings import cut
from cai.store.identity import content_key
from cai.store.rows import Draft, Drop, Preference

MARGINS = (0.95, 0.8, 0.65)


@dataclass(frozen=True, slots=True)
class Prefs:
    """The ``prefs`` block.

    Attributes:
        truncated: "drop" pairs in which an answer was cut off at the token limit, or "keep" them.
        thin: a probability closer than this to one half is left out, with the reason "thin_margin".
        margins: the probabilities from which a margin is 1, 2/3 and 1/3; below the last it is 0.
        test: share of prompts on the test side.
        decontaminate, ngram: as in ``sft_set``.
    """

    truncated: str = "keep"
    thin: float = 0.0
    margins: tuple[float, float, float] = MARGINS
    test: float = 0.1
    decontaminate: tuple[str, ...] = ()
    ngram: int = 13


def prefs(rows: Iterable[Preference], want: Prefs, counts: Counter[str]) -> Iterator[list[PreferenceRow] | Drop]:
    """The example of each preference that is ok, or why it gives none.

    Args:
        counts: gains the number of pairs in which the longer answer was chosen, the commonest bias of judges.
    """
    cleaner = Cleaner("none", 1.0, want.decontaminate, want.ngram)
    for row in rows:
        confidence = row.confidence
        if row.p_label is None or confidence is None:
            yield Drop(row.id, row.status)
        elif abs(confidence - 0.5) < want.thin or confidence == 0.5:
            yield Drop(row.id, "thin_margin")
        elif reason := cut(row.pair.a, want.truncated) or cut(row.pair.b, want.truncated):
            yield Drop(row.id, "truncated_answer" if reason == "truncated" else reason)
        elif cleaner.contaminated(row.pair.messages):
            yield Drop(row.id, "contaminated")
        else:
            example = _example(row, confidence, row.p_label, want)
            longer = len(example["chosen"][0]["content"]) > len(example["rejected"][0]["content"])
            counts["chosen_is_longer"] += longer
            yield [example]


def margin(p: float, bounds: Sequence[float] = MARGINS) -> float:
    """The margin of a probability of at least one half: 1, 2/3, 1/3 or 0.

    Args:
        bounds: the least probability of each of the first three.
    """
    return next((step for least, step in zip(bounds, (1.0, 2 / 3, 1 / 3), strict=True) if p >= least), 0.0)


def _example(row: Preference, p_a: float, p_label: float, want: Prefs) -> PreferenceRow:
    chosen, rejected = (row.pair.a, row.pair.b) if p_a >= 0.5 else (row.pair.b, row.pair.a)
    sure, label = (p_a, p_label) if p_a >= 0.5 else (1 - p_a, 1 - p_label)
    raw = row.p_a if row.p_a is not None else p_a
    return {
        "prompt": list(row.pair.messages),
        "chosen": _completion(chosen),
        "rejected": _completion(rejected),
        "chosen_prob": label,
        "chosen_prob_raw": raw if p_a >= 0.5 else 1 - raw,
        "margin": margin(sure, want.margins),
        "principles": sorted({vote.principle for vote in row.votes if vote.principle}),
        "judge": ", ".join(dict.fromkeys(vote.model for vote in row.votes)),
        "id": row.id,
        "track": row.pair.track,
        "prompt_id": content_key(row.prompt),
    }


def _completion(draft: Draft) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": draft.text}]
