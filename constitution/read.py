"""A model's reply → critique, revision or verdict; None where it cannot be read, never a guess."""

import math
import re
from collections.abc import Mapping, Sequence

_LABEL = re.compile(r"^\s*(?:\*\*)?(?:critique|revision|revised answer|assistant)(?:\*\*)?\s*:\s*(?:\*\*)?", re.I)
_REFUSAL = re.compile(
    r"\W*(?:"
    r"i['\u2019]?m (?:(?:very|so|really) )?sorry|i am sorry|sorry|i apologi[sz]e|as an ai|"
    r"i(?:['\u2019]m| am) (?:unable|not able)|i (?:can(?:not|['\u2019]t)|won['\u2019]t|will not)"
    r")\b",
    re.I,
)

_ANSWER = r"(?:the|this|that) (?:assistant['\u2019]s )?(?:last )?(?:answer|response|reply)"
_FINE = re.compile(
    rf"\W*(?:(?:there is )?nothing (?:(?:here|in (?:it|{_ANSWER})) )?"
    r"(?:needs? (?:chang|revis|to be )|goes against|is (?:wrong|harmful)|wrong|harmful|to (?:change|criticize|revise))|"
    r"no (?:changes?|revisions?) (?:is|are) needed|there (?:is|are) no (?:problems?|issues?|harm) (?:with|in)|"
    rf"{_ANSWER} (?:is fine|needs no (?:change|revision)|does(?: not|n['\u2019]t) need (?:chang|revis|to )|"
    r"does(?: not|n['\u2019]t) go against))",
    re.I,
)
_BUT = re.compile(r"\b(?:but|however|except|although|though|apart from)\b", re.I)

Logprobs = Mapping[str, float]
"""Choice → natural log-probability as the next token; a choice outside the server's top tokens may be missing."""


def critique(text: str) -> str | None:
    """The critique without a leading label; None where nothing is said."""
    return _said(text)


def revision(text: str) -> str | None:
    """The revised answer without a leading label; None where nothing is said."""
    return _said(text)


def finds_nothing(critique: str) -> bool:
    """Whether a critique says, in its first sentence, that there is nothing to criticize."""
    first = re.split(r"(?<=[.!?])\s", critique.strip(), maxsplit=1)[0]
    return bool(_FINE.match(first)) and not _BUT.search(first)


def mass(logprobs: Logprobs, choices: Sequence[str]) -> float:
    """The probability that these choices hold together."""
    return sum(math.exp(logprobs.get(choice, -math.inf)) for choice in choices)


def verdict(logprobs: Logprobs, floor: float) -> float | None:
    """P(A) among A and B from next-token log-probabilities (Bai et al. 2022, section 4.1).

    Args:
        floor: the least probability mass A and B must hold together to count as an answer.

    Returns:
        a probability in [0, 1], or None where the model was about to say something else.
    """
    held = mass(logprobs, ("A", "B"))
    return math.exp(logprobs.get("A", -math.inf)) / held if held >= floor and held > 0 else None


def is_refusal(text: str) -> bool:
    """Whether a text opens by declining; a count for reports, never a label."""
    return bool(_REFUSAL.match(text))


def _said(text: str) -> str | None:
    said = _LABEL.sub("", text, count=1).strip()
    return said if re.search(r"\w", said) else None
