"""Rows of files, JSONL, JSON, CSV, TSV, Parquet and Arrow, and of Hub datasets, one after the other, each with its place."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TextIO

from cai.data import objects, tables
from cai.data.columns import Arrow
from cai.data.formats import kind
from cai.data.locations import Origin, files
from cai.data.notation import twice
from cai.errors import UserError, install

BATCH = 1024
LONGEST = 1 << 26
"""Characters of a line: one that goes on is no row, and a packed file may hold more of them than there is memory."""
LARGEST = 1 << 30
"""Characters of one JSON text in a packed file."""
HUB_TIMEOUT = 10
"""Seconds within which the Hub answers."""
Record = Mapping[str, object]
"""A row as its file has it: of its values nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row and its place.

    Attributes:
        file: its file, or its dataset on the Hub.
        number: in that, from 1: of a JSONL file the line, of a CSV file with its header as the first.
        alike: whether all rows of its file have the same columns.
    """

    file: str
    number: int
    data: Record
    alike: bool = False

    @property
    def place(self) -> str:
        """For people."""
        return f"{self.file}, row {self.number}"


def entries(origin: Origin) -> Iterator[Entry]:
    """All rows of a source, streamed; what it takes for a file of rows and is none is a sentence.

    Raises:
        UserError: a file cannot be read as what its name says, or the dataset cannot.
    """
    if origin.hub:
        yield from _from_hub(origin)
        return
    for path in files(origin):
        alike = kind(path) not in ("jsonl", "json")
        for number, data in _of_file(path):
            yield Entry(str(path), number, data, alike)


def _from_hub(origin: Origin) -> Iterator[Entry]:
    """A Hub dataset's rows, streamed: a limit should not cost the download of the whole set."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(f"reading a Hub dataset needs the package datasets; run: {install('train')}") from None
    _reach_hub(origin.hub)
    try:
        rows = load_dataset(origin.hub, origin.config or None, split=origin.split, streaming=True)
        for number, row in enumerate(rows, 1):
            yield Entry(origin.hub, number, dict(row), alike=True)
    except Exception as error:
        why = re.sub(r"\s*\(\w+\)$", "", _line(error))  # the name of an error's class says nothing to people
        raise UserError(f"the Hub dataset {origin.hub} cannot be read: {why}") from None


def _reach_hub(name: str) -> None:
    """One short request to the Hub: the library would try for half a minute.

    Raises:
        UserError: it cannot be reached.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:  # what was fetched before may still be read
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception:
        raise UserError(
            f"the Hub dataset {name} cannot be read: {constants.ENDPOINT} cannot be reached; check the network, or fetch the "
            "dataset where there is one and name its folder"
        ) from None


def _of_file(path: Path) -> Iterator[tuple[int, Record]]:
    readers: dict[str, Callable[[Path], Iterator[tuple[int, Record]]]] = {
        "jsonl": _from_jsonl,
        "json": _from_json,
        "csv": partial(_from_csv, delimiter=","),
        "tsv": partial(_from_csv, delimiter="\t"),
        "parquet": _from_parquet,
        "arrow": _from_arrow,
    }
    try:
        _check_whole(path)
        yield from readers[kind(path)](path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked: {error}; pack it anew") from None
    except OSError as error:
        is_packed = path.suffix.lower() == ".zst" and error.errno is None
        why = "cannot be unpacked" if is_packed else f"cannot be read: {error.strerror or _line(error)}"
        raise UserError(f"{path}: {why}; write it anew, or check its rights") from None


def _check_whole(path: Path) -> None:
    """Refuse what stands in the place of a file that was not fetched.

    Raises:
        UserError: with how to fetch it.
    """
    with path.open("rb") as file:
        begin = file.read(64).lstrip().lower()
    if begin.startswith(b"version https://git-lfs"):
        raise UserError(
            f"{path}: is a pointer of Git LFS, and not the file that it stands for; fetch that with: git lfs pull"
        )
    if begin.startswith((b"<!doctype html", b"<html")):
        raise UserError(
            f"{path}: is a web page; fetch the file itself (on the Hub its address has /resolve/, and not /blob/)"
        )


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def _text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """A text file, unpacked."""
    match path.suffix.lower():
        case ".gz":
            with gzip.open(path, "rt", encoding="utf-8-sig", newline=newline) as lines:
                yield lines  # pyright: ignore[reportReturnType]
        case ".zst":
            import pyarrow

            with pyarrow.input_stream(str(path), compression="zstd") as stream:
                yield io.TextIOWrapper(io.BufferedReader(stream), encoding="utf-8-sig", newline=newline)
        case _:
            with path.open(encoding="utf-8-sig", newline=newline) as lines:
                yield lines


def _lines_of(file: TextIO, path: Path) -> Iterator[str]:
    """The lines of a file.

    Raises:
        UserError: one does not end.
    """
    for number in count(1):
        line = file.readline(LONGEST + 1)
        if len(line) > LONGEST:
            raise UserError(f"{path}:{number}: is longer than {LONGEST:,} characters, and no row; look what it holds")
        if not line:
            return
        yield line


def _from_jsonl(path: Path) -> Iterator[tuple[int, Record]]:
    with _text(path) as file:
        for number, line in enumerate(_lines_of(file, path), 1):
            if not line.strip():
                continue
            if number == 1 and line.startswith("["):  # one list, whatever its name says
                yield from _from_json(path)
                return
            data = _json(line, f"{path}:{number}")
            if not isinstance(data, dict):
                raise UserError(f"{path}:{number}: expected an object, one a line")
            yield number, data


def _json(text: str, place: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise UserError(f"{place}: not valid JSON: nested too deep to be read; write it flatter") from None
    except ValueError as error:
        why = "holds a number of thousands of digits" if "int_max_str_digits" in str(error) else str(error)
        raise UserError(f"{place}: not valid JSON: {why}") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError(f"the key {twice([key for key, _ in pairs])} stands twice in one object; leave one out")
    return data


def _from_json(path: Path) -> Iterator[tuple[int, Record]]:
    is_packed = path.suffix.lower() in (".gz", ".zst")
    with _text(path) as file:
        text = file.read(LARGEST + 1 if is_packed else -1)
    if is_packed and len(text) > LARGEST:
        raise UserError(f"{path}: unpacks to more than {LARGEST:,} characters in one JSON text; write it as JSONL")
    if _is_lines(text):
        yield from _from_jsonl(path)
        return
    data = _json(text, str(path))
    rows = objects.rows(data, str(path)) if isinstance(data, dict) else data
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of objects, or JSONL under a name that ends in .jsonl")
    for number, each in enumerate(rows, 1):
        if isinstance(each, str):
            each = {"prompt": each}
        if not isinstance(each, dict):
            raise UserError(f"{path}: expected a list of objects, and its item {number} is none")
        yield number, each


def _is_lines(text: str) -> bool:
    """Whether what is called JSON is JSONL."""
    text = text.lstrip()
    if not text.startswith("{"):
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return bool(text[end:].strip())


def _from_parquet(path: Path) -> Iterator[tuple[int, Record]]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield from _from_batches(file.schema_arrow, file.iter_batches(BATCH), path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: is not a Parquet file ({_line(error)}); write it anew, or give JSONL") from None


def _from_arrow(path: Path) -> Iterator[tuple[int, Record]]:
    """What ``datasets`` saves: a stream of Arrow's, or its file format."""
    import pyarrow

    try:
        with pyarrow.OSFile(str(path), "rb") as source:
            try:
                stream = pyarrow.ipc.open_stream(source)
                schema, batches = stream.schema, iter(stream)
            except pyarrow.ArrowInvalid:
                file = pyarrow.ipc.open_file(source)
                schema, batches = file.schema, (file.get_batch(each) for each in range(file.num_record_batches))
            yield from _from_batches(schema, batches, path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: is not an Arrow file ({_line(error)}); save the dataset anew") from None


def _from_batches(schema: Arrow, batches: Iterator[Arrow], path: Path) -> Iterator[tuple[int, Record]]:
    if name := twice(schema.names):
        raise UserError(f"{path}: has two columns {name}; rename one of them")
    number = 0
    for batch in batches:
        batch.validate(full=True)  # a damaged file may point anywhere
        columns = {name: _plain(column) for name, column in zip(schema.names, batch.columns, strict=True)}
        for place in range(batch.num_rows):
            number += 1
            yield number, {name: values[place] for name, values in columns.items()}


def _plain(column: Arrow) -> Sequence[object]:
    """A column's values as Python has them; as text where it has none like them, such as times in nanoseconds."""
    import pyarrow

    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        raise
    except (ValueError, OverflowError, pyarrow.ArrowException):
        return column.cast(pyarrow.string()).to_pylist()


def _from_csv(path: Path, delimiter: str) -> Iterator[tuple[int, Record]]:
    with _text(path, newline="") as file:
        yield from tables.rows(_lines_of(file, path), str(path), delimiter)
