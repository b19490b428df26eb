"""What is wrong with an exam, said of what was typed: its recipe is one that nobody wrote."""

import re

from cai.cli.look import as_options

_PLACE = re.compile(r"^(?:exam|search):\d+: (\S+?): ")
_NAME = re.compile(r"^search:\d+: stages\[\d+\]\.label\.as: ")
"""A form's folder is named after its settings: one that is no name has a setting that is none, which has a line of its own."""
_COLUMN = re.compile(r"\(key `(prompt|a|b|label|system|context|tools)`\)")
_PLACES = (
    (re.compile(r"stages\[\d+\]\.pairs\.columns\.(\S+)"), r"--columns \1"),
    (re.compile(r"stages\[\d+\]\.pairs\.(\S+)"), r"--\1"),
    (re.compile(r"stages\[\d+\]\.pairs"), ""),
    (re.compile(r"stages\[\d+\]\.label\.(\S+)"), r"\1"),
    (re.compile(r"stages\[\d+\]\.label"), ""),
    (re.compile(r"models\.judge(?:\.(\S+))?"), "--model"),
    (re.compile(r"models\.reward-model(?:\.(\S+))?"), "--reward"),
    (re.compile(r"(constitution|seed)"), r"--\1"),
)
"""Places in the recipe → where on the command line it was said; the pairs' file is named by the sentence itself."""


def typed(text: str) -> str:
    """A sentence for each line, or one, about the command line; what is wrong in several stages was typed once."""
    placed = (_placed(line) for line in text.splitlines() if not _NAME.match(line))
    lines = (as_options(_COLUMN.sub(r"(--columns \1=COLUMN)", line)) for line in placed)
    return "\n".join(dict.fromkeys(lines))


def _placed(line: str) -> str:
    place = _PLACE.match(line)
    for recipe, command in _PLACES:
        if place and (known := recipe.fullmatch(place[1])):
            said = known.expand(command)
            return f"{said}: {line[place.end() :]}" if said else line[place.end() :]
    return line
