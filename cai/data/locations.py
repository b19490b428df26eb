"""What a source's path stands for: one file, those of a wildcard, or those of a folder (``cai.data.folders``)."""

import hashlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cai.data import folders
from cai.data.formats import kind, of_one_kind
from cai.errors import RunError, UserError
from cai.store import audit
from cai.store.stage import Stage

WILD = re.compile(r"[*?\[]")


class Origin(Protocol):
    """Where rows come from: a path, or a dataset on the Hub, with its split and configuration."""

    @property
    def path(self) -> str: ...
    @property
    def hub(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def config(self) -> str: ...


def files(origin: Origin) -> list[Path]:
    """The files of a source that is not on the Hub, in order.

    Raises:
        UserError: there is none, what is there is no file of rows, or one of a run's was changed since the run wrote it.
    """
    paths = _files(origin)
    for folder in dict.fromkeys(path.parent for path in paths):
        _check_unchanged(folder, [path for path in paths if path.parent == folder])
    return paths


def _check_unchanged(folder: Path, paths: list[Path]) -> None:
    """Refuse files of a stage of a run that are not as it wrote them."""
    stage = next((each for each in (folder, folder.parent) if (each / "begun.json").is_file()), None)
    if stage is None:
        return
    try:
        for _ in audit.unchanged(Stage(folder), paths, stage.name):
            pass
    except RunError as error:
        raise UserError(str(error)) from None


def _files(origin: Origin) -> list[Path]:
    path = Path(origin.path)
    mode = _mode(path)
    if mode is None and WILD.search(origin.path):
        return _without_splits(origin, matches(origin.path))
    if mode is None:
        raise UserError(f"{path}: there is no such file; check the path")
    if stat.S_ISDIR(mode):
        return folders.files(path, origin.split, origin.config)
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: is a device or a pipe, and no file; write its rows to a file, and name that")
    kind(path)
    return _without_splits(origin, [path])


def _without_splits(origin: Origin, paths: list[Path]) -> list[Path]:
    """Files that are all of one kind of row.

    Raises:
        UserError: a split or a configuration of them is named.
    """
    keys = [key for key, value in (("split", origin.split), ("config", origin.config)) if value not in ("", "train")]
    if keys:
        what = "is one file" if len(paths) == 1 else "stands for files"
        key = " and ".join(f"`{each}`" for each in keys)
        raise UserError(f"{origin.path}: {what}, of which there are no splits or configurations; take {key} out")
    return paths


def matches(pattern: str) -> list[Path]:
    """The files that a path with wildcards stands for, each once.

    Raises:
        UserError: there is none.
    """
    paths: dict[Path, Path] = {}
    for path in _matches(pattern):
        paths.setdefault(path.resolve(), path)
    if not paths:
        raise UserError(f"{pattern}: no file is called so; check the path")
    return of_one_kind(Path(pattern), sorted(paths.values()))


def fits(pattern: str) -> bool:
    """Whether a path with wildcards stands for a file."""
    return next(_matches(pattern), None) is not None


def _matches(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    try:
        yield from (each for each in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if each.is_file())
    except (ValueError, NotImplementedError, OSError) as error:
        raise UserError(f"{pattern}: is no path with wildcards: {error}") from None


def digest(origin: Origin) -> str:
    """A fingerprint of what the files hold: of one file its own, of several their names' and theirs.

    Raises:
        UserError: as ``files``.
    """
    paths = files(origin)
    if paths == [Path(origin.path)]:
        return _sha256(paths[0])
    lines = "".join(f"{path.name} {_sha256(path)}\n" for path in paths)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mode(path: Path) -> int | None:
    """What kind of thing stands at a path; None where nothing does.

    Raises:
        UserError: it cannot be looked at.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; check the path") from None
