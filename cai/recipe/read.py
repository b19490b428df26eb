"""Recipe: YAML + dotted overrides → ``Recipe``, checked against ``recipe.schema.json`` before anything starts.

A block's keys are the fields of its stage's ``want`` type, plus ``as`` (the stage's own name) and ``from`` (the stage it
reads). Paths are looked up beside the recipe, then in the current folder, then among the shipped files.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from cai.models.machine import Machine, this_machine
from cai.models.spec import ModelSpec
from cai.recipe.checks import constitution, equipment, money, steps
from cai.recipe.overrides import override
from cai.recipe.recipe import Recipe
from cai.recipe.schema import SCHEMA, validator
from cai.recipe.shape import Shape, shape
from constitution.schema import problems
from constitution.shipped import find
from constitution.source import Problem, Source, complain, read_yaml

CHECKS: tuple[Callable[[Shape, Machine], Iterator[Problem]], ...] = (
    steps.problems,
    steps.combinations,
    constitution.problems,
    money.problems,
    equipment.models,
    equipment.steps,
    equipment.surroundings,
)
"""All that is asked of a recipe that the schema allows, in the order in which it is said."""


def load_recipe(path: Path, overrides: Sequence[str] = (), machine: Machine | None = None) -> Recipe:
    """Read, override and check a recipe; nothing is started or written.

    Args:
        machine: the one that is to run it; this one unless given.

    Raises:
        InputError: anything is wrong; the message has a sentence for each problem.
    """
    return read_recipe(read_yaml(find(path) or path), overrides, machine)


def read_recipe(
    source: Source,
    overrides: Sequence[str] = (),
    machine: Machine | None = None,
    models: Mapping[str, ModelSpec] = MappingProxyType({}),
) -> Recipe:
    """As ``load_recipe``, from what was read already, with further models by role."""
    properties = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    for text in overrides:
        override(source, text, set(properties))
    complain(problems(source, validator()))
    outline, machine = shape(source, models), machine or this_machine()
    complain([*outline.problems, *(problem for check in CHECKS for problem in check(outline, machine))])
    return outline.recipe()
