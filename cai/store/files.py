"""Files that are whole or not there, lines that are complete, and one process at a time on a run's folder."""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, TextIO, TypeVar, overload

import msgspec

from cai.errors import Damage, RunError
from cai.store.form import misfit

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
"""What a JSON file holds."""
F = TypeVar("F")
BLOCK = 1 << 16
_FAST = msgspec.json.Decoder()
"""It refuses whatever is no JSON, and some of what is."""


class RunLock:
    """One process at a time on a run's folder.

    Raises:
        RunError: on entering: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"

    def __enter__(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.path, "a", opener=_itself)  # let go of on leaving
        except OSError as error:
            raise cannot_write(self.path, error) from None
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{self.path.parent} is in use by another cai run; wait for it or stop it") from None

    def __exit__(self, *_: object) -> None:
        self.file.close()


def write_json(path: Path, data: object) -> None:
    """Write a JSON file so that it is either whole or not there."""
    write_lines(path, [json.dumps(data, indent=2, ensure_ascii=False)])


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file of lines so that it is either whole or not there.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.unlink(missing_ok=True)
        with aside.open("x", encoding="utf-8") as file:  # never what a link of this name leads to
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from None


def move(file: Path, to: Path) -> None:
    """Give a finished file its name once it is on disk; raises as ``write_lines``."""
    try:
        with reading(file) as content:
            os.fsync(content.fileno())
        file.replace(to)
    except OSError as error:
        raise cannot_write(to, error) from None


def reading(path: Path) -> BinaryIO:
    """A file of ours, open to be read.

    Raises:
        RunError: what has its name is a folder, a pipe or a device, by which a run would wait for ever, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        why = "it is a folder, a pipe or a device"
    except PermissionError:
        raise RunError(f"{path} may not be read; give yourself the right to, then run the same command again") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise RunError(f"{path} cannot be read as a file: {why}; put it back as it was, or redo its stage")


def whole_lines(path: Path) -> Iterator[str]:
    """The complete lines of a file; a torn last one, or one that is being written, is not among them."""
    if not path.exists():
        return
    # In bytes: JSON leaves U+2028 and its like as they are, and those are no ends of lines here.
    with reading(path) as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                try:
                    yield line[:-1].decode("utf-8")
                except UnicodeDecodeError:
                    raise _damage(path, number, "is no text") from None


@overload
def json_objects(path: Path) -> Iterator[dict[str, Json]]: ...
@overload
def json_objects(path: Path, form: type[F]) -> Iterator[F]: ...
def json_objects(path: Path, form: type[F] | None = None) -> Iterator[object]:
    """The JSON object of each complete line.

    Args:
        form: that each has, see ``form.misfit``; any unless given, and then its numbers may be none, as a trainer's figures.

    Raises:
        RunError: a line holds something else; ours are written whole, so it was damaged from outside.
    """
    for number, line in enumerate(whole_lines(path), 1):
        data = json_object(line, path, number, exact=form is not None)
        if form is not None and (wrong := misfit(data, form)):
            raise _damage(path, number, f"does not fit ({wrong})")
        yield data


def json_object(line: str | bytes, path: Path, number: int, exact: bool = True) -> dict[str, Json]:
    """The JSON object of one line of a file; raises as ``json_objects``.

    Args:
        exact: whether NaN and the infinities, which are no JSON, are damage.
    """
    with suppress(ValueError, RecursionError):
        try:
            data = _FAST.decode(line)
        except msgspec.DecodeError:
            data = _slowly(line, exact)
        if isinstance(data, dict):
            return data
    raise _damage(path, number, "is no JSON object")


def _slowly(line: str | bytes, exact: bool) -> Json:
    """A line's data; raises ValueError where it is none, or none of ours."""
    data = json.loads(line, parse_constant=_refuse if exact else None)
    # Half a letter can stand in JSON, and in no text that we write.
    json.dumps(data, ensure_ascii=False).encode("utf-8")
    return data


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _damage(path: Path, number: int, what: str) -> Damage:
    return Damage(f"{path} is damaged: its line {number} {what}")


def sha256(path: Path) -> str:
    """The digest of a file, by which a change of any byte is seen; raises as ``reading``."""
    digest = hashlib.sha256()
    with reading(path) as file:
        for block in iter(lambda: file.read(16 * BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


def count_lines(path: Path) -> int:
    """How many complete lines a file has."""
    with reading(path) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(16 * BLOCK), b""))


def append_to(path: Path) -> TextIO:
    """A file open at its end, which is cut after its last complete line; raises as ``write_lines``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_symlink():
            reading(path).close()  # nothing is appended to what is no file
            _cut(path)
        return open(path, "a", encoding="utf-8", opener=_itself)
    except OSError as error:
        raise cannot_write(path, error) from None


def _cut(path: Path) -> None:
    """Take a torn last line away; only the file's writer may, as to a reader it may be one in the making."""
    size = end = path.stat().st_size
    with path.open("rb") as file:
        while end:
            start = max(end - BLOCK, 0)
            file.seek(start)
            place = file.read(end - start).rfind(b"\n")
            if place >= 0:
                end = start + place + 1
                break
            end = start
    if end < size:
        os.truncate(path, end)


def append_line(file: TextIO, line: str) -> None:
    """Write a line that outlives this process; raises as ``write_lines``."""
    try:
        file.write(line + "\n")
        file.flush()
    except OSError as error:
        raise cannot_write(Path(file.name), error) from None


def sync(file: TextIO) -> None:
    """Bring what was appended to the disk itself, where a power cut leaves it; raises as ``write_lines``."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(Path(file.name), error) from None


def read_json(path: Path) -> Any:
    """A JSON file's data, or None where there is no such file.

    Raises:
        RunError: it holds something else; our own files are written whole, so it was damaged from outside.
    """
    if not path.exists():
        return None
    try:
        with reading(path) as file:
            return json.loads(file.read().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        what = f"{path} is damaged, as it is not JSON ({str(error).partition(';')[0]})"
        raise Damage(what, f"restore it, or move {path.parent} away") from None


def _itself(path: str, flags: int) -> int:
    """Opens a file, but not what a link of its name leads to, which is none of ours."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def read_form(path: Path, form: type[F]) -> F | None:
    """A JSON file's data of a form, see ``form.misfit``; otherwise as ``read_json``."""
    data = read_json(path)
    if data is None or not (wrong := misfit(data, form)):
        return data
    raise damaged(path, wrong)


def damaged(path: Path, what: str) -> Damage:
    """The sentence for a file of ours that is not as it was written."""
    return Damage(f"{path} is damaged ({what})", "restore it, or do its stage again with --redo")


def cannot_write(path: Path, error: OSError) -> RunError:
    """The sentence for a file that cannot be written."""
    if error.errno == errno.ELOOP:
        return RunError(
            f"{path} is a link to another place, to which nothing is written; delete it, then run the same command again"
        )
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
        return RunError(f"cannot write {path}: {error.strerror}; move it away, then run the same command again")
    return RunError(f"cannot write {path}: {error.strerror}; make room or rights, then run the same command again")
