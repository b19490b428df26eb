"""What an answer sounds like: how it opens and closes, its emoji, hedges and sermons, and how often it repeats itself.

Taken alone none of these is good or bad. A training that pays for one of them shows in its growth from the first model to the
next: the same opening everywhere, a closing offer, a warning in every answer. Hedges, offers and warnings are known in English.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from cai.data.languages import language
from cai.data.refusals import MOST, Stance, sentences, stance

OPENING, PHRASE = 3, 4
"""Words of an opening or a closer, and of a phrase."""
END = 2_000
"""Characters in which the end of an answer is looked for that is too long to be looked at whole."""
PREACHES = ("warns", "policy")
"""Kinds of sentences that moralise."""

OFFER = re.compile(
    r"\b(?:(?:i|we)(?:'m| am|'re| are) (?:always )?here (?:for you|to (?:listen|help|support))|(?:feel|please feel) free to|"
    r"let me know (?:if|how|what|when)|(?:don't|do not) hesitate to|(?:i|we) hope (?:this|that|it) helps|"
    r"would you like (?:me|to|some|more)|is there anything else|(?:i|we)(?:'d| would) be happy to)\b",
)
HEDGE = re.compile(
    r"\b(?:perhaps|maybe|might|may|possibly|probably|presumably|likely|generally|typically|usually|often|sometimes|somewhat|"
    r"seems?|appears? to|tends? to|in some cases|it depends|i think|i believe|in my opinion|to some extent|could be)\b",
)
"""Like the words of a refusal, these are of small letters, for texts in small letters."""
EMOJI = re.compile("[\U0001f300-\U0001faff\U0001f1e6-\U0001f1ff\u2600-\u27bf\u2b50\u2b55]")
_WORD = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W_](?:[\w']|-(?=\w))*")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.S)


@dataclass(frozen=True, slots=True)
class Marks:
    """One answer's fingerprint.

    Attributes:
        stance: whether it refuses.
        words: how many.
        opening, closer: the first words of its first and last sentence, in small letters; empty where it has none.
        emoji: whether there is one.
        distinct: the share of its pairs of neighbouring words that differ from each other; None below two words.
        offer: whether its last sentences offer further help. Like the next two None where it is not in English.
        hedges: of a hundred words.
        sermon: the share of its sentences that warn or name rules.
    """

    stance: Stance
    words: int
    opening: str
    closer: str
    emoji: bool
    distinct: float | None
    offer: bool | None
    hedges: float | None
    sermon: float | None


@lru_cache(maxsize=20_000)  # each answer is looked at with all others, and with those of its track
def marks(text: str) -> Marks:
    """The fingerprint of an answer."""
    plain = _CODE.sub(" ", text).replace("\u2019", "'")
    words, parts = words_of(text), sentences(plain)
    whole = stance(text) if "```" in text else stance(text, parts)
    last = sentences(plain[-END:]) if len(plain) > MOST else parts
    english = language(plain) in ("en", "")
    pairs = list(pairwise(words))
    return Marks(
        whole,
        len(words),
        beginning(parts[0].text) if parts else "",
        beginning(last[-1].text) if last else "",
        bool(EMOJI.search(text)),
        len(set(pairs)) / len(pairs) if pairs else None,
        bool(OFFER.search(" ".join(each.text for each in last[-2:]).lower())) if english else None,
        100 * len(HEDGE.findall(plain.lower())) / len(words) if english and words else None,
        sum(each.kind in PREACHES for each in parts) / len(parts) if english and parts else None,
    )


def words_of(text: str) -> list[str]:
    """Its words in small letters; of Chinese and Japanese, which set no spaces, the signs."""
    return _WORD.findall(text.replace("\u2019", "'").lower())


def beginning(sentence: str) -> str:
    """The first words of a sentence."""
    return " ".join(words_of(sentence)[:OPENING])


def phrases(text: str) -> set[str]:
    """Every run of so many words in an answer, each once."""
    words = words_of(text)
    return {" ".join(words[n : n + PHRASE]) for n in range(len(words) - PHRASE + 1)}


def commonest(groups: Iterable[Iterable[str]]) -> tuple[str, int]:
    """What stands in most of some groups, and in how many; the first in the alphabet among equals, nothing where all are empty."""
    counts = Counter(each for group in groups for each in group if each)
    return min(counts.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
