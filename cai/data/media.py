"""Images, audio and video of a row, by the names of columns and parts, and by their places in a text."""

import re
from collections.abc import Mapping
from functools import lru_cache

from cai.data.notation import Unusable
from cai.data.values import absent, text

MEDIA = {"image": "an image", "audio": "audio", "video": "a video"}
"""What a part, a turn or a column beside a question may hold that is no text, by its name."""
_FILE = re.compile(
    r"(?:input_)?(?:(image|audio|video)s?|(img|picture|photo)s?|(pixel)_values)"
    r"(?:_?(?:urls?|uris?|paths?|files?|file_?names?|bytes|base64|\d+))?|(image)_ids?"
)
_PLACE = re.compile(r"<(image|audio|video)>[ \t]*(?:\n|\Z)|(?:\A|.*\n)[ \t]*<(image|audio|video)>\Z", re.DOTALL)


def check(data: Mapping[str, object]) -> None:
    """Refuse what would be asked without its image, audio or video.

    Raises:
        Unusable: there is something under such a name.
    """
    for key, value in data.items():
        if (kind := _medium(str(key))) and value is not False and not absent(value):
            raise Unusable(f"needs_{kind}", f"it needs {MEDIA[kind]} ({text(str(key))})")


@lru_cache(maxsize=4096)
def _medium(name: str) -> str:
    """Which of MEDIA a column or a part holds by its name; empty for others."""
    match = _FILE.fullmatch(name.lower().rpartition(".")[2])
    kind = next(filter(None, match.groups()), "") if match else ""
    return kind if kind in MEDIA or not kind else "image"


def check_places(words: str) -> None:
    """Refuse a text in which one has a place of its own, a line at its beginning or its end.

    Raises:
        Unusable: it has.
    """
    if match := _PLACE.match(words):
        check({match[1] or match[2]: True})
