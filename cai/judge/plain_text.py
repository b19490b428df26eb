"""How well a model still predicts plain text: bits a byte, passage by passage, beside the model that it was made from.

A model that was trained on little and narrow data may lose what it knew; its surprise at plain text then grows. Bits of a
byte compare models whatever their tokenizers (Gao et al. 2020, section 3.1), nats of a token only models that share one.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from cai.judge.measures import Growth, Mean, interval
from cai.store.form import Amount, Count

PLAIN_TEXT = "principles/prompts/plain.txt"
"""A text of our own: twelve passages of several kinds."""
LEAST, MOST = 2, 10_000_000
"""Passages that an interval needs, and bytes that a text may have."""


class Passage(TypedDict):
    """One passage under one model: the sum of its tokens' negative log-likelihoods in nats, and its size."""

    nats: Amount
    tokens: Count
    bytes: Count


class PlainText(TypedDict):
    """A model's figures.

    Attributes:
        bits: of a byte, over all passages. No value where ``says`` tells why there is none.
        perplexity: of a token.
        growth: of the bits, from the first model of the evaluation, over the same passages.
    """

    bits: Mean
    perplexity: Amount | None
    tokens: Count
    growth: NotRequired[Growth]
    says: str


def passages_of(text: str) -> list[str]:
    """The passages of a text, which empty lines part, without those that hold no word."""
    return [each.strip() for each in re.split(r"\n\s*\n", text) if re.search(r"\w", each)]


def plain_text_fault(path: Path) -> str:
    """Why a file is no text to measure by; empty where it is one."""
    try:
        if path.stat().st_size > MOST:
            return f"has more than {MOST // 10**6} MB; give a part of it"
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "cannot be read as text in UTF-8"
    few = len(passages_of(text)) < LEAST
    return f"has fewer than {LEAST} passages, by which nothing can be told; part them by empty lines" if few else ""


def plain_text(own: Sequence[Passage], first: Sequence[Passage] | None = None) -> PlainText:
    """A model's figures, and how they moved from the first model's on the same passages."""
    sizes = [float(each["bytes"]) for each in own]
    bits = [each["nats"] / math.log(2) for each in own]
    tokens = sum(each["tokens"] for each in own)
    low, high = interval(bits, sizes)
    value = sum(bits) / sum(sizes)
    perplexity = math.exp(min(sum(each["nats"] for each in own) / tokens, 30.0))
    all_bits: Mean = {"value": value, "low": low, "high": high, "of": len(own)}
    figures: PlainText = {"bits": all_bits, "perplexity": perplexity, "tokens": tokens, "says": ""}
    if first is None:
        return figures
    moved = [one - each["nats"] / math.log(2) for one, each in zip(bits, first, strict=True)]
    low, high = interval(moved, sizes)
    change = sum(moved) / sum(sizes)
    bounds: Growth = {
        "first": value - change,
        "value": value,
        "change": change,
        "low": low,
        "high": high,
        "of": len(own),
    }
    return {**figures, "growth": bounds}


def unmeasured(why: str) -> PlainText:
    """Figures of a model that could not be measured, with the reason."""
    return {"bits": {"value": None, "low": None, "high": None, "of": 0}, "perplexity": None, "tokens": 0, "says": why}
