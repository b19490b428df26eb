"""A vote: what one judge said of a pair, how it was read, and whether it can be a label."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cai.store.form import Amount, Count, Share

Status = Literal["ok", "tie", "inconsistent", "unparsed", "refused", "truncated", "error"]
LOGPROBS, SAMPLED, STRUCTURED = "logprobs", "sampled", "structured"
DRAWN = (SAMPLED, STRUCTURED)
"""Kinds of which the probability is a share of samples."""
OF_METHOD: Mapping[str, str] = MappingProxyType({"reward": "scores", "rules": "rules", "people": "people"})
"""Method → how its votes are read, where that is not by a judge's choice among options."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One judge's reading of a pair under one principle in one order.

    Attributes:
        order: which answer stood as (A): "ab" shows a first, "ba" shows b first, "alone" looks at one at a time.
        p_a: probability that answer ``a`` is the better, whatever the order; None unless read.
        answer_mass: probability that the options (letters, ratings, yes and no) held together, or the share of samples that
            could be read; None where none was asked.
        seed: of the judge's reasoning request.
        scores: of a and of b, where each was looked at alone.
        pair: the id of the pair, where the row is a group.
        kind: how it was read: "logprobs", of the options; "sampled", the share of several answers whose last line says one;
            "structured", the same where some of them said it in a structured output alone; "scores" of a reward model;
            "rules"; or "people". Empty in rows of before, whose method tells it.
        samples, read: of a sampled one, how many answers were asked, and how many of them could be read; of several questions
            the fewest. Its interval follows from these and from the share.
        structured: how many of those read said it in a structured output.
        thinking: what the judge thought before it answered; nobody is shown it.
    """

    principle: str
    order: str
    method: str
    model: str
    seed: int
    status: Status
    p_a: Share | None = None
    answer_mass: Amount | None = None
    rationale: str = ""
    scores: tuple[float, ...] | None = None
    pair: str = ""
    kind: str = ""
    samples: Count = 0
    read: Count = 0
    thinking: str = ""
    structured: Count = 0

    @property
    def verdict(self) -> str:
        """How it was read, of a vote of before by its method."""
        return self.kind or OF_METHOD.get(self.method, LOGPROBS)
