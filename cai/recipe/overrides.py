"""Settings on the command line: ``revise.rounds=2``, ``models.judge.model=x``, ``stages.1.revise.rounds=2``, ``seed=3``."""

from collections.abc import Iterator
from pathlib import Path

from cai.errors import UserError
from constitution.schema import describe
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
        target, rest, above = data, [head, *rest], ""
    else:
        target, above = _stage_named(data, head, text, top), head
    if not rest:
        raise UserError(f'the override "{text}" names no key; write it like {head}.key=value')
    *steps, last = rest
    for key in steps:
        target, above = _below(target, key, above, text), f"{above}.{key}".removeprefix(".")
    new = parse_yaml(value.strip() or "null", Path(f"override {text}")).data
    if isinstance(target, list):
        target[_place(target, last, above, text)] = new
    else:
        _mapping(target, above, text)[last] = new


def _below(target: object, key: str, above: str, text: str) -> object:
    """What stands under a key, or at a place of a list; a mapping of its own where nothing does."""
    if isinstance(target, list):
        place = _place(target, key, above, text)
        target[place] = {} if target[place] is None else target[place]
        return target[place]
    mapping = _mapping(target, above, text)
    mapping[key] = {} if mapping.get(key) is None else mapping[key]
    return mapping[key]


def _mapping(target: object, above: str, text: str) -> dict[str, object]:
    if not isinstance(target, dict):
        raise UserError(
            f'the override "{text}" would change nothing: {above} is {describe(target)}, with no keys; write {above}=… with '
            "all of its value"
        )
    return target


def _place(items: list[object], key: str, above: str, text: str) -> int:
    """The place in a list that a key names, from 0."""
    if key.isascii() and key.isdigit() and int(key[:9]) < len(items):
        return int(key)
    places = f"0 to {len(items) - 1}" if items else "none"
    raise UserError(f'the override "{text}": {above} is a list without a place "{key}"; its places are {places}')


def _stage_named(data: dict[str, object], name: str, text: str, top: set[str]) -> object:
    names = list[str]()
    for item, kind, block in _blocks(data):
        names.append(str(block.get("as", kind)) if isinstance(block, dict) else kind)
        if names[-1] == name:
            if block is None:
                item[kind] = {}
            return item[kind]
    raise UserError(f'the override "{text}" names no stage and no key of the recipe; {nearest(name, [*names, *top])}')


def _blocks(data: dict[str, object]) -> Iterator[tuple[dict[str, object], str, object]]:
    """Every stage's item, kind and block; those of rounds after the others, whose names are looked at first."""
    stages = data.get("stages")
    items = [item for item in stages if isinstance(item, dict)] if isinstance(stages, list) else []
    blocks = [(item, kind, block) for item in items for kind, block in item.items()]
    yield from blocks
    for _, kind, block in blocks:
        if kind == "rounds" and isinstance(block, dict):
            yield from _blocks(block)
