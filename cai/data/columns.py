"""The columns of a dataset's Parquet files: text, numbers, conversations; tools and what was thought where there is any.

Calls and definitions of tools are JSON, which ``datasets`` reads as objects (``Json``), as TRL and chat templates take them.
"""

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from constitution.tools import CALLS, DEFINITIONS, definitions, wire

Arrow = Any
"""Something of pyarrow's, which has no types, and is imported where it is needed."""
Extras = Set[tuple[str, str]]
"""Column and key of what messages of a dataset have besides a role and a content."""


def extras(example: Mapping[str, object]) -> set[tuple[str, str]]:
    """What its conversations have besides words: calls of tools and what answers them, thoughts, definitions of tools."""
    return {
        (column, key if message["role"] != DEFINITIONS else "")
        for column, value in example.items()
        for message in (value if isinstance(value, list) else ())
        if isinstance(message, dict)
        for key in message
        if key not in ("role", "content") or (message["role"] == DEFINITIONS and key == "role")
    }


def schema(example: Mapping[str, object], more: Extras = frozenset()) -> Arrow:
    """The Arrow schema of a dataset, from one example: text, numbers, messages, and lists of any of these.

    A list without an item is taken for one of text. Calls and definitions of tools are JSON, which ``datasets`` reads as
    objects (``Json``), as TRL and chat templates take them.

    Args:
        more: what of all examples is ``extras``.
    """
    import pyarrow as pa

    def kind(name: str, value: object) -> Arrow:
        match value:
            case {"role": _}:
                own = sorted(key for column, key in more if column == name and key)
                return pa.struct(
                    [("role", pa.string()), ("content", pa.string())]
                    + [(key, pa.list_(pa.json_()) if key == CALLS else pa.string()) for key in own]
                )
            case list():
                return pa.list_(kind(name, value[0]) if value else pa.string())
            case bool():
                return pa.bool_()
            case int():
                return pa.int64()
            case float():
                return pa.float64()
        return pa.string()

    tools = [(DEFINITIONS, pa.list_(pa.json_()))] if any(not key for _, key in more) else []
    return pa.schema([*((name, kind(name, value)) for name, value in example.items()), *tools])


def _as_written(row: Mapping[str, object]) -> dict[str, object]:
    """A row whose prompt has tools, as TRL reads one: the definitions in a column, the calls as lists."""
    prompt = row["prompt"]
    assert isinstance(prompt, list)
    turns = [
        {**each, CALLS: [json.dumps(call, ensure_ascii=False) for call in calls]}
        if isinstance(calls := each.get(CALLS), list)
        else each
        for each in wire(prompt, as_objects=True)
    ]
    tools = [json.dumps(each, ensure_ascii=False) for each in definitions(prompt)]
    return {**row, "prompt": turns, DEFINITIONS: tools or None}


def table(rows: Sequence[Mapping[str, object]], more: Extras) -> Arrow:
    """Rows as an Arrow table of the schema of the first of them.

    Args:
        more: what of all rows of the dataset is ``extras``.
    """
    import pyarrow as pa

    arrow_schema = schema(rows[0], more)
    if not more:
        return pa.Table.from_pylist(rows, schema=arrow_schema)
    return pa.Table.from_pylist(list(map(_as_written, rows)), schema=_without_json(pa, arrow_schema)).cast(arrow_schema)


def _without_json(pa: Arrow, arrow_schema: Arrow) -> Arrow:
    """A schema with text where it has JSON, of which pyarrow makes no arrays by itself."""

    def plain(kind: Arrow) -> Arrow:
        if pa.types.is_list(kind):
            return pa.list_(plain(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([(each.name, plain(each.type)) for each in kind])
        return pa.string() if kind == pa.json_() else kind

    return pa.schema([(each.name, plain(each.type)) for each in arrow_schema])
