"""YAML text to plain data that still knows its lines, and schema errors as sentences.

Shared by constitutions and recipes: whatever a person writes is read here, so that every complaint reads
``file:line: field: what is wrong; what to do``.
"""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

Keys = tuple[str | int, ...]


class InputError(ValueError):
    """What a person wrote is wrong; the message says where and what to do."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's idea of a boolean and a number: ``no`` stays text, ``1e-5`` is a number."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)


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

    def where(self, keys: Keys) -> str:
        """``file:line: a.b[0].c`` for a key path; the line is that of the nearest enclosing key that has one."""
        known = keys
        while known not in self.lines and known:
            known = known[:-1]
        place = f"{self.path}:{self.lines.get(known, 1)}"
        return f"{place}: {dotted(keys)}" if keys else place


def dotted(keys: Keys) -> str:
    """``("stages", 1, "revise")`` → ``stages[1].revise``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")


def read_yaml(path: Path) -> Source:
    """Read one YAML document from a file.

    Raises:
        InputError: the file is missing, is no text, is no YAML, uses tags or aliases, or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Source:
    """Parse one YAML document; see ``read_yaml``."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise InputError(f"{path}: the file is empty")
        lines: dict[Keys, int] = {}
        _refuse(text, path)
        _walk(node, (), lines, path)
        return Source(path, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise InputError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _refuse(text: str, path: Path) -> None:
    """Tags can name code and aliases can grow without end; neither has a use here."""
    for event in yaml.parse(text, _Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"{path}:{line}: aliases (*{event.anchor}) are not allowed; write the text out")
        if getattr(event, "tag", None):
            raise InputError(f"{path}:{line}: tags ({event.tag}) are not allowed; write plain YAML")


def _walk(node: yaml.Node, keys: Keys, lines: dict[Keys, int], path: Path) -> None:
    lines.setdefault(keys, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _walk(item, (*keys, number), lines, path)
    elif isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{path}:{line}: a key must be plain text")
            if key.value in seen:
                raise InputError(f'{path}:{line}: {dotted((*keys, key.value))}: the key "{key.value}" is there twice')
            seen.add(key.value)
            lines[(*keys, key.value)] = line
            _walk(value, (*keys, key.value), lines, path)


def load_schema(path: Path) -> Draft202012Validator:
    """The validator for a JSON Schema file of ours."""
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def problems(source: Source, validator: Draft202012Validator) -> list[str]:
    """Every way in which the data departs from the schema, a sentence each, in the order of the file."""
    found = [
        (source.lines.get(keys, 0), f"{source.where(keys)}: {text}")
        for error in validator.iter_errors(source.data)
        for keys, text in _sentences(error)
    ]
    return [text for _, text in sorted(found)]


def _sentences(error: ValidationError) -> Iterator[tuple[Keys, str]]:
    keys: Keys = tuple(error.absolute_path)
    value, schema, wanted = cast(Any, error.instance), error.schema, cast(Any, error.validator_value)
    assert isinstance(schema, dict)
    match error.validator:
        case "additionalProperties":
            known = list(schema.get("properties", {}))
            for key in value:
                if key not in known:
                    yield (*keys, key), f"unknown key; {nearest(str(key), known)}"
        case "required":
            missing = error.message.split("'")[1]
            about = schema.get("properties", {}).get(missing, {}).get("description", "")
            yield keys, f'"{missing}" is missing{": " + about if about else ""}; add it'
        case "type":
            yield keys, f"expected {_kind(wanted)}, found {_found(value)}"
        case "enum":
            yield keys, f"expected one of {', '.join(map(str, wanted))}, found {_found(value)}"
        case "minLength" | "pattern":
            yield keys, f"{schema.get('x-error', 'must not be empty')}, found {_found(value)}"
        case "minItems" | "minProperties":
            yield keys, f"needs at least {wanted}, found {len(value)}"
        case "maxItems" | "maxProperties":
            yield keys, f"takes at most {wanted}, found {len(value)}"
        case "minimum" | "exclusiveMinimum" | "maximum":
            word = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}[error.validator]
            yield keys, f"must be {word} {wanted}, found {value}"
        case _:
            yield keys, error.message


def nearest(word: str, known: list[str]) -> str:
    """``did you mean "rounds"?``, or the list of what there is."""
    close = difflib.get_close_matches(word, known, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known: {', '.join(sorted(known))}"


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (key: value)",
    "null": "nothing",
}


def _kind(types: str | list[str]) -> str:
    return " or ".join(_KINDS[name] for name in ([types] if isinstance(types, str) else types))


def _found(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
    text = str(value)
    return f'"{text[:40]}…"' if len(text) > 40 else f'"{text}"' if isinstance(value, str) else text
