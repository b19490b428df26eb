"""What a source's path stands for: one file, those of a wildcard, or those of a folder.

A folder is what ``datasets`` saved (``save_to_disk``), a finished stage of a run, a dataset's repository with its ``configs`` in
README.md, or files of one kind; of several splits the one that is named is read. Links to folders are not followed.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from cai.data.notation import names
from cai.errors import UserError

KINDS = {
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **{f".{kind}": kind for kind in ("json", "csv", "tsv", "parquet", "arrow")},
}
"""Ending → the kind of file."""
PACKED = (".gz", ".zst")
"""Endings of packed files, after that of a text file."""
KNOWN = f"{', '.join(KINDS)} files (a text file may be packed as .gz or .zst)"
WILD = re.compile(r"[*?\[]")
DEPTH, MOST = 2, 100_000
"""How deep a folder is looked through, and up to how many files."""
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
_SHARD = re.compile(r"([\w.]+)-\d{5}-of-\d{5}")


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
        UserError: there is none, or what is there is no file of rows.
    """
    path = Path(origin.path)
    mode = _mode(path)
    if mode is None and WILD.search(origin.path):
        return matches(origin.path)
    if mode is None:
        raise UserError(f"{path}: there is no such file; check the path")
    if stat.S_ISDIR(mode):
        return _of_folder(path, origin.split, origin.config)
    if not stat.S_ISREG(mode):
        raise UserError(f"{path}: is a device or a pipe, and no file; write its rows to a file, and name that")
    kind(path)
    return [path]


def matches(pattern: str) -> list[Path]:
    """The files that a path with wildcards stands for, each once.

    Raises:
        UserError: there is none.
    """
    known: dict[Path, Path] = {}
    for path in _matches(pattern):
        known.setdefault(path.resolve(), path)
    if not known:
        raise UserError(f"{pattern}: no file is called so; check the path")
    return _of_one_kind(Path(pattern), sorted(known.values()))


def fits(pattern: str) -> bool:
    """Whether a path with wildcards stands for a file."""
    return next(_matches(pattern), None) is not None


def _matches(pattern: str) -> Iterator[Path]:
    path = Path(pattern)
    try:
        yield from (each for each in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if each.is_file())
    except (ValueError, NotImplementedError, OSError) as error:
        raise UserError(f"{pattern}: is no path with wildcards: {error}") from None


def kind(path: Path) -> str:
    """The kind of a file by its ending, without that of packing.

    Raises:
        UserError: it is none of those that are known.
    """
    name = path.name.lower()
    bare = next((name.removesuffix(each) for each in PACKED if name.endswith(each)), name)
    ending = Path(bare).suffix
    if ending not in KINDS or (bare != name and ending in (".parquet", ".arrow")):
        raise UserError(f"{path}: rows come from {KNOWN}, folders of them, or `hub:`; convert it to one of them")
    return KINDS[ending]


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


def _of_folder(folder: Path, split: str, config: str) -> list[Path]:
    if (folder / "run.json").is_file():
        stages = ", ".join(sorted(each.parent.name for each in folder.glob("*/seal.json")))
        raise UserError(
            f"{folder}: is a run; name the folder of one of its stages that are done: {stages or 'none yet'}"
        )
    done = (folder / "seal.json").is_file()
    if (folder / "begun.json").is_file() and not done:
        raise UserError(f"{folder}: is a stage that is not done; run its recipe to its end first")
    if done and (parts := sorted(folder.glob("part-*.jsonl"))):
        return parts
    for described in (_saved, _configured, _by_name):
        if splits := described(folder, config):
            return _of_split(folder, splits, split)
    inside = names(sorted(each.name for each in folder.iterdir()))
    raise UserError(f"{folder}: holds no {KNOWN}; there are: {inside or 'none at all'}")


def _of_split(folder: Path, splits: Mapping[str, list[Path]], split: str) -> list[Path]:
    if not splits.get(split):
        known = names(sorted(each for each, paths in splits.items() if paths))
        raise UserError(f'{folder}: has no split "{split}"; name one of: {known or "none has a file"} (key `split`)')
    return _of_one_kind(folder, splits[split])


def _of_one_kind(path: Path, paths: list[Path]) -> list[Path]:
    kinds = {kind(each) for each in paths}
    if len(kinds) > 1:
        raise UserError(
            f"{path}: stands for files of several kinds ({', '.join(sorted(kinds))}); name one, as in *.{min(kinds)}"
        )
    return paths


def _saved(folder: Path, config: str) -> dict[str, list[Path]]:
    """What ``save_to_disk`` of ``datasets`` wrote: one dataset, or one a split."""
    splits = _json(folder / "dataset_dict.json").get("splits", [])
    several = {str(each): _saved(folder / str(each), config).get("train", []) for each in splits}
    if several:
        return several
    entries = _json(folder / "state.json").get("_data_files", [])
    shards = [str(each["filename"]) for each in entries if isinstance(each, dict) and "filename" in each]
    return {"train": _there(folder, shards)} if shards else {}


def _configured(folder: Path, config: str) -> dict[str, list[Path]]:
    """What the README of a dataset's repository says of its files."""
    configs = [each for each in _header(folder / "README.md").get("configs") or [] if isinstance(each, dict)]
    if not configs:
        return {}
    named = {str(each.get("config_name", "default")): each for each in configs}
    usual = [name for name, each in named.items() if each.get("default")] or ["default"]
    name = config or (next(iter(named)) if len(named) == 1 else usual[0])
    if name not in named:
        raise UserError(f"{folder}: has several configurations; name one of: {names(named)} (key `config`)")
    given = named[name].get("data_files")
    listed = given if isinstance(given, list) else [given] if given else []
    splits: dict[str, list[Path]] = {}
    for each in listed:
        split, paths = (each.get("split", "train"), each.get("path")) if isinstance(each, dict) else ("train", each)
        patterns = [str(path) for path in (paths if isinstance(paths, list) else [paths])]
        splits.setdefault(str(split), []).extend(_there(folder, patterns))
    return splits


def _by_name(folder: Path, _: str) -> dict[str, list[Path]]:
    """By the names of files and their folders; without a split in any of them, all are ``train``."""
    paths = list(_walk(folder))
    shards = {path: found[1] for path in paths if (found := _SHARD.match(path.name))}
    splits: dict[str, list[Path]] = {}
    for path in paths:
        words = re.split(r"[^a-z]+", str(path.relative_to(folder)).lower())
        split = shards.get(path) or next((SPLITS[word] for word in words if word in SPLITS), "")
        splits.setdefault(split, []).append(path)
    other = splits.pop("", [])
    if splits and other:
        known, rest = names(sorted(splits)), names(each.name for each in other)
        raise UserError(
            f"{folder}: holds the splits {known} and files that belong to none ({rest}); name those that you mean, as in "
            "folder/train*.jsonl"
        )
    return splits or ({"train": other} if other else {})


def _walk(folder: Path) -> Iterator[Path]:
    """The files of rows in a folder, in order; hidden ones, and those of other endings, are none.

    Raises:
        UserError: it is no folder that somebody meant.
    """
    count = 0
    for place, folders, inside in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(each for each in folders if not each.startswith(".") and depth < DEPTH)
        count += len(inside)
        if count > MOST:
            raise UserError(f"{folder}: holds more than {MOST} files; name those that you mean, as in folder/*.jsonl")
        for name in sorted(inside):
            path = Path(place) / name
            if _has_rows(name) and path.is_file():
                yield path


def _has_rows(name: str) -> bool:
    bare = re.sub(r"\.(gz|zst)$", "", name.lower())
    notes = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "manifest.json", "seal.json")
    return not name.startswith(".") and Path(bare).suffix in KINDS and bare not in notes


def _there(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files of a folder by their names or patterns, none above it.

    Raises:
        UserError: one is not there.
    """
    paths: list[Path] = []
    for pattern in patterns:
        try:
            some = sorted(each for each in folder.glob(pattern) if each.is_file()) if ".." not in pattern else []
        except (ValueError, NotImplementedError):
            some = []
        if not some:
            raise UserError(f"{folder}: should hold {pattern}, and does not; fetch it whole")
        paths += some
    return paths


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError):
        raise UserError(f"{path}: is not JSON, so that its folder cannot be read; save the dataset anew") from None
    return data if isinstance(data, dict) else {}


def _header(path: Path) -> dict[str, Any]:
    """The YAML at the head of a README."""
    if not path.is_file():
        return {}
    found = re.match(r"\A\ufeff?---\s*\n(.*?)\n---", path.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        data = yaml.safe_load(found[1]) if found else {}
    except (yaml.YAMLError, RecursionError):
        raise UserError(
            f"{path}: its head is not valid YAML; put it right, or name the files, as in folder/*.parquet"
        ) from None
    return data if isinstance(data, dict) else {}
