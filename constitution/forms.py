"""The line in which a judge says its choice, in the constitution's own words: forced, asked for as the last line, or read there."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from constitution.model import Constitution
from constitution.naming import LETTERS as BY_LETTER
from constitution.naming import USUAL, Naming, naming
from constitution.templates import CHOICE, fill, in_word

LETTERS = "ABCDEFGHIJ"
RATINGS = tuple(str(number) for number in range(1, 11))
_MINUS = re.compile(r"(?<!\w)[-−](?=\d)")


@dataclass(frozen=True, slots=True)
class Form:
    """One line that says one of some choices.

    Attributes:
        before: what stands before the choice, with the opening mark; it is also forced as an answer's beginning.
        after: what stands after it.
    """

    before: str
    after: str
    choices: tuple[str, ...]

    def line(self, choice: str) -> str:
        """The line that says this choice."""
        return f"{self.before}{choice}{self.after}"

    @property
    def stop(self) -> str:
        """The words that begin the line; empty where it has none."""
        return self.before.rstrip(" ([:：")

    def read(self, text: str) -> str:
        """The choice that the last line of a text says; empty where it says none, or more than that.

        The line holds nothing but the form's words, or the choice alone; marks and parentheses around them, spaces and
        the case of words are no matter. A text that says two choices in lines of the form says none: one may be an echo
        of what was asked.
        """
        lines = [words for line in text.splitlines() if (words := _words(line))]
        last = self._choice(lines[-1], True) if lines else ""
        return last if not {self._choice(line) for line in lines[:-1]} - {"", last} else ""

    def _choice(self, words: tuple[str, ...], alone: bool = False) -> str:
        start, end = _fold(_words(self.before)), _fold(_words(self.after))
        middle = words[len(start) : len(words) - len(end)]
        if _fold(words) != (*start, *_fold(middle), *end):
            middle = ()
        matches = [each for each in self.choices if _same(each, middle) or (alone and _same(each, words))]
        return matches[0] if len(matches) == 1 else ""


def verdict(constitution: Constitution, ties: bool = False, names: str = BY_LETTER) -> Form:
    """Which of two answers is better, the one shown first or the other, and if so wanted that neither is.

    Args:
        names: what the answers are called, see ``constitution.naming``.
    """
    words, named = constitution.templates, naming(constitution, names)
    return _form(words.verdict_line, (*named.both, words.tie_word) if ties else named.both, named)


def rating(constitution: Constitution) -> Form:
    """How good an answer is, from 1 to 10."""
    return _form(constitution.templates.rating_line, RATINGS)


def truth(constitution: Constitution) -> Form:
    """Whether a statement is true: yes first, then no."""
    words = constitution.templates
    return _form(words.verdict_line, (words.yes_word, words.no_word))


def ranking(constitution: Constitution, order: Sequence[str], rest: Sequence[str]) -> Form:
    """Which of the answers that are left comes next, after those that were taken."""
    form = _form(constitution.templates.ranking_line, tuple(rest))
    return Form(form.before + "".join(f"{letter}) > (" for letter in order), form.after, form.choices)


def instruction(constitution: Constitution, form: Form) -> str:
    """What asks for the form as the last line."""
    return fill(constitution.templates.last_line, {"forms": "\n".join(map(form.line, form.choices))})


def decision(constitution: Constitution, form: Form) -> str:
    """What asks for one of the form's choices by itself, or for none, below an answer whose last line says none."""
    words = constitution.templates
    values = {"forms": "\n".join(map(form.line, form.choices)), "choices": ", ".join(form.choices)}
    return fill(words.decision, {**values, "none": words.none_word})


def options(constitution: Constitution, form: Form) -> tuple[str, ...]:
    """All that may be said then: the form's choices, and the word for none, which comes last."""
    return (*form.choices, constitution.templates.none_word)


@lru_cache(maxsize=256)
def _form(template: str, choices: tuple[str, ...], named: Naming = USUAL) -> Form:
    before, _, after = template.partition(CHOICE)
    return Form(f"{fill(before, {})}{named.opens}", f"{named.closes}{fill(after, {})}", choices)


def _words(line: str) -> tuple[str, ...]:
    """The words of a line, with the marks that many scripts write vowels by; below zero is another number than above."""
    text = _MINUS.sub("minus", unicodedata.normalize("NFKC", line))
    return tuple("".join(each if in_word(each) else " " for each in text).split())


def _fold(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(str.casefold, words))


def _same(choice: str, words: tuple[str, ...]) -> bool:
    """Whether words are a choice; a letter in lower case is none, as "a" is a word as well."""
    own = _words(choice)
    return words == own or (len(choice) > 1 and _fold(words) == _fold(own))
