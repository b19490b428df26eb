"""Rows that a JSON file holds in one object: a list under ``data``, or texts under their categories."""

from collections.abc import Mapping

from cai.data.notation import names
from cai.errors import UserError

COLUMNS = (
    *(
        "prompt",
        "message",
        "conversation",
        "question",
        "query",
        "instruction",
        "input",
        "context",
        "text",
        "turn",
        "id",
    ),
    *("label", "output", "response", "answer", "completion", "reference", "target", "choice", "chosen", "rejected"),
    *("train", "test", "validation"),
)
"""Names, or their plurals, by which an object of lists is told for a table of columns, or splits."""


def rows(data: Mapping[str, object], name: str) -> list[object]:
    """The rows.

    Args:
        name: of the file, for people.

    Raises:
        UserError: it holds them in another way, or none.
    """
    inner = data.get("data")
    return inner if isinstance(inner, list) and _is_set(data, inner) else _by_category(data, name)


def _is_set(data: Mapping[str, object], rows: list[object]) -> bool:
    """Whether an object holds rows under data; texts there, beside other keys, could as well be one row's turns."""
    return len(data) == 1 or not any(isinstance(each, str) for each in rows)


def _by_category(data: Mapping[str, object], name: str) -> list[object]:
    """The rows of ``{category: {tag: [text, …]}}``, with what they stand under.

    One level alone, or names of columns, could as well be a table of columns, whose answers would be asked as prompts; tags
    that several categories share could be the columns of rows under their ids.
    """
    groups = [(category, tag, texts) for category, inner in data.items() for tag, texts in _fields(inner)]
    words = {each.lower().removesuffix("s") for category, tag, _ in groups for each in (category, tag)}
    overlap = len({tag for _, tag, _ in groups}) < len(groups)
    lists = all(isinstance(texts, list) and all(isinstance(each, str) for each in texts) for *_, texts in groups)
    if not groups or not lists or len(groups) < len(data) or overlap or words & set(COLUMNS):
        raise UserError(
            f"{name}: expected a list of objects, or one under the key data, and found an object with "
            f"{names(data) or 'nothing'}"
        )
    return [
        {"prompt": text, "category": category, "tags": [tag]}
        for category, tag, texts in groups
        if isinstance(texts, list)
        for text in texts
    ]


def _fields(value: object) -> list[tuple[str, object]]:
    return list(value.items()) if isinstance(value, dict) else []
