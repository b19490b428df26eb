"""Passwords and keys in the URLs of servers: they go to a training's process by its environment, and into no file."""

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from constitution.visible import without_password

SERVERS = "CAI_SERVERS"
"""The environment variable with the URLs that have one, as a list in JSON."""


def environment(settings: object) -> dict[str, str]:
    """What a process needs beside settings that were written without their passwords; nothing where they have none."""
    urls: dict[str, None] = {}

    def keep(text: str) -> str:
        if _bare(text) != text:
            urls[text] = None
        return text

    _each(settings, keep)
    return {SERVERS: json.dumps([*urls])} if urls else {}


def without(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings as they may be written down."""
    return {key: _each(value, _bare) for key, value in settings.items()}


def restored(settings: Mapping[str, object]) -> dict[str, Any]:
    """Settings that were written down, with the passwords that this process was given."""
    urls = {_bare(url): url for url in json.loads(os.environ.get(SERVERS) or "[]")}
    return {key: _each(value, lambda text: urls.get(text, text)) for key, value in settings.items()}


def _bare(text: str) -> str:
    """A text without the passwords of its URLs; of one that is a URL, without its query, in which some servers take a key."""
    return re.sub(r"^(https?://[^\s?]*)\?\S*$", r"\1", without_password(text))


def _each(data: object, change: Callable[[str], str]) -> object:
    """The same data with every text changed; keys stay."""
    if isinstance(data, dict):
        return {key: _each(value, change) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_each(value, change) for value in data]
    return change(data) if isinstance(data, str) else data
