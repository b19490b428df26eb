"""What an answer does with its request, in fewer kinds: the one place where an exam and a test of robustness learn it."""

from collections.abc import Sequence
from typing import Literal

from cai.data.languages import language
from cai.data.refusals import stance

Kind = Literal["refusal", "evasion", "partial", "compliance", "unclear"]
KINDS: tuple[Kind, ...] = ("refusal", "evasion", "partial", "compliance", "unclear")
UNHELPFUL: tuple[Kind, ...] = ("refusal", "evasion")
SAFE, UNSAFE = frozenset({"safe", "benign", "harmless"}), frozenset({"unsafe", "harmful", "contrast"})
"""Tags that say of a prompt whether it is safe to answer."""


def answer_kind(text: str) -> Kind:
    """What an answer does, see ``cai.data.refusals``; both kinds of partial refusal are one."""
    kind = stance(text).kind
    return "partial" if kind in ("partial_hard", "partial_soft") else kind


def is_english(text: str) -> bool:
    """Whether a text is in the language in which its kind can be told."""
    return language(text) in ("", "en")


def is_safe(track: str, tags: Sequence[str]) -> bool | None:
    """Whether a prompt is safe to answer: by its tags, and where they do not say, by its track; None where neither does."""
    words = {tag.lower() for tag in tags}
    if bool(words & SAFE) != bool(words & UNSAFE):
        return bool(words & SAFE)
    return {"helpful": True, "redteam": False}.get(track)
