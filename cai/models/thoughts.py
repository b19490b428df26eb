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
)
"""Opening and closing, as the families of models write them."""
CHANNEL = "<|channel|>"
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*<\|message\|>")
_TOKEN = re.compile(r"<\|(?:start|end|return|channel|message|call|constrain)\|>")


def apart(text: str) -> tuple[str, str, bool]:
    """A text → the thought, what is said, and whether the thought was not closed, so that nothing was said."""
    begun = text.lstrip()
    if begun.startswith((CHANNEL, f"<|start|>assistant{CHANNEL}")):
        return _channels(begun)
    for opening, closing in TAGS:
        if begun.startswith(opening):
            thought, closed, answer = begun.removeprefix(opening).partition(closing)
            return (thought.strip(), answer.strip(), False) if closed else (thought.strip(), "", True)
    for opening, closing in TAGS:
        thought, closed, answer = text.partition(closing)
        if closed and opening not in thought:
            return thought.strip(), answer.strip(), False
    return "", text, False


def _channels(text: str) -> tuple[str, str, bool]:
    """gpt-oss: an answer is what its final channel holds, all before it are thoughts."""
    final = _FINAL.search(text)
    if not final:
        return _TOKEN.sub(" ", text).strip(), "", True
    return _TOKEN.sub(" ", text[: final.start()]).strip(), _TOKEN.split(text[final.end() :])[0].strip(), False
