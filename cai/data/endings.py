"""How an answer ended → whether it is whole; what is not says why it is left out, in the words that a ledger counts."""

from cai.store.rows import Draft

REASONS = {"length": "truncated", "thinking": "cut_while_thinking", "unknown": "unknown_end"}
"""How an answer ended that is no whole one → what is counted; other words are counted as they are."""


def unusable(finish: str) -> str:
    """Why a text that a later one is made of cannot serve; empty where it can, also of one that is cut at the token limit."""
    return "" if finish in ("stop", "length", "unknown") else REASONS.get(finish, finish)


def cut(draft: Draft, truncated: str = "drop") -> str:
    """Why it is no whole answer, or may not be one; empty where it is.

    Args:
        truncated: "keep" for answers that may have ended at the token limit.
    """
    if draft.finish == "stop" or (truncated == "keep" and draft.finish in ("length", "unknown")):
        return ""
    return REASONS.get(draft.finish, draft.finish)
