"""Rows of CSV and TSV files, each with as many fields as the header, or none at all."""

import csv
from collections.abc import Iterable, Iterator, Sequence

from cai.data.notation import names, twice
from cai.errors import UserError

MOST = 1 << 30
"""The longest field; the limit that the parser has of its own, 128 KiB, is less than a long conversation."""
MARKS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
"""What may stand between fields, for people."""


def rows(lines: Iterable[str], name: str, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row under the names of the header, with its number; the header is the first, and empty lines are none.

    Args:
        name: of the file, for people.

    Raises:
        UserError: it is no such table.
    """
    csv.field_size_limit(MOST)
    number = 1
    try:
        # Strict: a quote that is never closed would swallow all that follows it as one field.
        table = filter(None, csv.reader(lines, delimiter=delimiter, strict=True))
        header = next(table, [])
        _check_header(header, name, delimiter)
        for number, row in enumerate(table, 2):
            if len(row) != len(header) or row == header:
                raise UserError(f"{name}: row {number} {_misfit(row, header, delimiter)}")
            yield number, {column: value for column, value in zip(header, row, strict=True) if column}
    except csv.Error as error:
        raise UserError(
            f"{name}: cannot be read as fields with {MARKS[delimiter]} between them: {error}, after row {number}; write it anew, "
            "or give JSONL"
        ) from None


def _check_header(header: Sequence[str], name: str, delimiter: str) -> None:
    """Refuse a header that names a column twice, or whose fields stand between other marks.

    Raises:
        UserError: it does.
    """
    if column := twice(header):
        raise UserError(f"{name}: has two columns {column}; rename one of them")
    others = [mark for mark in MARKS if mark != delimiter and len(header) == 1 and mark in header[0]]
    if others:
        todo = "name it .tsv" if others[0] == "\t" else f"write it with {MARKS[delimiter]}, or as JSONL"
        raise UserError(
            f"{name}: has {MARKS[others[0]]} between its fields and not {MARKS[delimiter]} ({names(header)}); {todo}"
        )


def _misfit(row: Sequence[str], header: Sequence[str], delimiter: str) -> str:
    if len(row) == len(header):
        return "is the header again, as where two files were put together; take it out"
    what = "more" if len(row) > len(header) else "fewer"
    return f"has {what} fields than the header; quote what holds {MARKS[delimiter]} or ends of lines"
