"""What a file's data may be: a JSON schema, and each departure from it as a sentence.

Numbers are read as people mean them: a whole number is written without a point, true is no number, and none is infinite.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from constitution.source import Keys, Problem, Source, nearest
from constitution.visible import visible
from constitution.wording import count


def _whole(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(_: object, value: object) -> bool:
    return _whole(_, value) or (isinstance(value, float) and math.isfinite(value))


def _pattern(_: object, pattern: str, value: object, schema: object) -> Iterator[ValidationError]:
    """As JSON schemas have it: ``$`` is the end of the text, not that of its last line."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _whole, "number": _number})
Validator = cast("type[Draft202012Validator]", extend(Draft202012Validator, {"pattern": _pattern}, type_checker=_TYPES))


def load_schema(path: Path) -> Draft202012Validator:
    """The validator for a JSON Schema file of ours."""
    return Validator(json.loads(path.read_text(encoding="utf-8")))


def problems(source: Source, validator: Draft202012Validator) -> list[Problem]:
    """Every way in which the data departs from the schema, in the order of the file."""
    wrong = [
        source.problem(keys, text) for error in validator.iter_errors(source.data) for keys, text in _sentences(error)
    ]
    return sorted(wrong, key=lambda problem: (problem.line, problem.field, problem.text))


def _sentences(error: ValidationError) -> Iterator[tuple[Keys, str]]:
    keys: Keys = tuple(error.absolute_path)
    value, schema, limit = cast(Any, error.instance), error.schema, cast(Any, error.validator_value)
    assert isinstance(schema, dict)
    match error.validator:
        case "additionalProperties":
            names = list(schema.get("properties", {}))
            for key in value:
                if key not in names:
                    letters = "" if key.isascii() else f" (written {key!a})"  # a Cyrillic а looks like an a
                    yield (*keys, key), f"unknown key{letters}; {nearest(key, names)}"
        case "required":
            name = error.message.split("'")[1]
            about = schema.get("properties", {}).get(name, {}).get("description", "")
            yield keys, f'"{name}" is missing{": " + about if about else ""}; add it'
        case "type":
            yield (
                keys,
                f"expected {_type_names(limit)}, found {describe(value)}{_bounds(schema, limit)}{_quotes(limit, value)}",
            )
        case "enum":
            yield keys, f"expected one of {', '.join(map(str, limit))}, found {describe(value)}"
        case "minLength" | "pattern":
            yield keys, f"{schema.get('x-error', 'must not be empty')}, found {describe(value)}"
        case "minItems" | "minProperties":
            what = "item" if error.validator == "minItems" else "key"
            yield keys, f"needs at least {count(limit, what)}, found {len(value) or 'none'}"
        case "maxItems" | "maxProperties":
            content = ", ".join(map(str, value)) if isinstance(value, dict) else len(value)
            yield keys, f"{schema.get('x-error', f'takes at most {limit}')}, found {content}"
        case "minimum" | "exclusiveMinimum" | "maximum":
            yield keys, f"must be {_range(schema)}, found {describe(value)}"
        case _:
            yield keys, str(schema.get("x-error", error.message))


_TYPE_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (key: value)",
    "null": "nothing",
}


def _type_list(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else types


def _type_names(types: str | list[str]) -> str:
    return " or ".join(_TYPE_NAMES[name] for name in _type_list(types))


def _bounds(schema: Mapping[str, object], types: str | list[str]) -> str:
    """Of a number, what it may be; nothing where it may be any."""
    limits = {"minimum", "exclusiveMinimum", "maximum"} & schema.keys()
    return f"; write one of {_range(schema)}" if limits and {"integer", "number"} & {*_type_list(types)} else ""


def _quotes(types: str | list[str], value: object) -> str:
    """What to do with a text that YAML reads as something else, such as the name 2024."""
    return "; put it in quotes" if "string" in _type_list(types) and isinstance(value, bool | int | float) else ""


def _range(schema: Mapping[str, object]) -> str:
    """``at least 1 and at most 1000``."""
    words = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
    return " and ".join(f"{word} {schema[key]}" for key, word in words.items() if key in schema)


def describe(value: object) -> str:
    """A value as a sentence names it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
    text = visible(str(value)).replace("\n", "\\n")
    return f'"{text[:40]}…"' if len(text) > 40 else f'"{text}"' if isinstance(value, str) else text
