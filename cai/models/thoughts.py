"""Thinking apart from what is said, where a server leaves both in one text.

A thought stands at the start of a text, between the tags of the model's family, or before a closing tag alone where the
template has opened it. Further on, one that begins a line is a thought, too; in code, in quotes and around a few words of a
sentence tags are part of an answer, which may well speak of them; and of any other it cannot be told, so that nothing is said.
"""

import re
from collections.abc import Iterable, Iterator

TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("<mm:think>", "</mm:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<unused94>thought", "<unused95>"),
    ("<|channel>thought", "<channel|>"),
)
"""Opening and closing, as the families of models write them; in small letters or capitals."""
SENTENCES = (
    ("Here is my thought process:", "Here is my response:"),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
)
"""The same in words, which close no thought but one that they opened."""
ANSWERS = (
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("", "[END FINAL RESPONSE]"),
)
"""What some put around what is said after a thought."""
CHANNEL = "<|channel|>"
HARMONY = (CHANNEL, "<|start|>", "<|message|>", "<|end|>")
"""The tokens of gpt-oss between a thought and what is said."""
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*<\|message\|>")
_TOKEN = re.compile(r"<\|(?:start|end|return|channel|message|call|constrain)\|>")
_BARE = re.compile(r"analysis(?=[A-Z]|.*assistantfinal)", re.S)
"""gpt-oss where a server leaves out the tokens between its channels, so that their names stand in the text."""
_QUOTES = "`'\"\u2018\u2019\u201c\u201d"

FEW = 5
"""Words between two tags in the middle of a sentence: of no more it is believed that they are spoken of."""

Apart = tuple[str, str, bool]
"""The thought, what is said, and whether that cannot be told, as the thought was not closed or closed more than once."""


def _word(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text), re.IGNORECASE)


def _any(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE)


_MARKS = {mark.lower(): (_word(both[0]), _word(both[1])) for both in (*TAGS, *SENTENCES) for mark in both}
"""Opening or closing → both."""
_ANSWERS = [(_word(opening), _word(closing)) for opening, closing in ANSWERS]
_OPENED, _CLOSED = (
    _any(tags) for tags in zip(*TAGS, strict=True)
)  # without letters at their beginning they are soon found
_OPENINGS = _any(opening for opening, _ in (*TAGS, *SENTENCES))
WORDS = ("analysis", *(opening for opening, _ in SENTENCES))


def apart(text: str, opened: bool = False) -> Apart:
    """A text → its parts.

    Args:
        opened: whether the template is known to open a thought, so that a text which closes none is all thought.
    """
    if not (opened or "<" in text or "[" in text or "\u25c1" in text or text.lstrip().startswith(WORDS)):
        return "", text, False  # most texts, at once
    thought, said, unclosed = _first(text, opened)
    while not unclosed and (thought or said != text) and _OPENINGS.match(said):  # one thought after the other
        more, said, unclosed = _first(said, False)
        thought = f"{thought}\n{more}".strip()
    if not unclosed:
        thought, said, unclosed = _later(thought, said)
    return thought, said if said == text else _unwrapped(said), unclosed


def closes_alone(text: str) -> bool:
    """Whether a thought is closed that the text did not open."""
    return not _OPENINGS.match(text.lstrip()) and bool(_alone(text))


def _first(text: str, opened: bool) -> Apart:
    begun = text.lstrip()
    if begun.startswith((CHANNEL, f"<|start|>assistant{CHANNEL}")):
        return _channels(begun)
    if _BARE.match(begun):
        return _parts(begun.removeprefix("analysis"), re.compile("(?!)"), _word("assistantfinal"))
    if found := _OPENINGS.match(begun):
        return _parts(begun[found.end() :], *_MARKS[found[0].lower()])
    if marks := _alone(text):
        return _parts(text, *marks)
    return (text.strip(), "", True) if opened else ("", text, False)


def _parts(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> Apart:
    end = closing.search(text)
    again = closing.search(text, end.end()) if end else None
    if not end or (again and not opening.search(text, end.end(), again.start())):
        return text.strip(), "", True  # closed once more: which is the end of the thought?
    return text[: end.start()].strip(), text[end.end() :].strip(), False


def _alone(text: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    """The tags of which a text has the closing one alone; one in quotes is spoken of."""
    first = {each[0].lower(): each for each in reversed([*_CLOSED.finditer(text)])}
    for tag, found in first.items():
        opening, closing = _MARKS[tag]
        if not opening.search(text, 0, found.start()) and not _quoted(text, found):
            return opening, closing
    return None


def _quoted(text: str, found: re.Match[str]) -> bool:
    start, end = found.span()
    return text[start - 1 : start] in tuple(_QUOTES) and text[end : end + 1] in tuple(_QUOTES)


def _later(thought: str, said: str) -> Apart:
    """Thoughts after the first words that are said."""
    place = 0
    while found := next(_openings(said, place), None):
        _, closing = _MARKS[found[0].lower()]
        end, before = found.end(), said[: found.start()]
        closed = closing.search(said, end)
        line = before.rpartition("\n")[2].rstrip()
        if closed and line and line[-1] not in ".!?" and len(said[end : closed.start()].split()) <= FEW:
            place = closed.end()
            continue
        if not closed or line:
            return f"{thought}\n{said}".strip(), "", True
        thought = f"{thought}\n{said[end : closed.start()].strip()}".strip()
        said = f"{before.rstrip()}\n\n{said[closed.end() :].lstrip()}".strip()
        place = len(before.rstrip())
    return thought, said, False


def _openings(text: str, start: int) -> Iterator[re.Match[str]]:
    """The tags from a place on that open a thought: those that stand neither in code nor in quotes."""
    tags = _OPENED.finditer(text, start)
    return (each for each in tags if not _quoted(text, each) and not _in_code(text, each.start()))


def _in_code(text: str, place: int) -> bool:
    """Whether a place is within a block of code, or a piece of it in a line."""
    fences = text.count("```", 0, place)
    line = text[text.rfind("\n", 0, place) + 1 : place].replace("```", "")
    return fences % 2 == 1 or line.count("`") % 2 == 1


def _unwrapped(said: str) -> str:
    for opening, closing in _ANSWERS:
        begun, last = opening.match(said), [*closing.finditer(said)][-1:]
        if begun and (opening.pattern or (last and last[0].end() == len(said))):
            end = last[0].start() if last and last[0].end() == len(said) else len(said)
            return said[begun.end() : end].strip()
    return said


def _channels(text: str) -> Apart:
    """gpt-oss: an answer is what its final channel holds, all before it are thoughts."""
    final = _FINAL.search(text)
    if not final:
        return _TOKEN.sub(" ", text).strip(), "", True
    return _TOKEN.sub(" ", text[: final.start()]).strip(), _TOKEN.split(text[final.end() :])[0].strip(), False
