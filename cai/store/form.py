"""Whether JSON has the form that a type says: what a run wrote may have been damaged since, and is never believed as it is."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

K = TypeVar("K")
NAMES: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


@dataclass(frozen=True, slots=True)
class Between:
    """The bounds of a number, both included: no number is less than what is counted can be, none beyond all sense, none NaN."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Length:
    """How many items a list has."""

    items: int


Count = Annotated[int, Between(0, 10**15)]
"""How many there are of something: never below 0."""
Amount = Annotated[float, Between(0, 1e15)]
"""Seconds, money or a mean of counts."""
Share = Annotated[float, Between(0, 1)]
"""A part of a whole, or a probability."""
TokenCounts = Annotated[list[Count], Length(3)]
"""Tokens in, those of them that came from the cache, tokens out."""


class PlainMessage(TypedDict):
    """A message as JSON has it."""

    role: str
    content: str


Check = Callable[[object], Iterator[str]]
"""Data → the places that do not fit."""
Reader = Callable[[object], object]
"""Plain data → a field's value."""


def misfit(data: object, form: object) -> str:
    """The first place that does not fit, ``dropped.refused: expected a whole number``; empty where all does.

    Args:
        form: a TypedDict, a plain type, or a list, dict, union or Literal of such, with ``Between`` or ``Length`` where it has
            bounds; further keys of an object are let be.
    """
    return next(_check(form)(data), "").removeprefix(".").removeprefix(": ")


@cache
def _check(form: object) -> Check:
    """What finds the places that do not fit; made once for each form."""
    origin, inner = get_origin(form), get_args(form)
    if form in (Any, object) or isinstance(form, str | ForwardRef):  # a form within itself is looked at no deeper
        return lambda data: iter(())
    if is_typeddict(form):
        return _object(form)
    if origin in (NotRequired, Required):
        return _check(inner[0])
    if origin is Annotated:
        return _bounded(_check(inner[0]), inner[1])
    if origin is Literal:
        return _one_of(inner)
    if origin in (Union, UnionType):
        return _any_of(inner)
    if form is list or origin in (list, Sequence):
        return _items(list, inner, enumerate)
    if form is dict or origin in (dict, Mapping):
        return _items(dict, inner, dict.items)
    assert isinstance(form, type)
    return _plain(form)


def _plain(form: type) -> Check:
    types = {float: (int, float), NoneType: (NoneType,)}.get(form, (form,))

    def check(data: object) -> Iterator[str]:
        if not isinstance(data, types) or (isinstance(data, bool) and form is not bool):
            yield f": expected {NAMES.get(form, 'nothing')}"

    return check


def _bounded(kind: Check, bounds: Between | Length) -> Check:
    """The check of a kind, and of the bounds where it is of that kind."""

    def check(data: Any) -> Iterator[str]:
        if wrong := next(kind(data), ""):
            yield wrong
        elif isinstance(bounds, Length):
            if len(data) != bounds.items:
                yield f": expected {bounds.items} items"
        elif not bounds.low <= data <= bounds.high:
            yield f": expected a number from {bounds.low:g} to {bounds.high:g}"

    return check


def _one_of(words: tuple[object, ...]) -> Check:
    def check(data: object) -> Iterator[str]:
        if not any(data == word and type(data) is type(word) for word in words):
            yield f": expected one of {', '.join(map(str, words))}"

    return check


def _any_of(forms: tuple[object, ...]) -> Check:
    checks = [_check(each) for each in forms]

    def check(data: object) -> Iterator[str]:
        firsts = [next(each(data), "") for each in checks]
        if all(firsts):
            yield firsts[0]

    return check


def _items(kind: type[K], inner: tuple[object, ...], items: Callable[[K], Iterable[tuple[object, object]]]) -> Check:
    one = _check(inner[-1] if inner else object)

    def check(data: object) -> Iterator[str]:
        if not isinstance(data, kind):
            yield f": expected {NAMES[kind]}"
            return
        for key, value in items(data):
            yield from (f"{_key(key)}{wrong}" for wrong in one(value))

    return check


def _object(form: Any) -> Check:
    checks = {key: _check(each) for key, each in get_type_hints(form, include_extras=True).items()}

    def check(data: object) -> Iterator[str]:
        if not isinstance(data, dict):
            yield ": expected an object"
            return
        for key, one in checks.items():
            if key in data:
                yield from (f"{_key(key)}{wrong}" for wrong in one(data[key]))
            elif key in form.__required_keys__:
                yield f"{_key(key)}: is missing"

    return check


def _key(key: object) -> str:
    return f".{key}" if isinstance(key, str) else f"[{key}]"


def reader(hint: object, build: Callable[[type, Mapping[str, object]], object]) -> Reader:
    """What makes a field's value of plain data.

    Args:
        hint: the field's type.
        build: makes a row within a row.

    Raises:
        TypeError: by what is returned, where the data is none of it.
    """
    if get_origin(hint) in (Union, UnionType):
        inner, *others = (reader(each, build) for each in get_args(hint) if each is not NoneType)
        if others:
            return lambda value: None if value is None else _first_fitting((inner, *others), value)
        return lambda value: None if value is None else inner(value)
    if get_origin(hint) is tuple:
        each = reader(get_args(hint)[0], build)
        return lambda value: tuple(map(each, _of(list, tuple, value=value)))
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda value: build(hint, _of(dict, value=value))
    if hint is str:
        return lambda value: _of(str, value=value)
    return lambda value: _fit(value, hint)


def _first_fitting(readers: Sequence[Reader], value: object) -> object:
    """What the first reader that takes a value makes of it."""
    for each in readers[:-1]:
        with suppress(TypeError):
            return each(value)
    return readers[-1](value)


def _of(*types: type[K], value: object) -> K:
    """A value of one of these types."""
    if isinstance(value, types):
        return value
    raise TypeError(f"expected {' or '.join(each.__name__ for each in types)}, found {type(value).__name__}")


def _fit(value: object, hint: object) -> object:
    """A value that fits a plain type; a number of a row is one."""
    if (wrong := misfit(value, hint)) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(wrong or "expected a number")
    return value


def conversation(value: object) -> tuple[dict[str, str], ...]:
    """The messages of a conversation, of which there is one at least; raises as ``reader``."""
    if not isinstance(value, list) or misfit(value, list[PlainMessage]) or not value:
        raise TypeError("expected messages, each with a role and a content")
    return tuple(value)
