"""Examples that would teach what they should not: found by their text alone, counted by reason, each check switchable.

A check of one text (``CHECKS``) is a plain function; what needs the whole set (copies, closing sentences that come again
and again, prompts of an evaluation set) is a ``Cleaner``'s, which sees the examples in order and so decides alike each time.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from cai.data.prompts import PromptSource, read
from cai.errors import UserError, install
from cai.store.identity import content_key
from cai.store.rows import Drop, Message, Prompt
from constitution.tools import everything

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
    r"\b(?:here(?:['\u2019]s| is) (?:the|a|my|an) (?:\w+ )?(?:revis|rewrit|improv|updat|edit)\w*|(?:the|this|your) critique|"
    r"(?:the|my|this) (?:revised|rewritten|improved|updated) (?:answer|response|reply|version)|critique request:|"
    r"i(?:['\u2019]ve| have) (?:revised|rewritten|updated|edited)|(?:the|this|your) revision request|revision request:|"
    r"the assistant['\u2019]s (?:last |previous |first )?(?:answer|response|reply))",
    re.I,
)
_TASK = re.compile(
    r"\b(?:my|your|(?:person|user|human|model)['\u2019]s) (?:last|previous) (?:answer|response|reply)\b|"
    r"\A\W*(?:the|my) (?:response|reply|revision) is\s*:",
    re.I,
)
"""In the first answer of a conversation there is none before that it could speak of, but the one it was to revise."""
_ANSWERS = re.compile(r"\b(?:answer|response|reply|revision)", re.I)
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
        messages: the whole conversation before it.
        former: the draft before it, empty for a first answer.
        flags: what was noticed when it was made, such as "leaked_exemplar".
        language: of the prompt, where its file says so.
    """

    messages: Sequence[Message]
    text: str
    former: str = ""
    flags: tuple[str, ...] = ()
    language: str = ""

    @property
    def asked(self) -> str:
        """All that the person says, and what the system message does: an answer may take up any of it."""
        return "\n".join(each["content"] for each in self.messages if each["role"] in ("user", "system"))


def meta_talk(exchange: Exchange) -> bool:
    """Speaks of the revision instead of to the person: "Here is the revised response"; or repeats the request."""
    if "leaked_request" in exchange.flags:
        return True
    ends, asked = (exchange.text[:300], exchange.text[-200:]), exchange.asked
    if any(map(_META.search, ends)) and not _META.search(asked):
        return True
    first = all(each["role"] != "assistant" for each in exchange.messages)
    return first and any(map(_TASK.search, ends)) and not _ANSWERS.search(asked)


def boilerplate(exchange: Exchange) -> bool:
    """Speaks of being a language model where nobody asked."""
    asked = re.search(r"\b(?:ai|language model|bot)\b", exchange.asked, re.I)
    return bool(_BOILERPLATE.search(exchange.text)) and not asked


def leaked_exemplar(exchange: Exchange) -> bool:
    """Repeats eight words of the constitution's exemplars; noticed when the row was made."""
    return "leaked_exemplar" in exchange.flags


def near_copy(exchange: Exchange) -> bool:
    """Hardly differs from the draft that it revises."""
    return bool(exchange.former) and _overlap(shingles(exchange.former, 3), shingles(exchange.text, 3)) >= COPY


def emoji(exchange: Exchange) -> bool:
    """More than two emoji, and none in what is asked."""
    return len(_EMOJI.findall(exchange.text)) > MOST_EMOJI and not _EMOJI.search(exchange.asked)


def loop(exchange: Exchange) -> bool:
    """Says the same sentence three times, or the same eight words."""
    counts = Counter(_sentences(exchange.text)) + Counter(_grams(exchange.text, LEAKED))
    return max(counts.values(), default=0) >= LOOPS


def wrong_language(exchange: Exchange) -> bool:
    """Answers in another language than the person's, in the last turn or in all of them; short texts are let pass."""
    asked = _questions(exchange.messages)
    if min(len(_words(" ".join(asked))), len(_words(exchange.text))) < 8:
        return False
    code = re.match(r"([a-z]{2})(?:[-_]|$)", exchange.language.lower())  # a name such as German is none
    texts = {text for text in (asked[-1], " ".join(asked)) if len(_words(text)) >= 8}
    return _language(exchange.text) not in ({code[1]} if code else set(map(_language, texts)))


CHECKS: Mapping[str, Callable[[Exchange], bool]] = {
    check.__name__: check for check in (meta_talk, boilerplate, leaked_exemplar, near_copy, emoji, loop, wrong_language)
}
USUAL = ("meta_talk", "boilerplate", "leaked_exemplar", "emoji", "loop")


class Cleaner:
    """What only the whole set shows; asked for each example in order.

    Args:
        dedupe: "exact" (the same words in the whole conversation), "near" (also an answer like another's, by MinHash) or "none".
        similarity: Jaccard's index of five-word sequences from which two answers are near copies.
        decontaminate: prompt files of evaluations; a prompt that shares ``ngram`` words with one of theirs is left out.

    Raises:
        UserError: a file cannot be read, or datasketch is not installed.
    """

    def __init__(self, dedupe: str, similarity: float, decontaminate: Iterable[str], ngram: int) -> None:
        self.dedupe, self.ngram = dedupe, ngram
        # Texts are remembered by their digests: a hundred million of them must fit in memory.
        self.digests: set[bytes] = set()
        self.closers: Counter[bytes] = Counter()
        self.count = 0
        self.near = _index(similarity) if dedupe == "near" else None
        self.evaluation: set[tuple[str, ...]] = set()
        for path in decontaminate:
            for turns in _conversations(path):
                self.evaluation |= self._marks(turns[-1]).union(*(shingles(each, ngram) for each in turns[:-1]))

    def wrong(self, exchange: Exchange) -> str:
        """The reason to leave an example out: "duplicate" or "repeated_closer"; empty where there is none."""
        if self.dedupe != "none" and self._duplicate(exchange):
            return "duplicate"
        return "repeated_closer" if self._closes_as_others(exchange.text) else ""

    def contaminated(self, messages: Sequence[Message]) -> bool:
        """Whether anything that a person says in a conversation shares a sequence of words with an evaluation's prompt."""
        return bool(self.evaluation) and any(
            not self.evaluation.isdisjoint(self._marks(each)) for each in _questions(messages)
        )

    def _marks(self, turn: str) -> set[tuple[str, ...]]:
        """A turn's sequences of words; a shorter turn is one sequence."""
        words = tuple(_words(turn))
        return shingles(turn, self.ngram) if len(words) >= self.ngram else {words}

    def _duplicate(self, exchange: Exchange) -> bool:
        turns = [*exchange.messages, {"role": "assistant", "content": exchange.text}]
        mark = _digest("\n".join(f"{each['role']} {' '.join(_words(everything(each)))}" for each in turns))
        if mark in self.digests:
            return True
        self.digests.add(mark)
        return self.near is not None and self.near(exchange.text)

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
        stride: one in so many sequences of words is kept.
    """

    def __init__(self, prompts: Iterable[Sequence[Message]], most: int = MOST_SEQUENCES) -> None:
        self.keys: set[int] = set()
        self.marks: set[int] = set()
        self.stride = 1
        for messages in prompts:
            self.keys.add(content_key(messages))
            self.marks |= self._marks(messages)
            while len(self.marks) > most:
                self.stride *= 2
                self.marks = {mark for mark in self.marks if mark % self.stride == 0}

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
        sample = f", by a sample of one in {self.stride} sequences" if self.stride > 1 else ""
        return (
            f"{len(self.keys)} held out by this recipe, none of them among the rows; {near} of {rows} training rows share "
            f"{SHARED} words in a row with one (case and punctuation apart{sample}), and stay"
        )

    def _marks(self, messages: Sequence[Message]) -> set[int]:
        words = _words(" ".join(each["content"] for each in messages if each["role"] == "user"))
        starts = range(max(len(words) - SHARED, 0) + 1)
        marks = (int.from_bytes(_digest(" ".join(words[start : start + SHARED]))[:8]) for start in starts)
        return {mark for mark in marks if mark % self.stride == 0}


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
    return (turns for row in rows if isinstance(row, Prompt) and (turns := _questions(row.messages)))


def _questions(messages: Sequence[Message]) -> list[str]:
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
