"""Whether a text repeats what its writer was shown: exemplars, or the requests themselves."""

from collections.abc import Sequence, Set
from functools import lru_cache

from cai.data.clean import LEAKED, shingles


def leaks(text: str, texts: Sequence[str], conversation: str) -> bool:
    """Whether a text repeats eight words of others that its writer was shown, and not of its own conversation."""
    grams, openings = _all_shingles(tuple(texts))
    if not grams:
        return False
    words = text.lower().split()
    if openings.isdisjoint(zip(words, words[1:], words[2:], strict=False)):  # nearly all texts, at a third of the time
        return False
    overlap = grams & shingles(text, LEAKED)
    return bool(overlap) and not overlap <= shingles(conversation, LEAKED)


@lru_cache(maxsize=256)
def _all_shingles(texts: tuple[str, ...]) -> tuple[Set[tuple[str, ...]], Set[tuple[str, ...]]]:
    """Of exemplars and requests, which are the same for many rows: eight words, and three as they are written."""
    rows = [text.lower().split() for text in texts]
    openings = {each for words in rows for each in zip(words, words[1:], words[2:], strict=False)}
    return frozenset().union(*(shingles(each, LEAKED) for each in texts)), openings
