"""Programs of others that evaluate: the tasks that Inspect (with inspect_evals) and lm-eval have, what they take, and their data.

It is read from the packages' files, without importing them: that takes seconds, and a recipe is checked at once.
"""

import ast
import hashlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

INSPECT, LM_EVAL, INSPECT_EVALS = "inspect_ai", "lm_eval", "inspect_evals"
"""Packages, by the names under which they are imported; tasks of the last two are called by them."""
LM_EVAL_OPTIONS = (
    "num_fewshot",
    "gen_kwargs",
    "system_instruction",
    "fewshot_as_multiturn",
    "include_path",
    "metadata",
)
"""Those of lm-eval's command line that a recipe may give for a task."""
_TASK = re.compile(r"^(?:task|group|tag): *['\"]?([^\s'\"#]+)", re.MULTILINE)
_TAGS = re.compile(r"^tag: *\n((?: *- *\S+ *\n)+)", re.MULTILINE)
_JUDGE = re.compile(r"(?:^|_)(?:judge|grader|scorer)(?:_(?:model|llm))?s?$")
"""Settings that name a model that grades, as inspect_evals calls them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a task of Inspect takes.

    Attributes:
        parameters: its settings.
        judges: those of them that name a model that grades.
        needs: those of the judges for which the task takes a model of its own where none is named.
    """

    parameters: tuple[str, ...]
    judges: tuple[str, ...]
    needs: tuple[str, ...]


def split(name: str) -> tuple[str, str]:
    """A task's name → the package or file that has it, and its name there: ``("lm_eval", "ifeval")``, ``("mine.py", "")``."""
    if (file := re.fullmatch(r"(.+\.py)(?:@(\w+))?", name)) is not None:
        return file[1], file[2] or ""
    package, _, task = name.partition("/")
    return package, task


def program(name: str) -> str:
    """The package whose program does a task."""
    return LM_EVAL if split(name)[0] == LM_EVAL else INSPECT


def folder(package: str) -> Path | None:
    """Where a package is installed; None where it is not."""
    try:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def tasks(package: str) -> list[str]:
    """The names of the tasks that inspect_evals or lm-eval has, groups included; none where it is not installed."""
    place = folder(package)
    if place is None:
        return []
    return list(_registry(place)) if package == INSPECT_EVALS else sorted(yaml_tasks(place / "tasks"))


@cache
def yaml_tasks(place: Path) -> frozenset[str]:
    """The names of all lm-eval tasks, groups and tags in a folder."""
    names: set[str] = set()
    for path in place.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8", errors="replace")
        names.update(_TASK.findall(text))
        for several in _TAGS.findall(text):
            names.update(line.strip(" -") for line in several.splitlines())
    return frozenset(names)


@cache
def _registry(place: Path) -> dict[str, Path]:
    """Each task of inspect_evals → the folder of its evaluation."""
    entries = ast.parse((place / "_registry.py").read_text(encoding="utf-8")).body
    imports = [each for each in entries if isinstance(each, ast.ImportFrom) and each.module]
    folders = {each: place.joinpath(*str(each.module).split(".")[1:]) for each in imports}
    return {name.asname or name.name: folders[each] for each in imports for name in each.names}


def signature(name: str) -> Signature | None:
    """What a task of inspect_evals, or of a file, takes; None where that cannot be told."""
    place, task = split(name)
    if place == INSPECT_EVALS and (package := folder(place)):
        own = _registry(package).get(task)
        files = [*own.rglob("*.py")] if own and own.is_dir() else [own.with_suffix(".py")] if own else []
        return next((found for file in files for key, found in signatures(file).items() if key == task), None)
    return signatures(Path(place)).get(task) if place.endswith(".py") and task else None


def signatures(file: Path) -> dict[str, Signature]:
    """The tasks that a file defines, by name; none where it cannot be read."""
    try:
        module = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    functions = [each for each in module.body if isinstance(each, ast.FunctionDef) and _is_task(each)]
    return {_own_name(each): _signature(each) for each in functions}


def _is_task(function: ast.FunctionDef) -> bool:
    names = (each.func if isinstance(each, ast.Call) else each for each in function.decorator_list)
    return any(ast.unparse(each).rpartition(".")[2] == "task" for each in names)


def _own_name(function: ast.FunctionDef) -> str:
    """The name that the decorator gives it, else its own."""
    calls = (each for each in function.decorator_list if isinstance(each, ast.Call))
    names = (each.value for call in calls for each in call.keywords if each.arg == "name")
    return next((str(each.value) for each in names if isinstance(each, ast.Constant)), function.name)


def _signature(function: ast.FunctionDef) -> Signature:
    own, named = [*function.args.posonlyargs, *function.args.args], function.args.kwonlyargs
    usual = [None] * (len(own) - len(function.args.defaults)) + [*function.args.defaults, *function.args.kw_defaults]
    judges = [each.arg for each in (*own, *named) if _JUDGE.search(each.arg) and _may_be_text(each.annotation)]
    other = {
        each.arg for each, value in zip((*own, *named), usual, strict=True) if value and ast.unparse(value) != "None"
    }
    return Signature(tuple(each.arg for each in (*own, *named)), tuple(judges), tuple(j for j in judges if j in other))


def _may_be_text(annotation: ast.expr | None) -> bool:
    text = ast.unparse(annotation) if annotation else ""
    return "Model" in text or bool(re.search(r"\bstr\b", text))


def sources(name: str) -> list[str]:
    """Where a task of inspect_evals has its data from, in the words of its description; none where that is not told."""
    place, task = split(name)
    package = folder(place) if place == INSPECT_EVALS else None
    own = _registry(package).get(task) if package else None
    about = own / "eval.yaml" if own else None
    if about is None or not about.is_file():
        return []
    assets = about.read_text(encoding="utf-8").partition("external_assets:")[2]
    return re.findall(r"^\s+source: *['\"]?([^\s'\"]+)", assets, re.MULTILINE)


def cached_as(name: str, address: str) -> list[Path]:
    """Where inspect_evals looks in its cache for a file of the web that a task needs, as the task's source words it."""
    suffix, key = Path(urlparse(address).path).suffix, hashlib.sha256(address.encode()).hexdigest()[:32]
    return [Path(own) / f"{tag}{'_' if tag else ''}{key}{suffix}" for own, tag in dict.fromkeys(_cache_names(name))]


def _cache_names(name: str) -> Iterator[tuple[str, str]]:
    """The folder and the tag under which a task of inspect_evals keeps files of the web."""
    place, task = split(name)
    package = folder(place) if place == INSPECT_EVALS else None
    own = _registry(package).get(task) if package else None
    for file in own.rglob("*.py") if own else []:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("load_csv_dataset", "load_json_dataset"):
                words = {each.arg: each.value.value for each in call.keywords if isinstance(each.value, ast.Constant)}
                if "eval_name" in words:
                    yield str(words["eval_name"]), str(words.get("cache_tag") or "")
