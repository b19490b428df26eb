"""``cai check`` and ``cai init``: files of the user's, checked and started from."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from cai.errors import UserError
from constitution.check import Finding, check
from constitution.rules import Context
from constitution.source import SHIPPED, InputError, Problem, read_yaml

STARTER = (
    "principles/harmless.yaml",
    "principles/prompts/redteam.jsonl",
    "principles/prompts/helpful.jsonl",
    "runs/quickstart.yaml",
)


def check_paths(paths: Sequence[Path], context: Context | None = None) -> tuple[int, list[Finding]]:
    """Check files, and the YAML files of folders; returns how many, and what was found."""
    files = [file for path in paths for file in _files(path)]
    return len(files), [finding for file in files for finding in _check_file(file, context)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.glob("*.y*ml") if each.suffix in (".yaml", ".yml"))
    if not found:
        raise UserError(f"{path}: there are no YAML files in this folder; name a constitution or a recipe")
    return found


def _check_file(path: Path, context: Context | None) -> list[Finding]:
    """As a recipe where it has stages or models, as a constitution otherwise."""
    try:
        source = read_yaml(path)
    except InputError as error:
        return [Finding("error", "yaml", problem) for problem in error.found]
    if not isinstance(source.data, dict) or not {"stages", "models"} & source.data.keys():
        return check(source, context)
    from cai.recipe import load_recipe

    try:
        load_recipe(path)
    except InputError as error:
        found = error.found or [Problem(path, 0, "", str(error))]
        return [Finding("error", "recipe", problem) for problem in found]
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
