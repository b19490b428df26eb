"""YAML text to plain data that still knows its lines.

Shared by constitutions and recipes: whatever a person writes is read here, so that every complaint reads
``file:line: field: what is wrong; what to do``.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from constitution.shipped import advice
from constitution.syntax import stumble

Keys = tuple[str | int, ...]
Yaml = dict[str, Any]
"""A mapping of a file, of which its schema says which keys it has and what their values are."""
MOST_BYTES = 16 * 2**20
DEEPEST = 64
MOST_TOLD = 50
"""Problems of a file that an error lists."""


class InputError(ValueError):
    """What a person wrote is wrong; the message says where and what to do.

    Attributes:
        problems: one by one, where the message is a list of them.
    """

    def __init__(self, text: str, problems: "Sequence[Problem]" = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems)


_Safe: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is eight times faster


class _Loader(_Safe):
    """YAML 1.2's idea of a boolean and a number: ``no``, ``0x1f``, ``010`` and ``1:30`` stay text, ``1e-5`` is a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith(":null")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9]\d{0,17})$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file; as text it reads ``file:line: a.b[0].c: what is wrong; what to do``."""

    path: Path
    line: int
    field: str
    text: str
    rule: str = "schema"

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return ": ".join(filter(None, (place, self.field, self.text)))


@dataclass(frozen=True, slots=True)
class Source:
    """A YAML file's data with the line of each of its keys and items.

    Attributes:
        path: as the user gave it, for messages.
        data: dicts, lists and scalars.
        lines: key path → line, counted from 1; the empty path is the whole.
    """

    path: Path
    data: Any
    lines: dict[Keys, int] = field(repr=False)

    def line(self, keys: Keys) -> int:
        """The line of a key path, or of the nearest enclosing key that has one."""
        while keys not in self.lines and keys:
            keys = keys[:-1]
        return self.lines.get(keys, 1)

    def where(self, keys: Keys) -> str:
        """``file:line: a.b[0].c`` for a key path."""
        place = f"{self.path}:{self.line(keys)}"
        return f"{place}: {dotted(keys)}" if keys else place

    def problem(self, keys: Keys, text: str, rule: str = "schema") -> Problem:
        """Something wrong at a key path."""
        return Problem(self.path, self.line(keys), dotted(keys), text, rule)


def dotted(keys: Keys) -> str:
    """``("stages", 1, "revise")`` → ``stages[1].revise``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{_visible(key)}" for key in keys)
    return text.removeprefix(".")


def _visible(key: str) -> str:
    """A key with what no editor shows in it, such as a zero-width space, written out."""
    return key if key.isprintable() else ascii(key)[1:-1]


def read_yaml(path: Path) -> Source:
    """Read one YAML document from a file.

    Raises:
        InputError: the file is missing, is no text, is no YAML, uses tags or aliases, or repeats a key.
    """
    try:
        if path.exists() and not path.is_file():
            raise _refusal(path, 0, "is not a file; name a YAML file")
        if path.stat().st_size > MOST_BYTES:
            raise _refusal(path, 0, f"is larger than {MOST_BYTES // 2**20} MiB; write less in one file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _refusal(path, 0, f"there is no such file; {advice(path, 'check the path')}") from None
    except UnicodeDecodeError as error:
        raise _refusal(path, 0, f"is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise _refusal(path, 0, f"cannot be read: {error.strerror}; check the path") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Source:
    """Parse one YAML document; see ``read_yaml``."""
    loader = None
    try:
        _refuse(text, path)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise _refusal(path, 0, "the file is empty")
        lines: dict[Keys, int] = {}
        _walk(node, (), lines, path)
        return Source(path, loader.construct_document(node), lines)
    except yaml.YAMLError as error:
        line, sentence = stumble(error, text)
        raise _refusal(path, line, f"not valid YAML: {sentence}") from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _refusal(path, 0, f"not valid YAML: {(str(error) or type(error).__name__).splitlines()[0]}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse(text: str, path: Path) -> None:
    """Tags can name code, aliases can grow without end, and depth can overflow the parser; none has a use here."""
    try:
        _look(yaml.parse(text, _Loader), path)
    except yaml.MarkedYAMLError as error:
        # libyaml reads up to 1024 characters ahead of its events, and since 0.2.6 has a limit of its own, in its own words.
        with suppress(yaml.MarkedYAMLError):
            _look(yaml.parse(text[: error.problem_mark.index] if error.problem_mark else text, yaml.SafeLoader), path)
        raise


def _look(events: Iterator[yaml.Event], path: Path) -> None:
    depth = 0
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _refusal(path, line, f"nested more than {DEEPEST} deep; close the brackets")
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(path, line, f"aliases (*{event.anchor}) are not allowed; write the text out")
        if tag := getattr(event, "tag", None):
            raise _refusal(path, line, f"tags ({tag}) are not allowed; write plain YAML")


def _walk(node: yaml.Node, keys: Keys, lines: dict[Keys, int], path: Path) -> None:
    lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _walk(item, (*keys, number), lines, path)
    elif isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _refusal(path, line, "a key must be plain text")
            if key.value in names:
                raise _refusal(
                    path, line, f'the key "{key.value}" is there twice; take one out', dotted((*keys, key.value))
                )
            names.add(key.value)
            lines[(*keys, key.value)] = line
            _walk(value, (*keys, key.value), lines, path)


def complain(problems: Sequence[Problem]) -> None:
    """Raise one ``InputError`` that lists the problems, if there are any."""
    if problems:
        more = [f"… and {len(problems) - MOST_TOLD} more like these"] if len(problems) > MOST_TOLD else []
        raise InputError("\n".join([*map(str, problems[:MOST_TOLD]), *more]), problems)


def _refusal(path: Path, line: int, text: str, field: str = "") -> InputError:
    problem = Problem(path, line, field, text, "yaml")
    return InputError(str(problem), [problem])


def nearest(word: str, options: list[str]) -> str:
    """``did you mean "rounds"?``, or the list of what there is."""
    if match := close(word, options):
        return f'did you mean "{match}"?'
    return f"known: {', '.join(sorted(set(options)))}" if options else "there is none yet"


def close(word: str, options: list[str]) -> str:
    """The word that was most likely meant; empty where none is near."""
    return (difflib.get_close_matches(word, options, n=1) or [""])[0]
