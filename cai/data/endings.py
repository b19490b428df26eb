"""How an answer ended → whether it is whole; what is not says why it is left out, in the words that a ledger counts."""

from cai.store.rows import Draft

REASONS = {"length": "truncated", "thinking": "cut_while_thinking", "unknown": "unknown_end"}
"""How an answer ended that is no whole one → what is counted; other words are counted as they are."""


def cut(draft: Draft, truncated: str = "drop") -> str:
    """Why it is no whole answer, or may not be one; empty where it is.

    Args:
        truncated: "keep" for answers that may have ended at the token limit.
    """
    if draft.finish == "stop" or (truncated == "keep" and draft.finish in ("length", "unknown")):
        return ""
    return REASONS.get(draft.finish, draft.finish)
