"""Whether the roles that a recipe's steps name are there and do what is asked of them, and the steps' settings go together."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.recipe import ensemble
from cai.recipe.block import Block, asks_reward_model, named_roles
from cai.recipe.checks import stages
from cai.recipe.models import read_weights
from cai.recipe.shape import Shape
from constitution.shipped import find
from constitution.source import Problem, close, nearest

WEIGHTS = ("base", "reference")
"""Keys under which a path or a Hub id does as well as a role."""


def problems(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """All that is wrong with the steps, one after the other."""
    steps, models = shape.steps, shape.models
    for place, block in enumerate(steps):
        for key, role in named_roles(block.want):
            yield from (shape.problem((*block.keys, key), text) for text in _role(key, role, place, shape))
        for key, text in stages.problems(block, models, steps[:place], machine):
            yield shape.problem((*block.keys, key) if key else block.keys, text)
        if block.trains and block.role in models:
            text = f'makes a model called "{block.role}", and `models` has one; give one of them another name'
            yield shape.problem(block.keys, text)


def combinations(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """Where several reward models together do not make one."""
    return (shape.problem(keys, text) for keys, text in ensemble.problems(shape.models, shape.blocks))


def _role(key: str, role: str, place: int, shape: Shape) -> Iterator[str]:
    """Why a step cannot have the role that it names under a key."""
    steps, models = shape.steps, shape.models
    block, scores = steps[place], asks_reward_model(steps[place], key)
    trainers = [each for each in steps[:place] if each.trains and each.visible_to(block)]
    products = [each.role for each in trainers if (each.kind == "reward") == scores]
    options = [*(role for role, spec in models.items() if spec.scorer == scores), *products]
    if role in options:
        yield from _unusable(key, role, models, steps[:place])
    elif text := stages.misplacement(role, scores, models, steps, place):
        yield text
    elif key not in WEIGHTS or _is_typo(role, options, shape.folder):
        yield f'there is no {"reward model" if scores else "model"} "{role}"; {nearest(role, options)}'
    else:
        texts: list[str] = []
        read_weights(role, (), shape.folder, lambda _, text: texts.append(text))
        yield from texts


def _unusable(key: str, role: str, models: Mapping[str, ModelSpec], before: Sequence[Block]) -> Iterator[str]:
    """Why a role that is there is of no use under a key, or not yet."""
    if key in WEIGHTS and role in models and not models[role].weights:
        yield f'"{role}" has no weights to train: give a `vllm` or `local` model, a path or a Hub id'
    elif text := ensemble.too_late(role, models, before):
        yield text


def _is_typo(role: str, options: list[str], folder: Path) -> bool:
    """Whether what could be a folder's name is more likely a role's."""
    return "/" not in role and find(role, folder) is None and close(role, options) != ""
