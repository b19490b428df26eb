"""Messages, and lists of texts, that a file keeps as text in the notation of JSON or Python; names of columns in a sentence."""

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Set
from contextlib import suppress

LONGEST = 1 << 20
"""Characters of Python's notation that are parsed: its parser needs many times the memory of the text."""
SHOWN, WIDEST = 20, 60
"""Names in a sentence, and letters of each."""
_BEGIN = re.compile(r"(?:array\()?(\[?)\s*\{\s*['\"](\w+)['\"]\s*:")
_KEY = re.compile(r"['\"](\w+)['\"]\s*:")
_WHO, _WHAT = {"role", "from"}, {"content", "value", "text"}


class Unusable(ValueError):
    """A row that gives nothing; ``reason`` is counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def messages(words: str) -> list[object] | dict[str, object] | None:
    """The messages, or parts of one, that a text is the notation of; None where it is not one.

    Raises:
        Unusable: it looks like one that cannot be read.
    """
    words = _once(words.strip())
    begin = _BEGIN.match(words)
    has_list = begin is not None and bool(begin[1]) and begin[2] in _WHO
    if not begin or not (has_list or is_turn(set(_KEY.findall(words)))):
        return None
    data = _parse(words, "messages")
    inner = data.values() if isinstance(data, dict) else ()
    turns = [each for value in (data, *inner) for each in (value if isinstance(value, list) else [value])]
    has_turn = any(isinstance(each, dict) and is_turn(each.keys()) for each in turns)
    return data if isinstance(data, list | dict) and (has_turn or has_list) else None


def _once(words: str) -> str:
    """A text without the second notation that it was put in, as where JSON was written as a text of JSON."""
    if words.startswith(('"[', '"{')):
        with suppress(ValueError, RecursionError):
            inner = json.loads(words)
            return inner.strip() if isinstance(inner, str) else words
    return words


def names(columns: Iterable[object]) -> str:
    """Names of columns for a sentence: the first of them, in one line, none longer than one takes in."""
    labels = [printable(str(each)).replace("\n", "\\n").replace("\t", "\\t") for each in columns]
    short = [each if len(each) <= WIDEST else f"{each[:WIDEST]}…" for each in labels[:SHOWN]]
    return ", ".join([*short, *([f"and {len(labels) - SHOWN} more"] if len(labels) > SHOWN else [])])


def twice(columns: Iterable[str]) -> str:
    """The names that stand more than once; empty where none does."""
    return names(name for name, count in Counter(columns).items() if count > 1 and name)


def printable(words: str) -> str:
    """What strangers' files say, without what a terminal would act on, or what is no text."""
    if words.isprintable():
        return words
    return "".join(each if each.isprintable() or each in "\n\t" else f"\\x{ord(each):02x}" for each in words)


def is_turn(keys: Set[object]) -> bool:
    """Whether an object with these keys is a message, or a part of one."""
    return bool((_WHO | {"type"}) & keys and _WHAT & keys)


def texts(words: str) -> object:
    """The list of texts that a text is the notation of; the text itself where it is not one.

    Raises:
        Unusable: it looks like one that cannot be read.
    """
    words = words.strip()
    data = _parse(words, "a list of texts") if re.match(r"\[\s*['\"]", words) else None
    return words if data is None else data


def is_texts(words: str) -> bool:
    """Whether a text is the notation of a list of texts."""
    try:
        data = texts(words)
    except Unusable:
        return False
    return isinstance(data, list) and all(isinstance(each, str) for each in data)


def _parse(words: str, what: str) -> object:
    """What a text is the notation of; None where it goes on in words after one.

    Raises:
        Unusable: of nothing, or of several.
    """
    try:
        data, end = json.JSONDecoder().raw_decode(words)
        if end == len(words) or words[end:].lstrip()[0] not in "{,":
            return data if end == len(words) else None
    except (ValueError, RecursionError):
        pass
    try:
        return _python(words)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise Unusable(
            "unreadable_messages", f"looks like {what} in the notation of JSON or Python, and is not"
        ) from None


def _python(words: str) -> object:
    if len(words) > LONGEST:
        raise ValueError
    # An array of NumPy's, or one object a line, has a line's end between its items, which Python never has inside a text.
    words = re.sub(r"\}[ \t]*\n[ \t]*\{", "}, {", words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that Python does not know
        data = ast.literal_eval(words)
    return list(data) if isinstance(data, tuple) else data
