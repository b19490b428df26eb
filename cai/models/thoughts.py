"""Thoughts parted from answers: by the tags of a text, as servers leave both in one, and by the keys of a message.

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
THOUGHT_KEYS = ("reasoning_content", "reasoning", "thinking")
"""Of a message, under which its thought stands: which of them a template or a server has is its own affair."""
CHANNEL = "<|channel|>"
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*<\|message\|>")
_TOKEN = re.compile(r"<\|(?:start|end|return|channel|message|call|constrain)\|>")
_BARE = re.compile(r"analysis(?=[A-Z]|.*assistantfinal)", re.S)
"""gpt-oss where a server leaves out the tokens between its channels, so that their names stand in the text."""
_QUOTES = "`'\"\u2018\u2019\u201c\u201d"

Parts = tuple[str, str, bool]
"""The thought, the answer, and whether that cannot be told, as the thought was not closed or closed more than once."""


def parts_of(text: str, in_thought: bool = False) -> Parts:
    """A text → its parts.

    Args:
        in_thought: whether the template is known to open a thought, so that a text which closes none is all thought.
    """
    if not (in_thought or "<" in text or "[" in text or "\u25c1" in text or text.lstrip().startswith(WORDS)):
        return "", text, False  # most texts, at once
    thought, answer, unclosed = _first(text, in_thought)
    if answer == text and not unclosed:
        return "", text, False
    while not unclosed and answer.startswith(_OPENINGS):  # one thought after the other
        more, answer, unclosed = _first(answer, False)
        thought = f"{thought}\n{more}".strip()
    return thought, _unwrap(answer), unclosed


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
    return not text.lstrip().startswith(_OPENINGS) and bool(_alone(text))


WORDS = ("analysis", *(opening for opening, _ in SENTENCES))
_OPENINGS = tuple(opening for opening, _ in (*TAGS, *SENTENCES))


def _first(text: str, in_thought: bool) -> Parts:
    start = text.lstrip()
    if start.startswith((CHANNEL, f"<|start|>assistant{CHANNEL}")):
        return _channels(start)
    if _BARE.match(start):
        return _parts(start.removeprefix("analysis"), "", "assistantfinal")
    for opening, closing in (*TAGS, *SENTENCES):
        if start.startswith(opening):
            return _parts(start.removeprefix(opening), opening, closing)
    if tags := _alone(text):
        return _parts(text, *tags)
    return (text.strip(), "", True) if in_thought else ("", text, False)


def _parts(text: str, opening: str, closing: str) -> Parts:
    thought, end, answer = text.partition(closing)
    before, second_end, _ = answer.partition(closing)
    if not end or (second_end and opening not in before):  # closed once more: which is the end of the thought?
        return text.strip(), "", True
    return thought.strip(), answer.strip(), False


def _alone(text: str) -> tuple[str, str] | None:
    """The tags of which a text has the closing one alone; one in quotes is spoken of."""
    for opening, closing in TAGS:
        place = text.find(closing)
        if place >= 0 and opening not in text[:place] and not _quoted(text, place, place + len(closing)):
            return opening, closing
    return None


def _quoted(text: str, start: int, end: int) -> bool:
    return text[start - 1 : start] in tuple(_QUOTES) and text[end : end + 1] in tuple(_QUOTES)


def _unwrap(answer: str) -> str:
    for opening, closing in ANSWERS:
        if answer.startswith(opening) and (opening or answer.endswith(closing)):
            return answer.removeprefix(opening).removesuffix(closing).strip()
    return answer


def _channels(text: str) -> Parts:
    """gpt-oss: an answer is what its final channel holds, all before it are thoughts."""
    final = _FINAL.search(text)
    if not final:
        return _TOKEN.sub(" ", text).strip(), "", True
    return _TOKEN.sub(" ", text[: final.start()]).strip(), _TOKEN.split(text[final.end() :])[0].strip(), False
