"""``cai check`` and ``cai init``: files of the user's, checked and started from."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from cai.errors import UserError
from cai.recipe import SHIPPED, load_recipe
from constitution.check import Finding, check
from constitution.source import InputError, read_yaml

STARTER = (
    "principles/harmless.yaml",
    "principles/prompts/redteam.jsonl",
    "principles/prompts/helpful.jsonl",
    "runs/quickstart.yaml",
)


def check_paths(paths: Sequence[Path]) -> tuple[int, list[Finding]]:
    """Check files, and the YAML files of folders; returns how many, and what was found."""
    files = [file for path in paths for file in _files(path)]
    return len(files), [finding for file in files for finding in _check_file(file)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.glob("*.y*ml") if each.suffix in (".yaml", ".yml"))
    if not found:
        raise UserError(f"{path}: there are no YAML files in this folder; name a constitution or a recipe")
    return found


def _check_file(path: Path) -> list[Finding]:
    """As a recipe where it has stages or models, as a constitution otherwise."""
    try:
        data = read_yaml(path).data
    except InputError as error:
        return [Finding("error", "yaml", str(error))]
    if not isinstance(data, dict) or not {"stages", "models"} & data.keys():
        return check(path)
    try:
        load_recipe(path)
    except InputError as error:
        return [Finding("error", "recipe", line) for line in str(error).splitlines()]
    return []


def copy_starter(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Copy the starting files that are not there yet; yields each with whether it was copied."""
    for name in STARTER:
        target = folder / name
        new = not target.exists()
        if new:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SHIPPED / name, target)
        yield target, new
