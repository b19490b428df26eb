"""The words around principles and answers: templates with named placeholders, checked when a file is loaded.

A placeholder is ``{name}``; ``{{`` and ``}}`` are braces. Values go in once, as they are: a brace or a quote in what a
person or a model wrote is never read as a placeholder. A line with nothing but empty optional placeholders is left out,
so that a principle without a ``negative`` leaves no trace of the line that would show it.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Templates:
    """The usual words; a constitution's ``templates`` replaces some of them. Each field's placeholders are in ``NEEDS``
    and ``MAY``."""

    review: str = (
        "{preamble}\n\n"
        "You are shown a conversation between a person and an AI assistant. First you get a critique request about the "
        "assistant's last answer: reply with the critique alone. Then you get a revision request: reply with the "
        "revised answer alone, worded as the assistant would say it to the person, without comment on the changes."
    )
    judge: str = (
        "{preamble}\n\n"
        "You are shown a conversation between a person and an AI assistant, two possible next answers, (A) and (B), "
        "and a question about them. End with the better answer's letter, in the form: The answer is: (A)"
    )
    critique: str = "{conversation}\n\nCritique request: {request}\nWhat breaking it looks like: {negative}"
    revision: str = "Revision request: {request}"
    judgment: str = (
        "{conversation}\n\nAnswer (A): {a}\n\nAnswer (B): {b}\n\n"
        "Question: {question}\nWhat the better answer avoids: {negative}\n{reasoning}"
    )
    reasoning: str = "Weigh both answers first, step by step."
    options: str = (
        "{conversation}\n\nQuestion: {question}\nWhat the better answer avoids: {negative}\n\n"
        "Answer (A): {a}\n\nAnswer (B): {b}\n\n{reasoning}"
    )
    framed: str = (
        "Question: {question}\nWhat the better answer avoids: {negative}\n"
        "Let neither the order of the two answers nor their length sway you.\n\n"
        "--- the conversation begins ---\n{conversation}\n--- the conversation ends ---\n\n"
        "--- answer (A) begins ---\n{a}\n--- answer (A) ends ---\n\n"
        "--- answer (B) begins ---\n{b}\n--- answer (B) ends ---\n\n"
        "{reasoning}"
    )
    criticized: str = (
        "A critique of answer (A): {critique_a}\n\nA critique of answer (B): {critique_b}\n\n"
        "Check what the critiques say against the answers themselves."
    )
    argue: str = (
        "Give no verdict yet. In a few sentences, make the strongest honest case for answer ({letter}) as the better "
        "answer to the question above."
    )
    weigh: str = "Weigh the two cases against the answers themselves. Which answer is better?"
    grade: str = (
        "{preamble}\n\n"
        "You are shown a conversation between a person and an AI assistant, and something to find out about the "
        "assistant's last answer. Reply in the form that is asked for, and with nothing else."
    )
    score: str = (
        "{conversation}\n\nQuestion, as it is put for two answers: {question}\n"
        "What the better answer avoids: {negative}\n"
        "How well would the assistant's last answer do by this question, from 1 (badly) to 10 (perfectly)? "
        "Reply in the form: The rating is: (5)"
    )
    proposition: str = (
        "{conversation}\n\nStatement about the assistant's last answer: {proposition}\n"
        "Is the statement true? Reply in the form: The answer is: (Yes) or The answer is: (No)"
    )
    rank: str = (
        "{preamble}\n\n"
        "You are shown a conversation between a person and an AI assistant, several possible next answers, and a "
        "question. Rank all answers by the question, in the form: The ranking is: (B) > (A)"
    )
    ranking: str = (
        "{conversation}\n\n{answers}\n\nQuestion, as it is put for two answers: {question}\n"
        "What the better answer avoids: {negative}\nRank all {count} answers by it, the best first."
    )
    verdict_line: str = "The answer is: ({choice})"
    rating_line: str = "The rating is: ({choice})"
    ranking_line: str = "The ranking is: ({choice})"
    last_line: str = "End with a line of its own, in exactly one of these forms:\n{forms}"
    decision: str = (
        "Which of these lines does your answer come to?\n{forms}\n"
        "Reply with one of these alone: {choices}; or with {none}, if it comes to none of them."
    )
    none_word: str = "None"
    yes_word: str = "Yes"
    no_word: str = "No"
    tie_word: str = "Tie"
    first_word: str = "first"
    second_word: str = "second"


LINES = ("verdict_line", "rating_line", "ranking_line")
WORDS = ("yes_word", "no_word", "tie_word", "none_word", "first_word", "second_word")
ADDED = frozenset((*LINES, "last_line", "decision", "framed", *WORDS))
"""Not known to runs of before: where these are the usual ones, nothing changed."""
CHOICE = "({choice})"
"""A judge's choice stands in parentheses, as the answers do that it is shown."""
NEEDS: Mapping[str, frozenset[str]] = {
    "review": frozenset(),
    "judge": frozenset(),
    "critique": frozenset({"conversation", "request"}),
    "revision": frozenset({"request"}),
    "judgment": frozenset({"conversation", "a", "b", "question"}),
    "reasoning": frozenset(),
    "options": frozenset({"conversation", "a", "b", "question"}),
    "framed": frozenset({"conversation", "a", "b", "question"}),
    "criticized": frozenset({"critique_a", "critique_b"}),
    "argue": frozenset({"letter"}),
    "weigh": frozenset(),
    "grade": frozenset(),
    "score": frozenset({"conversation", "question"}),
    "proposition": frozenset({"conversation", "proposition"}),
    "rank": frozenset(),
    "ranking": frozenset({"conversation", "answers", "question"}),
    **dict.fromkeys(LINES, frozenset({"choice"})),
    "last_line": frozenset({"forms"}),
    "decision": frozenset({"forms", "choices", "none"}),
    **dict.fromkeys(WORDS, frozenset[str]()),
}
MAY: Mapping[str, frozenset[str]] = {
    "review": frozenset({"preamble"}),
    "judge": frozenset({"preamble"}),
    "critique": frozenset({"negative", "title"}),
    "revision": frozenset({"negative", "title"}),
    "judgment": frozenset({"negative", "title", "reasoning"}),
    "reasoning": frozenset(),
    "options": frozenset({"negative", "title", "reasoning"}),
    "criticized": frozenset(),
    "argue": frozenset(),
    "weigh": frozenset(),
    "grade": frozenset({"preamble"}),
    "score": frozenset({"negative", "title"}),
    "proposition": frozenset(),
    "rank": frozenset({"preamble"}),
    "ranking": frozenset({"negative", "title", "count"}),
    **dict.fromkeys(ADDED, frozenset[str]()),
    "framed": frozenset({"negative", "title", "reasoning"}),
}
OPTIONAL = frozenset().union(*MAY.values())

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[a-z_]+\Z")


def mistakes(field: str, text: str) -> Iterator[str]:
    """What is wrong with a template's placeholders, a sentence each."""
    placeholders = NEEDS[field] | MAY[field]
    listing = ", ".join(f"{{{name}}}" for name in sorted(placeholders)) or "none"
    names = set()
    for token in _TOKEN.finditer(text):
        if token.group() in ("{{", "}}"):
            continue
        if token.group() in ("{", "}"):
            yield f"a single {token.group()} stands alone; write {token.group() * 2} for a brace"
        elif not _NAME.match(token.group(1)):
            yield f"{token.group()[:40]} is not a named placeholder; the placeholders here: {listing}"
        elif token.group(1) not in placeholders:
            yield f"there is no placeholder {token.group()[:40]} here; the placeholders here: {listing}"
        names.add(token.group(1))
    for name in sorted(NEEDS[field] - names):
        yield f"{{{name}}} is missing; add it"
    if field in LINES and "choice" in names and (text.count("{choice}") > 1 or CHOICE not in text or "\n" in text):
        yield f"a line has {CHOICE} in it, once and in parentheses, and no second line; change it"
    if field in WORDS and not all(in_word(each) and not each.isdigit() for each in text.strip()):
        yield "a word has letters alone; change it"


def in_word(character: str) -> bool:
    """Whether it is a letter, a digit, or a mark that belongs to one, as vowels are in many scripts."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced, without the lines whose placeholders are all empty."""
    return "\n".join(line.text(values) for line in _lines(template) if line.shows(values)).strip("\n")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a template, which is read once and filled for every row.

    Attributes:
        form: the line as ``%`` takes it.
        names: of its placeholders.
        optional: whether it is left out where they are all empty.
    """

    form: str
    names: tuple[str, ...]
    optional: bool

    def shows(self, values: Mapping[str, str]) -> bool:
        return not self.optional or any(map(values.get, self.names))

    def text(self, values: Mapping[str, str]) -> str:
        return self.form % tuple([values.get(name, "") for name in self.names])


@lru_cache(maxsize=256)
def _lines(template: str) -> tuple[_Line, ...]:
    return tuple(map(_line, template.split("\n")))


def _line(text: str) -> _Line:
    names = tuple(token.group(1) for token in _TOKEN.finditer(text) if token.group(1) is not None)
    form = _TOKEN.sub(lambda token: token.group()[0] if token.group(1) is None else "%s", text.replace("%", "%%"))
    return _Line(form, names, bool(names) and OPTIONAL.issuperset(names))
