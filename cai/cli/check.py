"""``cai check``: constitutions and recipes, before they cost."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cai.cli.look import lines, of_recipe
from cai.data.account import Account
from cai.data.prompts import PromptSource, read
from cai.errors import UserError
from cai.flow.terminal import line
from cai.recipe.checks.stages import unanswered
from cai.recipe.read import load_recipe
from cai.recipe.recipe import Recipe
from cai.store.rows import Prompt
from constitution.check import Finding, catalogue, check
from constitution.model import About
from constitution.rules import Context
from constitution.shipped import find
from constitution.source import InputError, Keys, Problem, Source, read_yaml
from constitution.visible import json_text, without_password
from constitution.wording import count


def print_rules() -> None:
    """Every rule, with what it means."""
    for name, (level, about) in catalogue().items():
        line(f"{name} ({level}): {about}")


def check_project(paths: Sequence[Path] | None, context: Context, as_json: bool) -> bool:
    """Check files, or all that the project has, and print what was found; returns whether there is no error."""
    accounts: list[Account] = []
    files, findings = check_paths(paths or project(), context, accounts)
    if as_json:
        line(without_password(json_text([each.plain() for each in findings])))
    else:
        for each in (*lines(accounts), *findings):
            line(without_password(str(each)))
        levels = Counter(each.level for each in findings)
        counts = ", ".join(count(levels[level], level) for level in ("error", "warning"))
        line(f"{count(files, 'file')} checked: {counts}")
    return all(each.level != "error" for each in findings)


def check_paths(
    paths: Sequence[Path], context: Context | None = None, accounts: list[Account] | None = None
) -> tuple[int, list[Finding]]:
    """Check files, and the YAML files of folders; returns how many, and what was found, each once.

    Args:
        accounts: gains what was understood of each source of prompts or pairs.
    """
    accounts = [] if accounts is None else accounts
    files = [file for path in paths for file in _files(find(path) or path)]
    findings = [finding for file in files for finding in _check_file(file, context or Context(), accounts)]
    return len(files), list(dict.fromkeys(findings))


def project() -> list[Path]:
    """What there is to check in a project: its constitutions and recipes in this folder, and in their folders.

    Raises:
        UserError: there is nothing.
    """
    if not (paths := _of_project(Path())):
        raise UserError(
            "there is no constitution and no recipe in this folder, principles/ or runs/; name a file, or begin with: cai init"
        )
    return paths


def _of_project(folder: Path) -> list[Path]:
    return [*filter(_ours, _yaml_files(folder)), *_of_rooms(folder)]


def _of_rooms(folder: Path) -> list[Path]:
    """The constitutions and recipes in a project's own folders for them."""
    return [path for name in ("principles", "runs") for path in _yaml_files(folder / name)]


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob("*.y*ml") if each.suffix in (".yaml", ".yml") and each.is_file())


def _ours(path: Path) -> bool:
    """Whether a YAML file is a constitution or a recipe, or cannot be read, which is worth a word."""
    try:
        data = read_yaml(path).data
    except InputError:
        return True
    return isinstance(data, dict) and bool({"principles", "include", "stages"} & data.keys())


def context(model: str | None, max_len: int | None, prompts: Sequence[Path]) -> Context:
    """What rules need beside the files: a model's tokens and context, and what the prompts at hand are about.

    Raises:
        InputError: the model or a file cannot be read.
    """
    if max_len and not model:
        raise UserError("--max-len: there is no --model whose tokens are counted; name one")
    counter, limit = _tokens(model) if model else (None, 0)
    abouts = [about for path in prompts for about in _abouts(path)] if prompts else None
    return Context(counter, max_len or limit, abouts)


def _tokens(model: str) -> tuple[Callable[[str], int], int]:
    """The model's way to count, and the tokens of its context."""
    from cai.recipe.models import command_model

    spec = command_model(model, prefer="local")
    if not spec.weights:
        raise UserError(
            "--model: counting tokens needs a model's files: give a Hub id, a folder or bundled/smollm2-135m"
        )
    from transformers import AutoConfig, AutoTokenizer

    from cai.models import own_code
    from cai.models.bundled import resolve

    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve(spec.weights), trust_remote_code=False)
        limit = int(AutoConfig.from_pretrained(resolve(spec.weights), trust_remote_code=False).max_position_embeddings)
    except Exception as error:  # by files that are damaged, as every library has errors of its own
        raise UserError(f"--model: {spec.weights} {own_code.reason(error)}") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False)), limit


def _abouts(path: Path) -> set[About]:
    rows = read({"redteam": [PromptSource(str(path))]})
    return {row.about for row in rows if isinstance(row, Prompt)}


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if not (paths := _of_project(path) if _of_rooms(path) else _yaml_files(path)):
        raise UserError(f"{path}: there are no YAML files in this folder; name a constitution or a recipe")
    return paths


def _check_file(path: Path, context: Context, accounts: list[Account]) -> list[Finding]:
    """As a recipe where it has stages or models, as a constitution otherwise."""
    try:
        source = read_yaml(path)
    except InputError as error:
        return [Finding("error", "yaml", problem) for problem in error.problems]
    if not isinstance(source.data, dict) or not {"stages", "models"} & source.data.keys():
        return check(source, context)
    try:
        recipe = load_recipe(path)
    except InputError as error:
        wrong = error.problems or [Problem(path, 0, "", str(error))]
        return [Finding("error", "recipe", problem) for problem in wrong]
    unread: list[tuple[Keys, str]] = []
    prompts = of_recipe(recipe, accounts, unread)
    abouts = list({row.about for rows in prompts.values() for row in rows}) or None
    whole = len(prompts) == sum(block.kind == "prompts" for block in recipe.blocks)
    context = replace(context, prompts=abouts if whole else None)
    wrong = [Finding("error", "recipe", source.problem(keys, text, "recipe")) for keys, text in unread]
    return [*wrong, *_unanswered(source, recipe, prompts), *check(read_yaml(recipe.constitution_file), context)]


def _unanswered(source: Source, recipe: Recipe, prompts: Mapping[str, Sequence[Prompt]]) -> list[Finding]:
    """Steps whose prompts are all on tracks that they do not answer."""
    steps = (
        (block, {row.track for row in prompts.get(block.reads, ())}) for block in recipe.blocks if block.round <= 1
    )
    texts = [(block.keys, text) for block, tracks in steps if (text := unanswered(block, tracks))]
    return [Finding("error", "recipe", source.problem(keys, text, "recipe")) for keys, text in texts]
