"""What a folder of rows holds: files of one kind, a split of them.

It is what ``datasets`` saved (``save_to_disk``), a finished stage of a run, a dataset's repository with its ``configs`` in
README.md, or files of one kind; of several splits the one that is named is read. Links to folders are not followed.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from cai.data.formats import KIND_LIST, KINDS, of_one_kind
from cai.data.notation import names
from cai.errors import UserError

DEPTH, MOST = 2, 100_000
"""How deep a folder is looked through, and up to how many files."""
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
_SHARD = re.compile(r"([\w.-]+)-\d{5}-of-(\d{5})\.")


def files(folder: Path, split: str, config: str) -> list[Path]:
    """The files of a folder's split, in order.

    Raises:
        UserError: there is none, or some are missing.
    """
    if (folder / "run.json").is_file():
        stages = ", ".join(sorted(each.parent.name for each in folder.glob("*/seal.json")))
        raise UserError(
            f"{folder}: is a run; name the folder of one of its stages that are done: {stages or 'none yet'}"
        )
    has_seal = (folder / "seal.json").is_file()
    if (folder / "begun.json").is_file() and not has_seal:
        raise UserError(f"{folder}: is a stage that is not done; run its recipe to its end first")
    if has_seal and (parts := sorted(folder.glob("part-*.jsonl"))):
        if config or split not in ("", "train"):
            raise UserError(
                f"{folder}: is a stage of a run, of which there are no splits; take `split` and `config` out"
            )
        return parts
    for reader in (_by_state, _by_readme, _by_name):
        if splits := reader(folder, config):
            if config and reader is not _by_readme:
                raise UserError(f"{folder}: has no configurations, which its README.md would name; take `config` out")
            return _of_split(folder, splits, split)
    inside = names(sorted(each.name for each in folder.iterdir()))
    raise UserError(f"{folder}: holds no {KIND_LIST}; there are: {inside or 'none at all'}")


def _of_split(folder: Path, splits: Mapping[str, list[Path]], split: str) -> list[Path]:
    if not splits.get(split):
        options = names(sorted(each for each, paths in splits.items() if paths))
        raise UserError(f'{folder}: has no split "{split}"; name one of: {options or "none has a file"} (key `split`)')
    _check_shards(folder, splits[split])
    return of_one_kind(folder, splits[split])


def _check_shards(folder: Path, paths: Iterable[Path]) -> None:
    """Refuse numbered files of which some are missing.

    Raises:
        UserError: they are.
    """
    shards = [(path.parent, match) for path in paths if (match := _SHARD.match(path.name))]
    sets = Counter((parent, match[1], int(match[2])) for parent, match in shards)
    for (_, name, count), number in sets.items():
        if number < count:
            raise UserError(f"{folder}: should hold {count} files {name}-…-of-…, and holds {number}; fetch it whole")


def _by_state(folder: Path, config: str) -> dict[str, list[Path]]:
    """What ``save_to_disk`` of ``datasets`` wrote: one dataset, or one a split."""
    splits = _json(folder / "dataset_dict.json").get("splits", [])
    several = {str(each): _by_state(folder / str(each), config).get("train", []) for each in splits}
    if several:
        return several
    entries = _json(folder / "state.json").get("_data_files", [])
    shards = [str(each["filename"]) for each in entries if isinstance(each, dict) and "filename" in each]
    return {"train": _files_of(folder, shards)} if shards else {}


def _by_readme(folder: Path, config: str) -> dict[str, list[Path]]:
    """What the README of a dataset's repository says of its files."""
    configs = [each for each in _header(folder / "README.md").get("configs") or [] if isinstance(each, dict)]
    if not configs:
        return {}
    by_name = {str(each.get("config_name", "default")): each for each in configs}
    usual = [name for name, each in by_name.items() if each.get("default")] or ["default"]
    name = config or (next(iter(by_name)) if len(by_name) == 1 else usual[0])
    if name not in by_name:
        raise UserError(f"{folder}: has several configurations; name one of: {names(by_name)} (key `config`)")
    if inner := by_name[name].get("data_dir"):
        return _by_name(_inside(folder, str(inner)), "")
    value = by_name[name].get("data_files")
    entries = value if isinstance(value, list) else [value] if value else []
    splits: dict[str, list[Path]] = {}
    for each in entries:
        split, paths = (each.get("split", "train"), each.get("path")) if isinstance(each, dict) else ("train", each)
        patterns = [str(path) for path in (paths if isinstance(paths, list) else [paths])]
        splits.setdefault(str(split), []).extend(_files_of(folder, patterns))
    return splits


def _by_name(folder: Path, _: str) -> dict[str, list[Path]]:
    """By the names of files and their folders; without a split in any of them, all are ``train``."""
    paths = list(_walk(folder))
    shards = {path: match[1] for path in paths if (match := _SHARD.match(path.name)) and "-" not in match[1]}
    splits: dict[str, list[Path]] = {}
    for path in paths:
        words = re.split(r"[^a-z]+", str(path.relative_to(folder)).lower())
        split = shards.get(path) or next((SPLITS[word] for word in words if word in SPLITS), "")
        splits.setdefault(split, []).append(path)
    strays = splits.pop("", [])
    if splits and strays:
        listing, rest = names(sorted(splits)), names(each.name for each in strays)
        raise UserError(
            f"{folder}: holds the splits {listing} and files that belong to none ({rest}); name those that you mean, as in "
            "folder/train*.jsonl"
        )
    return splits or ({"train": strays} if strays else {})


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


def _files_of(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The files of a folder by their names or patterns, none above it.

    Raises:
        UserError: one is not there.
    """
    paths: list[Path] = []
    for pattern in patterns:
        try:
            matches = sorted(each for each in folder.glob(pattern) if each.is_file()) if ".." not in pattern else []
        except (ValueError, NotImplementedError):
            matches = []
        if not matches:
            raise UserError(f"{folder}: should hold {pattern}, and does not; fetch it whole")
        paths += matches
    return paths


def _inside(folder: Path, name: str) -> Path:
    """A folder within a folder.

    Raises:
        UserError: it is not there.
    """
    if ".." in Path(name).parts or not (folder / name).is_dir():
        raise UserError(f"{folder}: should hold the folder {name}, and does not; fetch it whole")
    return folder / name


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
    match = re.match(r"\A\ufeff?---\s*\n(.*?)\n---", path.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        data = yaml.safe_load(match[1]) if match else {}
    except (yaml.YAMLError, RecursionError):
        raise UserError(
            f"{path}: its head is not valid YAML; put it right, or name the files, as in folder/*.parquet"
        ) from None
    return data if isinstance(data, dict) else {}
