"""Records of JSONL, JSON, CSV and Parquet files (``.gz`` too) and of Hub datasets, one dict after the other."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from cai.errors import UserError, install

ENDINGS = (".jsonl", ".json", ".parquet", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz")
MOST = 1 << 30
Record = dict[str, object]
"""A row as its file has it: of its values nothing is known yet."""
Check = Callable[[list[str]], None]
"""Told the columns of what has columns, before any record; raises where one is missing."""


def from_file(path: Path, check: Check) -> Iterator[Record]:
    """A file's records; what it takes for one and is none is a sentence.

    Raises:
        UserError: the file cannot be read as what its name says.
    """
    ending = next((each for each in sorted(ENDINGS, key=len, reverse=True) if path.name.endswith(each)), "")
    if not ending:
        raise UserError(f"{path}: rows come from {', '.join(ENDINGS[:4])} files or `hub:`; convert it to one of them")
    return _readable(path, ending.removesuffix(".gz"), check)


def from_hub(name: str, split: str, config: str, check: Check) -> Iterator[Record]:
    """A Hub dataset's records, streamed: a limit should not cost the download of the whole set.

    Raises:
        UserError: it cannot be read, or the package that reads it is not installed.
    """
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(f"reading a Hub dataset needs the package datasets; run: {install('train')}") from None
    try:
        rows = load_dataset(name, config or None, split=split, streaming=True)
        for number, row in enumerate(rows):
            if not number:
                check(list(row))
            yield dict(row)
    except UserError:
        raise
    except Exception as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"the Hub dataset {name} cannot be read: {why}") from None


def _readable(path: Path, ending: str, check: Check) -> Iterator[Record]:
    read = {".jsonl": _from_jsonl, ".json": _from_json, ".csv": _from_csv, ".parquet": _from_parquet}[ending]
    try:
        yield from read(path, check)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}: is not a CSV file: {error}; write it anew, or give JSONL") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked: {error}; pack it anew") from None


def _text(path: Path, newline: str | None = None) -> AbstractContextManager[TextIO]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)  # pyright: ignore[reportReturnType]
    return path.open(encoding="utf-8-sig", newline=newline)


def _from_jsonl(path: Path, check: Check) -> Iterator[Record]:
    with _text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                data = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: not valid JSON: {_why(error)}") from None
            if not isinstance(data, dict):
                raise UserError(f"{path}:{number}: expected an object, one a line")
            yield data


def _from_json(path: Path, check: Check) -> Iterator[Record]:
    with _text(path) as file:
        try:
            data = json.load(file)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not valid JSON: {_why(error)}") from None
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise UserError(f"{path}: expected a list of objects, or JSONL under a name that ends in .jsonl")
    yield from data


def _why(error: ValueError | RecursionError) -> str:
    """What a parser of JSON could not read; of depth, Python would name its own stack."""
    return "nested too deep; close the brackets" if isinstance(error, RecursionError) else str(error)


def _from_parquet(path: Path, check: Check) -> Iterator[Record]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid:
        raise UserError(f"{path}: is not a Parquet file; write it anew, or give JSONL") from None
    check(file.schema_arrow.names)
    for batch in file.iter_batches(1024):
        yield from batch.to_pylist()


def _from_csv(path: Path, check: Check) -> Iterator[Record]:
    csv.field_size_limit(MOST)  # its own limit of 128 KiB is less than a long conversation
    with _text(path, newline="") as file:
        rows = csv.DictReader(file)
        check(list(rows.fieldnames or []))
        for number, row in enumerate(rows, 2):
            if None in row:
                raise UserError(f"{path}: row {number} has more fields than the header; quote what holds commas")
            yield {**row}
