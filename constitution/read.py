"""A model's reply → critique, revision or verdict; None where it cannot be read, never a guess."""

import math
import re
from collections.abc import Mapping

_LABEL = re.compile(r"^\s*(?:\*\*)?(?:critique|revision|revised answer|assistant)(?:\*\*)?\s*:\s*(?:\*\*)?", re.I)
_REFUSAL = re.compile(
    r"^\W*(?:i['\u2019]?m (?:very |so |really )?sorry|sorry,|i apologi[sz]e|i (?:can(?:no|['\u2019])t|cannot|won['\u2019]t|"
    r"will not|am unable|am not able)|i['\u2019]?m (?:unable|not able)|as an ai)\b",
    re.I,
)


def critique(text: str) -> str | None:
    """The critique without a leading label; None where nothing is said."""
    return _said(text)


def revision(text: str) -> str | None:
    """The revised answer without a leading label; None where nothing is said."""
    return _said(text)


def verdict(logprobs: Mapping[str, float], floor: float) -> float | None:
    """P(A) among A and B from next-token log-probabilities (Bai et al. 2022, section 4.1).

    Args:
        logprobs: "A" and "B" → natural log-probability; a choice outside the server's top tokens may be missing.
        floor: the least probability mass A and B must hold together to count as an answer.

    Returns:
        a probability in [0, 1], or None where the model was about to say something else.
    """
    a, b = (math.exp(logprobs.get(choice, -math.inf)) for choice in ("A", "B"))
    return a / (a + b) if a + b >= floor and a + b > 0 else None


def is_refusal(text: str) -> bool:
    """Whether a text opens by declining; a count for reports, never a label."""
    return bool(_REFUSAL.match(text))


def _said(text: str) -> str | None:
    said = _LABEL.sub("", text, count=1).strip()
    return said if re.search(r"\w", said) else None
