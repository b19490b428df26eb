"""Thoughts parted from answers: by the tags of a text, as servers leave both in one, and by the keys of a message.

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
THOUGHT_KEYS = ("reasoning_content", "reasoning", "thinking")
"""Of a message, under which its thought stands: which of them a template or a server has is its own affair."""
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

Parts = tuple[str, str, bool]
"""The thought, the answer, and whether that cannot be told, as the thought was not closed or closed more than once."""


_CASE = re.IGNORECASE | re.ASCII
"""Without ASCII, "\u017f" would be an "s" and "\u0131" an "i", whose small letters are no key of ``_MARKS``."""


def _word(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text), _CASE)


def _any(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)), _CASE)


_MARKS = {mark.lower(): (_word(both[0]), _word(both[1])) for both in (*TAGS, *SENTENCES) for mark in both}
"""Opening or closing → both."""
_ANSWERS = [(_word(opening), _word(closing)) for opening, closing in ANSWERS]
# Without letters at their beginning they are soon found.
_OPENING_TAGS, _CLOSING_TAGS = (_any(tags) for tags in zip(*TAGS, strict=True))
_OPENINGS = _any(opening for opening, _ in (*TAGS, *SENTENCES))
WORDS = ("analysis", *(opening for opening, _ in SENTENCES))


def parts_of(text: str, in_thought: bool = False) -> Parts:
    """A text → its parts.

    Args:
        in_thought: whether the template is known to open a thought, so that a text which closes none is all thought.
    """
    if not (in_thought or "<" in text or "[" in text or "\u25c1" in text or text.lstrip().startswith(WORDS)):
        return "", text, False  # most texts, at once
    thought, answer, unclosed = _first(text, in_thought)
    while not unclosed and (thought or answer != text) and _OPENINGS.match(answer):  # one thought after the other
        more, answer, unclosed = _first(answer, False)
        thought = f"{thought}\n{more}".strip()
    if not unclosed:
        thought, answer, unclosed = _later(thought, answer)
    return thought, answer if answer == text else _unwrap(answer), unclosed


def answer_to(prompt: str, text: str) -> str:
    """The answer in what a model wrote after a prompt, without the thought before it; nothing where that has no end."""
    return parts_of(text, open_tags(prompt) is not None)[1].strip()


def open_tags(prompt: str) -> tuple[str, str] | None:
    """The tags of a thought that a template has opened for the answer; None where it has opened none."""
    text = prompt.rstrip()
    return next((tags for tags in TAGS if text.endswith(tags[0])), None)


def skips_thought(prompt: str) -> bool:
    """Whether a template has opened a thought for the answer and closed it, so that none is to be had."""
    return prompt.rstrip().endswith(tuple(closing for _, closing in TAGS))


def closes_alone(text: str) -> bool:
    """Whether a thought is closed that the text did not open."""
    return not _OPENINGS.match(text.lstrip()) and bool(_alone(text))


def _first(text: str, in_thought: bool) -> Parts:
    start = text.lstrip()
    if start.startswith((CHANNEL, f"<|start|>assistant{CHANNEL}")):
        return _channels(start)
    if _BARE.match(start):
        return _parts(start.removeprefix("analysis"), re.compile("(?!)"), _word("assistantfinal"))
    if opening := _OPENINGS.match(start):
        return _parts(start[opening.end() :], *_MARKS[opening[0].lower()])
    if marks := _alone(text):
        return _parts(text, *marks)
    return (text.strip(), "", True) if in_thought else ("", text, False)


def _parts(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> Parts:
    end = closing.search(text)
    if not end or _closed_in_code(text, end):
        return text.strip(), "", True
    again = closing.search(text, end.end())
    while again and _spoken_of(text, again):
        again = closing.search(text, again.end())
    if again and not opening.search(text, end.end(), again.start()):
        return text.strip(), "", True  # closed once more: which is the end of the thought?
    return text[: end.start()].strip(), text[end.end() :].strip(), False


def _alone(text: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    """The tags of which a text has the closing one alone."""
    places: dict[str, int] = {}  # from which on an opening one is looked for
    for tag in _CLOSING_TAGS.finditer(text):
        name = tag[0].lower()
        opening, closing = _MARKS[name]
        before = opening.search(text, places.get(name, 0), tag.start())
        if not before and not _spoken_of(text, tag):
            return opening, closing
        places[name] = before.start() if before else tag.end()
    return None


def _spoken_of(text: str, closing: re.Match[str]) -> bool:
    """Whether a closing tag closes nothing, as it stands in quotes or in code."""
    return _quoted(text, closing) or _closed_in_code(text, closing)


def _quoted(text: str, tag: re.Match[str]) -> bool:
    start, end = tag.span()
    return text[start - 1 : start] in tuple(_QUOTES) and text[end : end + 1] in tuple(_QUOTES)


def _later(thought: str, answer: str) -> Parts:
    """Thoughts after the first words of the answer."""
    place = 0
    while tag := next(_openings(answer, place), None):
        opening, closing = _MARKS[tag[0].lower()]
        start, before = tag.end(), answer[: tag.start()]
        end = closing.search(answer, start)
        line = before.rpartition("\n")[2].rstrip()
        if end and line and line[-1] not in ".!?" and len(answer[start : end.start()].split()) <= FEW:
            place = end.end()
            continue
        more, after, unclosed = _parts(answer[start:], opening, closing)
        if line or unclosed:
            return f"{thought}\n{answer}".strip(), "", True
        thought = f"{thought}\n{more}".strip()
        answer = f"{before.rstrip()}\n\n{after}".strip()
        place = len(before.rstrip())
    return thought, answer, False


def _openings(text: str, start: int) -> Iterator[re.Match[str]]:
    """The tags from a place on that open a thought: those that stand neither in code nor in quotes."""
    tags = _OPENING_TAGS.finditer(text, start)
    return (each for each in tags if not _quoted(text, each) and not _in_code(text, each.start()))


def _in_code(text: str, place: int) -> bool:
    """Whether a place is within a block of code, or a piece of it in a line."""
    fences = text.count("```", 0, place)
    line = text[text.rfind("\n", 0, place) + 1 : place].replace("```", "")
    return fences % 2 == 1 or line.count("`") % 2 == 1


def _closed_in_code(text: str, closing: re.Match[str]) -> bool:
    """Whether a closing tag is within code that ends behind it: code that a thought has left open ends with the thought."""
    start, end = closing.span()
    if "`" not in text or not _in_code(text, start):
        return False
    if text.count("```", 0, start) % 2 == 1:
        return text.count("```", end) % 2 == 1
    return text[end:].partition("\n")[0].replace("```", "").count("`") % 2 == 1


def _unwrap(answer: str) -> str:
    for opening, closing in _ANSWERS:
        start, last = opening.match(answer), [*closing.finditer(answer)][-1:]
        if start and (opening.pattern or (last and last[0].end() == len(answer))):
            end = last[0].start() if last and last[0].end() == len(answer) else len(answer)
            return answer[start.end() : end].strip()
    return answer


def _channels(text: str) -> Parts:
    """gpt-oss: an answer is what its final channel holds, all before it are thoughts."""
    final = _FINAL.search(text)
    if not final:
        return _TOKEN.sub(" ", text).strip(), "", True
    return _TOKEN.sub(" ", text[: final.start()]).strip(), _TOKEN.split(text[final.end() :])[0].strip(), False
