"""The first token's distribution → the log-probability of each choice, in whatever form the server's tokens write it.

Where much of the mass could be a choice and is not known to be one, nothing is read: half of a distribution would make a sure
verdict of an undecided one.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

ROUNDING = 0.05
"""How far probabilities may add up to more than 1."""
UNKNOWN_SHARE = 0.25
"""Of the mass that may be a choice, the largest share that may be none."""
ALL = 0.99
"""So much is nearly all of a distribution."""
LEADS = frozenset(("answer", "option", "response", "choice"))
"""Words that a choice often follows."""
_AROUND = "()[]{}<>*_`\"'.:,;!#-\u2581\u0120\u010a\u00a0"
_BYTES = re.compile(r"(?:bytes:)?((?:\\x[0-9a-fA-F]{2})+)|((?:<0x[0-9a-fA-F]{2}>)+)")


def logprobs_of(tokens: Iterable[tuple[str, float]], choices: Sequence[str]) -> dict[str, float]:
    """The natural log-probability of each choice; empty where they cannot be told.

    Args:
        tokens: token, natural log-probability; a choice outside of them is left out.
    """
    masses: dict[str, float] = {}
    unknown = total = 0.0
    least, among = 1.0, tuple(choices)
    for token, logprob in tokens:
        if not _is_logprob(logprob):
            return {}
        total += (mass := math.exp(min(logprob, 0.0)))
        least = min(least, mass)
        choice, may_be = _meaning(token, among)
        if choice:
            masses[choice] = masses.get(choice, 0.0) + mass
        elif may_be:
            unknown += mass
    missing = len(among) - len(masses)  # each that is not listed may hold as much as the last that is
    unknown += min(missing * least, max(1 - total, 0.0))
    if total > 1 + ROUNDING or unknown > UNKNOWN_SHARE * (unknown + sum(masses.values())):
        return {}
    return {choice: math.log(mass) for choice, mass in masses.items() if mass > 0}


def _is_logprob(value: object) -> bool:
    """A number, or minus infinity for what cannot be; above 0 by no more than rounding."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= ROUNDING


def choice_of(token: str, choices: Sequence[str]) -> str:
    """The choice that a token writes, such as "A" by " A", "(A", "A.", "**A" and "Ａ"; empty where it writes none.

    A letter in lower case is none: "a" is a word as well. A word is, in whatever case.
    """
    word = _bare(token)
    if word in choices:
        return word
    alike = [each for each in choices if len(each) > 1 and each.casefold() == word.casefold()]
    return alike[0] if len(alike) == 1 else ""


@lru_cache(1 << 14)  # the same tokens come again and again
def _meaning(token: str, choices: tuple[str, ...]) -> tuple[str, bool]:
    """The choice that a token writes, and whether it may be one."""
    choice = choice_of(token, choices)
    return choice, not choice and _may_be(token, choices)


def _may_be(token: str, choices: Sequence[str]) -> bool:
    """Whether a choice may be meant, or may follow at once: "a", "(", "**", "The"."""
    word = _bare(token).casefold()
    return not word or word in LEADS or word in {each.casefold() for each in choices}


def _bare(token: str) -> str:
    """A token without what stands around a choice; one that is written as bytes is read."""
    if match := _BYTES.fullmatch(token.strip()):
        digits = re.findall(r"[0-9a-fA-F]{2}", (match[1] or match[2]).replace("\\x", " ").replace("<0x", " "))
        token = bytes(int(each, 16) for each in digits).decode("utf-8", "replace")
    return unicodedata.normalize("NFKC", token).strip().strip(_AROUND).strip()


def tokens_of(logprobs: object) -> list[tuple[str, float]] | None:
    """The first position's tokens, of a chat's ``logprobs`` or of a completion's; None where the server gave none.

    One token alone is none, but where it holds all: of the others nothing is known.
    """
    if not isinstance(logprobs, Mapping):
        return None
    try:
        if "content" in logprobs:
            top = [(each["token"], each["logprob"]) for each in logprobs["content"][0]["top_logprobs"]]
        else:
            top = list(logprobs["top_logprobs"][0].items())
    except (KeyError, IndexError, TypeError, AttributeError):
        return None
    if not top or not all(isinstance(token, str) for token, _ in top):
        return None
    return None if len(top) == 1 and _is_logprob(top[0][1]) and top[0][1] < math.log(ALL) else top
