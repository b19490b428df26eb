"""A word-level difference, as a terminal or a file shows it."""

from rich.text import Text

from constitution.diff import words

STYLES = {"same": ("", "", ""), "removed": ("red strike", "[-", "-]"), "added": ("green", "{+", "+}")}


def difference(old: str, new: str, colors: bool) -> Text:
    """In colors, or in wdiff's marks where there are none: ``[-old-] {+new+}``."""
    text = Text()
    for kind, part in words(old, new):
        style, before, after = STYLES[kind]
        if text.plain and not text.plain[-1].isspace():
            text.append(" ")
        bare = part.rstrip()
        difference = part if colors or not before else f"{before}{bare}{after}{part[len(bare) :]}"
        text.append(difference, style=style or None)
    return text
