"""Examples that would teach what they should not: found by their text alone, counted by reason, each check switchable.

A check of one text (``CHECKS``) is a plain function; what needs the whole set (copies, closing sentences that come again
and again, prompts of an evaluation set) is a ``Cleaner``'s, which sees the examples in order and so decides alike each time.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from cai.data.prompts import PromptSource, read
from cai.errors import UserError, install
from cai.store.rows import Drop, Message, Prompt, content_key

LEAKED = 8
COPY = 0.95
MOST_EMOJI = 2
LOOPS = 3
CLOSERS = (5, 0.02)
SHINGLE = 5
PERMUTATIONS = 128
SHARED = 8
MOST_SEQUENCES = 1_000_000

_META = re.compile(
    r"\b(?:here(?:['\u2019]s| is) (?:the|a|my|an) (?:\w+ )?(?:revis|rewrit|improv|updat|edit)\w*|"
    r"(?:the|my|this) (?:revised|rewritten|improved|updated) (?:answer|response|reply|version)|"
    r"i(?:['\u2019]ve| have) (?:revised|rewritten|updated|edited)|"
    r"(?:the|this|your) (?:critique|revision request)|revision request:|critique request:)",
    re.I,
)
_BOILERPLATE = re.compile(
    r"\b(?:as an? (?:ai|artificial intelligence|language model)|i['\u2019]?m (?:just |only )?an? (?:ai|language model)|"
    r"i (?:do not|don['\u2019]t) have (?:personal )?(?:opinions|feelings|beliefs)|my training data)\b",
    re.I,
)
_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answer with what it answers.

    Attributes:
        former: the draft before it, empty for a first answer.
        flags: what was noticed when it was made, such as "leaked_exemplar".
        language: of the prompt, where its file says so.
        before: what was said before the prompt, where it is the last of several turns.
    """

    prompt: str
    text: str
    former: str = ""
    flags: tuple[str, ...] = ()
    language: str = ""
    before: str = ""


def meta_talk(said: Exchange) -> bool:
    """Speaks of the revision instead of to the person: "Here is the revised response"."""
    return bool(_META.search(said.text[:300]) or _META.search(said.text[-200:])) and not _META.search(said.prompt)


def boilerplate(said: Exchange) -> bool:
    """Speaks of being a language model where nobody asked."""
    return bool(_BOILERPLATE.search(said.text)) and not re.search(r"\b(?:ai|language model|bot)\b", said.prompt, re.I)


def leaked_exemplar(said: Exchange) -> bool:
    """Repeats eight words of the constitution's exemplars; noticed when the row was made."""
    return "leaked_exemplar" in said.flags


def near_copy(said: Exchange) -> bool:
    """Hardly differs from the draft that it revises."""
    return bool(said.former) and _overlap(shingles(said.former, 3), shingles(said.text, 3)) >= COPY


def emoji(said: Exchange) -> bool:
    """More than two emoji, and none in the prompt."""
    return len(_EMOJI.findall(said.text)) > MOST_EMOJI and not _EMOJI.search(said.prompt)


def loop(said: Exchange) -> bool:
    """Says the same sentence three times, or the same eight words."""
    repeated = Counter(_sentences(said.text)) + Counter(_grams(said.text, LEAKED))
    return max(repeated.values(), default=0) >= LOOPS


def wrong_language(said: Exchange) -> bool:
    """Answers in another language than the prompt's; short texts are let pass."""
    if min(len(_words(said.prompt)), len(_words(said.text))) < 8:
        return False
    named = re.match(r"([a-z]{2})(?:[-_]|$)", said.language.lower())  # a name such as German is no code to compare with
    return _language(said.text) != (named[1] if named else _language(said.prompt))


CHECKS: Mapping[str, Callable[[Exchange], bool]] = {
    check.__name__: check for check in (meta_talk, boilerplate, leaked_exemplar, near_copy, emoji, loop, wrong_language)
}
USUAL = ("meta_talk", "boilerplate", "leaked_exemplar", "emoji", "loop")


def leaks(text: str, shown: Sequence[str], conversation: str) -> bool:
    """Whether a text repeats eight words of what was shown as an example, and not of its own conversation."""
    known = _all_shingles(tuple(shown))
    repeated = known & shingles(text, LEAKED) if known else known
    return bool(repeated) and not repeated <= shingles(conversation, LEAKED)


@lru_cache(maxsize=8)
def _all_shingles(shown: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """Of the exemplars, which are the same for every row."""
    return frozenset().union(*(shingles(each, LEAKED) for each in shown))


class Cleaner:
    """What only the whole set shows; asked for each example in order.

    Args:
        dedupe: "exact" (the same words), "near" (by MinHash) or "none".
        similarity: Jaccard's index of five-word sequences from which two answers are near copies.
        decontaminate: prompt files of evaluations; a prompt that shares ``ngram`` words with one of theirs is left out.

    Raises:
        UserError: a file cannot be read, or datasketch is not installed.
    """

    def __init__(self, dedupe: str, similarity: float, decontaminate: Iterable[str], ngram: int) -> None:
        self.dedupe, self.ngram = dedupe, ngram
        # Texts are remembered by their digests: a hundred million of them must fit in memory.
        self.seen: set[bytes] = set()
        self.closers: Counter[bytes] = Counter()
        self.count = 0
        self.near = _index(similarity) if dedupe == "near" else None
        self.held: set[tuple[str, ...]] = set()
        for path in decontaminate:
            for turns in _conversations(path):
                self.held |= self._marks(turns[-1]).union(*(shingles(each, ngram) for each in turns[:-1]))

    def wrong(self, said: Exchange) -> str:
        """The reason to leave an example out: "duplicate" or "repeated_closer"; empty where there is none."""
        if self.dedupe != "none" and self._duplicate(said):
            return "duplicate"
        return "repeated_closer" if self._closes_as_others(said.text) else ""

    def contaminated(self, messages: Sequence[Message]) -> bool:
        """Whether anything that a person says in a conversation shares a sequence of words with an evaluation's prompt."""
        return bool(self.held) and any(not self.held.isdisjoint(self._marks(each)) for each in _asked(messages))

    def _marks(self, turn: str) -> set[tuple[str, ...]]:
        """A turn's sequences of words; a shorter turn is one sequence."""
        words = tuple(_words(turn))
        return shingles(turn, self.ngram) if len(words) >= self.ngram else {words}

    def _duplicate(self, said: Exchange) -> bool:
        mark = _digest(" ".join(_words(f"{said.before} {said.prompt} {said.text}")))
        if mark in self.seen:
            return True
        self.seen.add(mark)
        return self.near is not None and self.near(said.text)

    def _closes_as_others(self, text: str) -> bool:
        """A closing sentence may come a few times, and then in a small share of the examples."""
        self.count += 1
        sentences = _sentences(text)
        if len(sentences) < 2:
            return False
        mark = _digest(sentences[-1])
        self.closers[mark] += 1
        least, share = CLOSERS
        return self.closers[mark] > max(least, share * self.count)


class HeldOut:
    """The prompts that a recipe holds out, by hashes of them: what no row may be made of, and what is near to them.

    A prompt is near a held-out one where what the person says in it shares ``SHARED`` words in a row with that; one of fewer
    words where all its words are the same. Beyond ``most`` sequences of words only those stay whose hash is a multiple of
    two, then of four, and so on, so that memory is bounded and a near prompt is found by a sample of its words.

    Attributes:
        every: one in so many sequences of words is kept.
    """

    def __init__(self, prompts: Iterable[Sequence[Message]], most: int = MOST_SEQUENCES) -> None:
        self.keys: set[int] = set()
        self.marks: set[int] = set()
        self.every = 1
        for messages in prompts:
            self.keys.add(content_key(messages))
            self.marks |= self._marks(messages)
            while len(self.marks) > most:
                self.every *= 2
                self.marks = {mark for mark in self.marks if mark % self.every == 0}

    def drop(self, id: str, messages: Sequence[Message]) -> Drop | None:
        """Why a row is not trained on; None where its prompt is not held out."""
        if content_key(messages) not in self.keys:
            return None
        return Drop(id, "held_out", "a stage of prompts holds it out, for evaluation alone")

    def near(self, messages: Sequence[Message]) -> bool:
        """Whether a prompt shares a sequence of words with a held-out one."""
        return not self.marks.isdisjoint(self._marks(messages))

    def describe(self, near: int, rows: int) -> str:
        """For a dataset's card: how many there are, and how many of its training rows are near to one."""
        if not self.keys:
            return "none: this recipe holds no prompts out"
        sample = f", by a sample of one in {self.every} sequences" if self.every > 1 else ""
        return (
            f"{len(self.keys)} held out by this recipe, none of them among the rows; {near} of {rows} training rows share "
            f"{SHARED} words in a row with one (case and punctuation apart{sample}), and stay"
        )

    def _marks(self, messages: Sequence[Message]) -> set[int]:
        words = _words(" ".join(each["content"] for each in messages if each["role"] == "user"))
        starts = range(max(len(words) - SHARED, 0) + 1)
        marks = (int.from_bytes(_digest(" ".join(words[start : start + SHARED]))[:8]) for start in starts)
        return {mark for mark in marks if mark % self.every == 0}


def _index(similarity: float) -> Callable[[str], bool]:
    """Tells whether a text is a near copy of one it was given before."""
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        raise UserError(f"dedupe: near needs the package datasketch; run: {install('clean')}") from None
    index = MinHashLSH(threshold=similarity, num_perm=PERMUTATIONS)

    def near(text: str) -> bool:
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        sketch.update_batch([" ".join(each).encode() for each in shingles(text, SHINGLE) or {tuple(_words(text))}])
        if index.query(sketch):
            return True
        index.insert(len(index.keys), sketch)
        return False

    return near


def _conversations(path: str) -> Iterable[list[str]]:
    """What is asked in each prompt of a file, turn by turn."""
    rows = read({"redteam": [PromptSource(path)]})
    return (turns for row in rows if isinstance(row, Prompt) and (turns := _asked(row.messages)))


def _asked(messages: Sequence[Message]) -> list[str]:
    return [each["content"] for each in messages if each["role"] == "user"]


def _language(text: str) -> str:
    import py3langid

    return str(py3langid.classify(text)[0])


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+(?:['\u2019]\w+)?", text.lower())


def _grams(text: str, size: int) -> list[tuple[str, ...]]:
    words = _words(text)
    return list(zip(*(words[start:] for start in range(size)), strict=False))


def shingles(text: str, size: int) -> set[tuple[str, ...]]:
    """A text's sequences of so many words, in lower case."""
    return set(_grams(text, size))


def _sentences(text: str) -> list[str]:
    """Sentences of three words or more, as sequences of words."""
    sentences = (" ".join(_words(each)) for each in _SENTENCE.findall(text))
    return [each for each in sentences if each.count(" ") >= 2]


def _overlap(first: Set[object], second: Set[object]) -> float:
    return len(first & second) / len(first | second) if first and second else 0.0
