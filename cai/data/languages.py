"""Which language a text is in, as far as refusals can be read in it; a few words tell, without a model.

Words that no sentence can do without ("the", "que", "nicht") decide among languages of Latin letters, letters do among the
others. It is no language identification at large: what it cannot place it leaves open.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

SCRIPTS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "ja": re.compile(r"[\u3040-\u30ff]"),
        "zh": re.compile(r"[\u4e00-\u9fff]"),
        "ko": re.compile(r"[\uac00-\ud7af]"),
        "ru": re.compile(r"[\u0400-\u04ff]"),
        "ar": re.compile(r"[\u0600-\u06ff]"),
        "?": re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff]"),
    }
)
"""Language → its letters; Japanese before Chinese, as it uses both. "?" is any letter that is not Latin."""


def _words(text: str) -> frozenset[str]:
    """Words as a set."""
    return frozenset(text.split())


WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "en": _words(
            "the of and to is are was in it that for you your with this as be can on not have i what how if or from "
            "but they we an by will would there their which do at about here"
        ),
        "es": _words(
            "el la los las que de en y un una es con por para no se lo su como más pero puedo usted esta esto del al"
        ),
        "fr": _words(
            "le la les des et est un une que qui dans pour pas ne vous je nous sur avec ce cette mais du au aux en de"
        ),
        "de": _words(
            "der die das und ist nicht ein eine zu den mit ich sie es für auf von im dem kann wie aber bei sich auch "
            "dass"
        ),
        "pt": _words(
            "o os as que de em e um uma é com por para não se do da no na como mais mas posso você isso esta ao"
        ),
        "it": _words(
            "il lo gli che di in e un una è con per non si del della come più ma posso questo questa sono dei le al"
        ),
        "nl": _words("de het een en is niet van ik je dat in op te met voor zijn die kan maar om aan ook deze bij u"),
    }
)
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "es": "Spanish",
        "fr": "French",
        "de": "German",
        "pt": "Portuguese",
        "it": "Italian",
        "nl": "Dutch",
        "ru": "Russian",
    }
    | {"zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ar": "Arabic"}
)
"""Language → what people call it."""
SHORT = 8
"""Latin words fewer than this that no list claims are read as English: an answer such as "Paris." says nothing of its language."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_OTHER = re.compile(r"[^\u0000-\u024f\u1e00-\u1eff\u2000-\u206f]")
"""What is neither a Latin letter nor punctuation; a text without has no letter of ``SCRIPTS``."""
_CODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        word: tuple(code for code, known in WORDS.items() if word in known)
        for word in frozenset[str]().union(*WORDS.values())
    }
)
"""Word → the languages whose it is."""


@lru_cache(maxsize=8)  # an answer is read for its kind, and for its habits
def language(text: str) -> str:
    """The language's code, "?" for one that is not known here; empty where there are no words."""
    words = _WORD.findall(text.lower())
    if not words:
        return ""
    letters = sum(map(len, words))
    for code, script in SCRIPTS.items() if _OTHER.search(text) else ():
        if 4 * sum(map(len, script.findall(text))) > letters:
            return code
    counts = Counter(code for word in words if word in _CODES for code in _CODES[word])
    best = max(WORDS, key=counts.__getitem__)
    if counts[best] > counts["en"] and (counts[best] > 1 or len(words) >= SHORT):
        return best
    known = counts["en"] * 12 >= len(words) or len(words) < SHORT
    return "en" if known else "?"
