"""Whether the machine has what a recipe's models and trainers need."""

import os
from collections.abc import Iterator
from pathlib import Path

from cai.data.locations import Origin
from cai.errors import install
from cai.models import scripted, vllm
from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.recipe.block import Block, named_roles
from cai.recipe.checks import training
from cai.recipe.shape import Shape
from cai.stages.evaluate import HUB, Evaluate
from cai.stages.pairs import Pairs
from cai.stages.prompts import Prompts
from cai.stages.train import Train
from cai.train.launch import needs
from constitution.source import InputError, Problem


def models(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """The models that it cannot reach, serve or load."""
    roles = {role for block in shape.steps for _, role in named_roles(block.want)}
    roles |= {member for role in roles & shape.models.keys() for member in shape.models[role].rewards}
    for role, spec in shape.models.items():
        if role in roles:
            yield from _model(spec, shape, machine)
        if spec.api_key_env and not os.environ.get(spec.api_key_env):
            yield shape.problem(("models", role, "api_key_env"), f"{spec.api_key_env} is not set; export it")


def _model(spec: ModelSpec, shape: Shape, machine: Machine) -> Iterator[Problem]:
    try:
        if spec.served:
            vllm.check(spec, machine)
        if machine.serves_here and (text := needs.unloadable(spec, machine)):
            yield shape.problem(("models", spec.role, spec.kind), text)
        if spec.kind == "scripted" and spec.scripted != "none":
            scripted.read_script(Path(spec.scripted))
    except InputError as error:
        yield from error.problems or [Problem(shape.source.path, 0, "", str(error), "recipe")]


def steps(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """What it lacks for the steps."""
    for block in shape.steps:
        for keys, text in training.shortfalls(block, machine):
            yield shape.problem((*block.keys, *keys), text)
        for key, text in _step(block, shape, machine):
            yield shape.problem((*block.keys, key) if key else block.keys, text)


def _step(block: Block, shape: Shape, machine: Machine) -> needs.Problems:
    want = block.want
    if "wrong_language" in getattr(want, "hygiene", ()) and "py3langid" not in machine.packages:
        yield "hygiene", f"wrong_language needs the package py3langid; run: {install('clean')}"
    if getattr(want, "dedupe", "") == "near" and "datasketch" not in machine.packages:
        yield "dedupe", f"near needs the package datasketch; take exact, or run: {install('clean')}"
    if getattr(want, "exam", "") and "numpy" not in machine.packages:
        yield "exam", f"needs the package numpy; take it out, or run: {install('judge')}"
    if any(each.hub for each in _sources(want)) and "datasets" not in machine.packages:
        yield "", f"reading a Hub dataset needs the package datasets; give a file, or run: {install('train')}"
    if not isinstance(want, Train):
        return
    weights = shape.models[want.base].weights if want.base in shape.models else want.base
    if text := needs.unknown(weights) or needs.untemplated(want, weights):
        yield "base", text
    if machine.serves_here:
        yield from needs.problems(want, machine)


def _sources(want: object) -> list[Origin]:
    """What a step reads from outside."""
    match want:
        case Prompts():
            return [*want.redteam, *want.helpful]
        case Pairs():
            return [want]
        case Evaluate(exam=name) if name.startswith(HUB):
            return [Pairs(hub=name.removeprefix(HUB))]
    return []


def surroundings(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """What it lacks for the recipe's hardware, and for its logs."""
    problems = training.surroundings(shape.hardware, shape.logs, shape.steps, machine)
    return (shape.problem((key,), text) for key, text in problems)
