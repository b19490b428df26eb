"""A YAML file → ``Constitution``; every error says file, line, field and what to do."""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from constitution.model import Constitution, CritiqueRevisionExemplar, JudgmentExemplar, Principle
from constitution.source import InputError, Source, load_schema, nearest, problems, read_yaml


@cache
def validator() -> Draft202012Validator:
    """The schema that editors complete against, as a validator."""
    return load_schema(Path(__file__).with_name("constitution.schema.json"))


def load(path: Path) -> Constitution:
    """Read a constitution.

    Raises:
        InputError: the file cannot be read or is not a valid constitution; the message lists every problem.
    """
    source = read_yaml(path)
    found = problems(source, validator()) or crosscheck(source)
    if found:
        raise InputError("\n".join(found))
    return build(source.data)


def build(data: dict[str, Any]) -> Constitution:
    """Checked data → ``Constitution``."""
    exemplars = data.get("exemplars", {})
    return Constitution(
        name=data["name"],
        version=str(data.get("version", "")),
        description=data.get("description", ""),
        preamble=data.get("preamble", "").strip(),
        principles=tuple(_principle(each) for each in data["principles"]),
        critique_revision=tuple(
            CritiqueRevisionExemplar(**_stripped(each)) for each in exemplars.get("critique_revision", [])
        ),
        judgment=tuple(JudgmentExemplar(**_stripped(each)) for each in exemplars.get("judgment", [])),
    )


def digest(constitution: Constitution) -> str:
    """A fingerprint of what the constitution says: comments, layout and order of keys do not change it."""
    text = json.dumps(asdict(constitution), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def crosscheck(source: Source) -> list[str]:
    """What a schema cannot say: ids are unique and exemplars name principles that are there."""
    found: list[str] = []
    ids: dict[str, int] = {}
    for number, principle in enumerate(source.data["principles"]):
        first = ids.setdefault(principle["id"], number)
        if first != number:
            keys = ("principles", number, "id")
            found.append(f'{source.where(keys)}: the id "{principle["id"]}" is already principles[{first}]; rename one')
    for use, exemplars in source.data.get("exemplars", {}).items():
        for number, exemplar in enumerate(exemplars):
            if exemplar["principle"] not in ids:
                where = source.where(("exemplars", use, number, "principle"))
                known = nearest(exemplar["principle"], list(ids))
                found.append(f'{where}: there is no principle "{exemplar["principle"]}"; {known}')
    return found


def _principle(data: dict[str, Any]) -> Principle:
    fields = _stripped(data)
    return Principle(**{**fields, "title": fields.get("title", data["id"]), "tags": tuple(data.get("tags", ()))})


def _stripped(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value.strip() if isinstance(value, str) else value for key, value in data.items()}
