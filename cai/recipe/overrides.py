"""Settings on the command line: ``revise.rounds=2``, ``models.judge.model=x``, ``seed=3``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cai.errors import UserError
from constitution.source import Source, nearest, parse_yaml


def override(source: Source, text: str, top: set[str]) -> None:
    """Apply ``revise.rounds=2`` or ``models.judge.model=x`` to the data, before it is checked.

    Args:
        top: the keys of the recipe itself; any other first word names a stage.

    Raises:
        UserError: it is not of that form, or names nothing.
    """
    keys, equals, value = text.partition("=")
    if not equals or not keys:
        raise UserError(f'the override "{text}" is not of the form key=value, such as revise.rounds=2')
    head, *rest = keys.split(".")
    data = source.data if isinstance(source.data, dict) else {}
    if head in top:
        target, rest = data, [head, *rest]
    else:
        target = _stage_named(data, head, text)
    for key in rest[:-1]:
        target = target.setdefault(key, {}) if isinstance(target, dict) else {}
    if not rest or not isinstance(target, dict):
        raise UserError(f'the override "{text}" names no key; write it like {head}.key=value')
    target[rest[-1]] = parse_yaml(value.strip() or "null", Path(f"override {text}")).data


def _stage_named(data: dict[str, Any], name: str, text: str) -> dict[str, Any]:
    names = []
    for item, kind, block in _blocks(data):
        names.append((block or {}).get("as", kind) if isinstance(block, dict | None) else kind)
        if names[-1] == name:
            if block is None:
                item[kind] = {}
            return item[kind]
    raise UserError(f'the override "{text}" names no stage and no key of the recipe; {nearest(name, names)}')


def _blocks(data: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Every stage's item, kind and block; those of rounds after the others, whose names are looked at first."""
    items = [item for item in data.get("stages") or [] if isinstance(item, dict)]
    blocks = [(item, kind, block) for item in items for kind, block in item.items()]
    yield from blocks
    for _, kind, block in blocks:
        if kind == "rounds" and isinstance(block, dict):
            yield from _blocks(block)
