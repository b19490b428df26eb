"""How well a model still predicts plain text: bits a byte, passage by passage, beside the model that it was made from.

A model that was trained on little and narrow data may lose what it knew; its surprise at plain text then grows. Bits of a
byte compare models whatever their tokenizers (Gao et al. 2020, section 3.1), nats of a token only models that share one.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from cai.judge.measures import Change, interval
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


class Drift(TypedDict):
    """The change of bits a byte from the first model, with its 95% interval by bootstrap over passages."""

    change: Change
    low: Change
    high: Change


class PlainText(TypedDict):
    """A model's figures.

    Attributes:
        bits: of a byte; with its interval by bootstrap over passages. None where ``says`` tells why there is none.
        perplexity: of a token.
        drift: from the first model of the evaluation.
    """

    bits: Amount | None
    low: Amount | None
    high: Amount | None
    perplexity: Amount | None
    passages: Count
    tokens: Count
    drift: NotRequired[Drift]
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
    figures: PlainText = {
        "bits": sum(bits) / sum(sizes),
        "low": low,
        "high": high,
        "perplexity": math.exp(min(sum(each["nats"] for each in own) / tokens, 30.0)),
        "passages": len(own),
        "tokens": tokens,
        "says": "",
    }
    if first is None:
        return figures
    moved = [one - each["nats"] / math.log(2) for one, each in zip(bits, first, strict=True)]
    low, high = interval(moved, sizes)
    return {**figures, "drift": {"change": sum(moved) / sum(sizes), "low": low, "high": high}}


def unmeasured(why: str) -> PlainText:
    """Figures of a model that could not be measured, with the reason."""
    none = {"bits": None, "low": None, "high": None, "perplexity": None}
    return {**none, "passages": 0, "tokens": 0, "says": why}  # pyright: ignore[reportReturnType]
