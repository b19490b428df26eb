"""What the two answers of a comparison are called, wherever a judge reads or says it.

A constitution words its templates and exemplars with (A) and (B). Under another naming these marks are replaced in the
constitution's own words before anything goes in, so that nothing of a conversation or an answer is ever renamed.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from constitution.model import Constitution
from constitution.templates import Templates

LETTERS = "letters"
NAMINGS = (LETTERS, "numbers", "words", "brackets")
"""(A) and (B), (1) and (2), (first) and (second) in the constitution's words, or [[A]] and [[B]] as in MT-bench."""
RENAMED = ("numbers", "words")
"""Under these no letter may be left."""
SHOWN: Mapping[str, str] = {"cached": "judgment", "paper": "options", "framed": "framed"}
"""Layout → the template that shows the answers."""
_NOUN = re.compile(r"(\w+)[ \t]*\(A\)[^\n]*\n?[^\n]*\{a\}")
_NO_VERBS = (
    "customs|diabetes|drugs|lens|means|measles|news|perhaps|rabies|rights|sales|savings|series|sometimes|species|sports|"
    "systems|weapons|yes"
)
"""Words that follow the article and end as a verb does."""
_VERB = (
    rf"(?:(?:also|always|even|never|only|still|then)\s+)?(?:(?!(?:{_NO_VERBS})\b)[a-z]+(?<!ic)(?<![aiosu])s|is|was|has|had|did|"
    r"can(?! of)|could|may|might|must|shall|should|will|would)(?![\w'\u2019-])"
)
_LETTER = re.compile(
    r"\bB\b"
    r"|(?<![\w.&])A(?=['\u2019]s\b|[,;:!?)\]*\"'\u201d\u2019]|\.(?!\w)|\s*[\u2013\u2014]|\s*\Z)"
    r"|(?<=[\w,;][ \t])A\b(?!\s+[A-Z]|\.\w)"
    rf"|\bA\s+{_VERB}"
)
"""A letter that stands alone. A is the article as well: a letter it is before a mark or a verb, and in the middle of a line."""


@dataclass(frozen=True, slots=True)
class Naming:
    """The names of the first and the second answer, with the marks around them."""

    first: str = "A"
    second: str = "B"
    opens: str = "("
    closes: str = ")"

    @property
    def both(self) -> tuple[str, str]:
        """The names in the order shown."""
        return self.first, self.second

    def of(self, letter: str) -> str:
        """The name that stands for A or B."""
        return self.second if letter == "B" else self.first

    def marked(self, letter: str) -> str:
        """The name with its marks."""
        return f"{self.opens}{self.of(letter)}{self.closes}"

    def words(self, text: str) -> str:
        """A template's or an exemplar's text under these names."""
        if self == USUAL:
            return text
        text = text.replace("(A)", self.marked("A")).replace("(B)", self.marked("B"))
        if self.first == "A":
            return text
        return text.replace("better answer's letter", "better answer's name")

    def reasoning(self, text: str, nouns: Collection[str]) -> str:
        """An exemplar's reasoning under these names: it may say "answer A" for (A).

        Args:
            nouns: what answers are called before their letter.
        """
        text = self.words(text)
        if self.first == "A" or not nouns:
            return text
        called = re.compile(rf"\b((?i:{'|'.join(map(re.escape, nouns))})\s+)([AB])\b")
        return called.sub(lambda found: found[1] + self.of(found[2]), text)


USUAL = Naming()


def naming(constitution: Constitution, names: str) -> Naming:
    """The names and marks that one of ``NAMINGS`` stands for, in the constitution's words."""
    words = constitution.templates
    match names:
        case "numbers":
            return Naming("1", "2")
        case "words":
            return Naming(words.first_word, words.second_word)
        case "brackets":
            return Naming(opens="[[", closes="]]")
        case _:
            return USUAL


@lru_cache(maxsize=64)
def nouns(templates: Templates) -> frozenset[str]:
    """The words before (A) where the answers are shown, such as "Answer"."""
    return frozenset(found[1] for use in SHOWN.values() for found in _NOUN.finditer(getattr(templates, use)))


def unnamed(constitution: Constitution, layout: str) -> Iterator[str]:
    """The keys of those words of a constitution in which answers are called A and B otherwise than can be replaced."""
    templates, shown = constitution.templates, SHOWN[layout]
    called = nouns(templates)
    for use in (shown, "judge", "reasoning", "criticized", "weigh"):
        text: str = getattr(templates, use)
        if _stays(text, ()) or (use == shown and not ("(A)" in text and "(B)" in text)):
            yield f"templates.{use}"
    if _stays(constitution.preamble, ()):
        yield "preamble"
    for principle in constitution.principles:
        if _stays(principle.judgment, ()):
            yield f"principles[{principle.id}].judgment"
    for number, each in enumerate(constitution.judgment):
        if _stays(each.reasoning, called):
            yield f"exemplars.judgment[{number}].reasoning"


def _stays(text: str, nouns: Collection[str]) -> bool:
    """Whether a letter would still stand there."""
    return bool(_LETTER.search(Naming("1", "2").reasoning(text, nouns)))
