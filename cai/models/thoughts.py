"""Thoughts parted from answers: by the tags of a text, as servers leave both in one, and by the keys of a message.

A thought stands at the start of a text, between the tags of the model's family, or before a closing tag alone where the
template has opened it. Further on, one that begins a line is a thought, too; in code, in quotes and around a few words of a
sentence tags are part of an answer, which may well speak of them; and of any other it cannot be told, so that nothing is said.
"""

import re
from collections.abc import Iterable, Iterator

from cai.models.code import Code

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
_SPACE = re.compile(r"\s*")
_QUOTES = "`'\"\u2018\u2019\u201c\u201d"


FEW = 5
"""Words between two tags in the middle of a sentence: of no more it is believed that they are spoken of."""

Cut = tuple[str, int | None]
"""A thought, and the place of what is said after it; None where it is not closed, or that cannot be told."""
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
    """A text → its parts, in a time that grows as the text does, however often a model repeats itself.

    Args:
        in_thought: whether the template is known to open a thought, so that a text which closes none is all thought.
    """
    if not (in_thought or "<" in text or "[" in text or "\u25c1" in text or text.lstrip().startswith(WORDS)):
        return "", text, False  # most texts, at once
    start, thoughts = _skip(text), list[str]()
    if text.startswith((CHANNEL, f"<|start|>assistant{CHANNEL}"), start):
        thought, text, unclosed = _channels(text[start:])
        cut, code = (thought, None if unclosed else 0), Code(text)
    else:
        code = Code(text)
        cut = _first(text, code, start)
    if cut is None:
        return (text.strip(), "", True) if in_thought else _later(text, code, thoughts, 0)
    while True:  # one thought after the other
        thought, after = cut
        thoughts.append(thought)
        if after is None:
            return _joined(thoughts), "", True
        opening = _OPENINGS.match(text, after)
        if not opening:
            return _later(text, code, thoughts, after)
        cut = _parts(text, code, opening.end(), *_MARKS[opening[0].lower()])


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
    return not _OPENINGS.match(text, _skip(text)) and bool(_alone(text, Code(text)))


def _skip(text: str, place: int = 0) -> int:
    """The first place from one on that is no space."""
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _joined(thoughts: Iterable[str]) -> str:
    return "\n".join(filter(None, thoughts)).strip()


def _first(text: str, code: Code, start: int) -> Cut | None:
    """The thought that a text begins with; None where it begins with none."""
    if _BARE.match(text, start):
        return _parts(text, code, start + len("analysis"), re.compile("(?!)"), _word("assistantfinal"))
    if opening := _OPENINGS.match(text, start):
        return _parts(text, code, opening.end(), *_MARKS[opening[0].lower()])
    marks = _alone(text, code)
    return _parts(text, code, 0, *marks) if marks else None


def _parts(text: str, code: Code, start: int, opening: re.Pattern[str], closing: re.Pattern[str]) -> Cut:
    """The thought that begins at a place, and where what is said after it does."""
    end = closing.search(text, start)
    if not end or code.closes_behind(start, end.span()):
        return text[start:].strip(), None
    again = closing.search(text, end.end())
    while again and _spoken_of(text, code, again, start):
        again = closing.search(text, again.end())
    if again and not opening.search(text, end.end(), again.start()):
        return text[start:].strip(), None  # closed once more: which is the end of the thought?
    return text[start : end.start()].strip(), _skip(text, end.end())


def _alone(text: str, code: Code) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    """The tags of which a text has the closing one alone."""
    places: dict[str, int] = {}  # from which on an opening one is looked for
    for tag in _CLOSING_TAGS.finditer(text):
        name = tag[0].lower()
        opening, closing = _MARKS[name]
        before = opening.search(text, places.get(name, 0), tag.start())
        if not before and not _spoken_of(text, code, tag, 0):
            return opening, closing
        places[name] = before.start() if before else tag.end()
    return None


def _spoken_of(text: str, code: Code, closing: re.Match[str], start: int) -> bool:
    """Whether a closing tag closes nothing, as it stands in quotes or in code; of a text that begins at a place."""
    return _quoted(text, closing) or code.closes_behind(start, closing.span())


def _quoted(text: str, tag: re.Match[str]) -> bool:
    start, end = tag.span()
    return text[start - 1 : start] in tuple(_QUOTES) and text[end : end + 1] in tuple(_QUOTES)


def _later(text: str, code: Code, thoughts: list[str], start: int) -> Parts:
    """Thoughts after the first words of an answer, which begins at a place; ``thoughts`` came before it."""
    whole, pieces, fences = not thoughts, list[str](), 0  # what is said between thoughts, and the fences in that
    piece = line = place = seen = start
    while tag := next(_openings(text, code, place, (piece, fences)), None):
        opening, closing = _MARKS[tag[0].lower()]
        line, seen = max(line, text.rfind("\n", seen, tag.start()) + 1), tag.start()
        end, last = closing.search(text, tag.end()), _last(text, line, tag.start())
        if end and last and last not in ".!?" and len(text[tag.end() : end.start()].split()) <= FEW:
            place = end.end()
            continue
        more, after = _parts(text, code, tag.end(), opening, closing)
        if last or after is None:
            return _joined([*thoughts, "\n\n".join(filter(None, [*pieces, text[piece:]]))]), "", True
        thoughts.append(more)
        pieces.append(text[piece : tag.start()].strip())
        fences += code.count(piece, tag.start())
        whole, piece = False, after
        line = place = seen = after
    if whole:
        return "", text, False
    return _joined(thoughts), _unwrap("\n\n".join(filter(None, [*pieces, text[piece:].strip()]))), False


def _last(text: str, start: int, end: int) -> str:
    """The last letter between two places that is no space; empty where there is none."""
    while end > start and text[end - 1].isspace():
        end -= 1
    return text[end - 1] if end > start else ""


def _openings(text: str, code: Code, place: int, begun: tuple[int, int]) -> Iterator[re.Match[str]]:
    """The tags from a place on that open a thought: those that stand neither in code nor in quotes.

    Args:
        begun: where what is said began, and how many fences had stood in what was said before.
    """
    tags = _OPENING_TAGS.finditer(text, place)
    return (each for each in tags if not _quoted(text, each) and not code.holds(each.start(), *begun))


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
