"""Text as a terminal may show it: what models, servers and strangers' files say must not steer it, or turn its lines around."""

import json
import re

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls but for tabs and ends of lines, by which escape sequences begin; what reverses text; and halves of letters."""

_INVISIBLE = re.compile(r"[\s\u00ad\u115f\u1160\u180e\u200b-\u200f\u2060-\u2064\u2800\u3164\ufeff]*")

_PERSON = re.compile(r"(?<=://)[^/?#\s\"'<>]*@")


def visible(text: str) -> str:
    """The text with its controls written out, such as ``\\x1b``; all else is as it was."""
    return _STEERING.sub(_escape, text.replace("\r\n", "\n")) if _STEERING.search(text) else text


def invisible(text: str) -> bool:
    """Whether a text has no letter that anybody sees."""
    return _INVISIBLE.fullmatch(text) is not None


def json_text(data: object, indent: int | None = 2) -> str:
    """JSON for a terminal or a program: the same data, with the controls that JSON would leave as they are written out."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return _STEERING.sub(lambda each: f"\\u{ord(each[0]):04x}", text)


def without_password(text: str) -> str:
    """A URL, or a text that holds some, without the person and the password that a URL may name."""
    return _PERSON.sub("", text)


def _escape(control: re.Match[str]) -> str:
    number = ord(control[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
