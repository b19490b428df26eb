"""A model named on the command line by what trained it: a role of a run (``runs/harmless/dpo``) or of a recipe
(``runs/harmless.yaml#judge``); any other name is ``cai.recipe.models.command_model``'s.
"""

from collections.abc import Sequence
from pathlib import Path

from cai.errors import UserError
from cai.flow.screen import Screen
from cai.models.spec import SAMPLING, ModelSpec
from cai.recipe.models import COMMAND, command_model
from cai.recipe.read import load_recipe
from cai.report.summary import run_folder
from cai.run.context import Run
from cai.store.run_folder import is_stage, run_note
from cai.store.stage import Stage
from constitution.source import InputError, nearest
from constitution.turns import CHAT

SETTINGS = ("lora", "quantization", "extra_body", "thinking", "reasoning_parser", *SAMPLING)
"""What a recipe may say of how a role is asked, which its name alone does not."""


def named_model(text: str, prefer: str = "vllm", option: str = COMMAND) -> ModelSpec:
    """A model by its role, or as ``command_model``, which says what the arguments are.

    A run's own folder comes before a model of the same name on the Hub.

    Raises:
        InputError: it names no model, one that is not trained yet, or one that writes no answers.
    """
    path, mark, role = text.strip().rpartition("#")
    if mark and path.endswith((".yaml", ".yml")):
        return _of_recipe(Path(path), role, option)
    run, _, role = text.strip().rstrip("/").rpartition("/")
    if run and is_stage(role) and not (Path(text) / "config.json").is_file() and (folder := _run(run)):
        return command_model(_of_run(folder, role, option), prefer, option)
    return command_model(text, prefer, option)


def _run(name: str) -> Path | None:
    """The folder of a run; None where that is something else."""
    try:
        return run_folder(name)
    except InputError:
        return None


def _of_run(folder: Path, role: str, option: str) -> str:
    """The place of a role's model, as far as a run's folder knows it.

    Raises:
        UserError: the run has no such role, has not trained it yet, or does not say how it is reached.
    """
    note = run_note(folder)
    model, stages = folder / role / "model", {each["name"]: each["kind"] for each in note["stages"]}
    if (model / "config.json").is_file():
        return str(model)
    title = note["models"].get(role, "")
    if _plain_chat(folder, role, list(stages)) and (title.startswith("bundled/") or (title and Path(title).exists())):
        return title
    if title:
        raise UserError(
            f"{option}: {folder} does not say how {role} ({title}) is reached; name it by the recipe, as RECIPE.yaml#{role}"
        )
    if role in stages:
        raise UserError(
            f"{option}: {role} of {folder} is no trained model, or not trained yet; see: cai status {folder}"
        )
    raise UserError(f'{option}: {folder} has no role "{role}"; {nearest(role, [*note["models"], *stages])}')


def _plain_chat(folder: Path, role: str, stages: Sequence[str]) -> bool:
    """Whether nothing in a run's folder says that a role is asked otherwise than any chat model."""
    begun = (Stage(folder / name).begun for name in stages)
    ways = [each["models"][role] for each in begun if each and role in each["models"]]
    return all(way.get("format") == CHAT and way.keys().isdisjoint(SETTINGS) for way in ways)


def _of_recipe(path: Path, role: str, option: str) -> ModelSpec:
    """How a recipe reaches a role's model.

    Raises:
        InputError: there is no such role, it is not trained yet, or it writes no answers; and as ``load_recipe``.
    """
    recipe = load_recipe(path)
    trained = [each.role for each in recipe.blocks if each.trains]
    if role not in (*recipe.models, *trained):
        raise UserError(f'{option}: {path} has no role "{role}"; {nearest(role, [*recipe.models, *trained])}')
    run = Run(recipe, Path("runs") / recipe.name, Screen())
    spec = run.spec(role)
    if spec.scorer:
        raise UserError(f"{option}: {role} of {path} is a reward model, which writes no answers; name another")
    if role in trained and not (Path(spec.weights) / "config.json").is_file():
        raise UserError(f"{option}: {role} of {path} is not trained yet ({spec.weights}); run: cai run {path}")
    return spec
