"""Thinking apart from what is said, where a server leaves both in one text.

A thought stands at the start of a text, between the tags of the model's family, or before a closing tag alone where the
template has opened it. A tag further on is part of an answer, which may well speak of tags.
"""

import re

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
"""Opening and closing, as the families of models write them."""
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
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*<\|message\|>")
_TOKEN = re.compile(r"<\|(?:start|end|return|channel|message|call|constrain)\|>")
_BARE = re.compile(r"analysis(?=[A-Z]|.*assistantfinal)", re.S)
"""gpt-oss where a server leaves out the tokens between its channels, so that their names stand in the text."""
_QUOTES = "`'\"\u2018\u2019\u201c\u201d"

Apart = tuple[str, str, bool]
"""The thought, what is said, and whether that cannot be told, as the thought was not closed or closed more than once."""


def apart(text: str, opened: bool = False) -> Apart:
    """A text → its parts.

    Args:
        opened: whether the template is known to open a thought, so that a text which closes none is all thought.
    """
    if not (opened or "<" in text or "[" in text or "\u25c1" in text or text.lstrip().startswith(WORDS)):
        return "", text, False  # most texts, at once
    thought, said, unclosed = _first(text, opened)
    if said == text and not unclosed:
        return "", text, False
    while not unclosed and said.startswith(_OPENINGS):  # one thought after the other
        more, said, unclosed = _first(said, False)
        thought = f"{thought}\n{more}".strip()
    return thought, _unwrapped(said), unclosed


def closes_alone(text: str) -> bool:
    """Whether a thought is closed that the text did not open."""
    return not text.lstrip().startswith(_OPENINGS) and bool(_alone(text))


WORDS = ("analysis", *(opening for opening, _ in SENTENCES))
_OPENINGS = tuple(opening for opening, _ in (*TAGS, *SENTENCES))


def _first(text: str, opened: bool) -> Apart:
    begun = text.lstrip()
    if begun.startswith((CHANNEL, f"<|start|>assistant{CHANNEL}")):
        return _channels(begun)
    if _BARE.match(begun):
        return _parts(begun.removeprefix("analysis"), "", "assistantfinal")
    for opening, closing in (*TAGS, *SENTENCES):
        if begun.startswith(opening):
            return _parts(begun.removeprefix(opening), opening, closing)
    if tags := _alone(text):
        return _parts(text, *tags)
    return (text.strip(), "", True) if opened else ("", text, False)


def _parts(text: str, opening: str, closing: str) -> Apart:
    thought, closed, said = text.partition(closing)
    before, again, _ = said.partition(closing)
    if not closed or (again and opening not in before):  # closed once more: which is the end of the thought?
        return text.strip(), "", True
    return thought.strip(), said.strip(), False


def _alone(text: str) -> tuple[str, str] | None:
    """The tags of which a text has the closing one alone; one in quotes is spoken of."""
    for opening, closing in TAGS:
        place = text.find(closing)
        if place >= 0 and opening not in text[:place] and not _quoted(text, place, place + len(closing)):
            return opening, closing
    return None


def _quoted(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start] in tuple(_QUOTES) and text[end : end + 1] in tuple(_QUOTES)


def _unwrapped(said: str) -> str:
    for opening, closing in ANSWERS:
        if said.startswith(opening) and (opening or said.endswith(closing)):
            return said.removeprefix(opening).removesuffix(closing).strip()
    return said


def _channels(text: str) -> Apart:
    """gpt-oss: an answer is what its final channel holds, all before it are thoughts."""
    final = _FINAL.search(text)
    if not final:
        return _TOKEN.sub(" ", text).strip(), "", True
    return _TOKEN.sub(" ", text[: final.start()]).strip(), _TOKEN.split(text[final.end() :])[0].strip(), False
