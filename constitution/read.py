"""A model's reply → critique or revision; None where it cannot be read, never a guess. Verdicts are read by ``forms``."""

import re

_LETTER = re.compile(r"\w")
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


def critique(text: str) -> str | None:
    """The critique without a leading label; None where nothing is said."""
    return _body(text)


def revision(text: str) -> str | None:
    """The revised answer without a leading label; None where nothing is said."""
    return _body(text)


def finds_nothing(critique: str) -> bool:
    """Whether a critique says, in its first sentence, that there is nothing to criticize."""
    first = re.split(r"(?<=[.!?])\s", critique.strip(), maxsplit=1)[0]
    return bool(_FINE.match(first)) and not _BUT.search(first)


def is_refusal(text: str) -> bool:
    """Whether a text opens by declining; a count for reports, never a label."""
    return bool(_REFUSAL.match(text))


def _body(text: str) -> str | None:
    body = _LABEL.sub("", text, count=1).strip()
    return body if _LETTER.search(body) else None
