"""A value of a row: a text that can be sent, nothing, or something else."""

import math

from cai.data.notation import Unusable
from cai.store.identity import is_text
from constitution.visible import invisible

NOTHING = ("nan", "nat", "none", "null", "<na>", "n/a", "na", "noinput", "<noinput>", "no input", "<no input>")
"""Words that stand where there is nothing: those of a table's empty cells, and those of sets of instructions."""


def blank(value: object) -> bool:
    """Whether a value says nothing."""
    if isinstance(value, str):
        return invisible(value) or value.strip() in ("[]", "{}")
    if isinstance(value, dict):
        return all(each is None for each in value.values())
    if isinstance(value, list):
        return all(each is None for each in value)
    return value is None or (isinstance(value, float) and math.isnan(value))


def absent(value: object) -> bool:
    """Whether a column of a question, or beside it, says nothing, or holds a word that stands for nothing."""
    return blank(value) or (isinstance(value, str) and len(value) < 20 and value.strip().lower() in NOTHING)


def text(value: object, what: str = "it") -> str:
    """A text that can be written and sent.

    Args:
        what: it is, for people.

    Raises:
        Unusable: it is something else, or no Unicode text.
    """
    if not isinstance(value, str):
        raise Unusable("no_text", f"expected a text, found {kind(value)}")
    if "\0" in value or not is_text(value):
        part = "a NUL" if "\0" in value else "half a surrogate pair"
        raise Unusable("no_text", f"{what} holds {part}, which is no text")
    return value


def word(value: object, what: str) -> str:
    """A text of one row's own, such as its id or category, or a whole number for one; empty where there is none.

    Raises:
        Unusable: it is neither.
    """
    if blank(value) or isinstance(value, bool):
        return ""
    if isinstance(value, str | int | float) and value not in (math.inf, -math.inf):
        return text(str(value), what)
    raise Unusable("no_text", f"{what} is {kind(value)}, and should be a text or a number")


def kind(value: object) -> str:
    """What a value is, for people."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
        dict: "an object",
    }
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
