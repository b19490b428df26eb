"""Whether a recipe's constitution can judge what its steps ask, by the names they use, and calibrations were fitted for it."""

from collections.abc import Iterator
from pathlib import Path

from cai.models.machine import Machine
from cai.recipe.block import Block
from cai.recipe.checks import evaluation, stages
from cai.recipe.shape import Shape
from cai.stages.evaluate import Evaluate
from constitution.load import digest, load
from constitution.model import Constitution
from constitution.source import InputError, Keys, Problem


def problems(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """Where it cannot, or they were not; none where there is no constitution."""
    if shape.constitution is None:
        return
    for block in shape.steps:
        for text in stages.not_fitted(block, shape.models, digest(shape.constitution)):
            yield shape.problem((*block.keys, "calibration"), text)
        for text in stages.misnamed(block, shape.constitution):
            yield shape.problem((*block.keys, "names"), text)
        if isinstance(block.want, Evaluate) and block.want.constitution:
            yield from _own(block, block.want, shape)
        else:
            yield from _judged_by(block, shape, shape.constitution, ("constitution",))


def _own(block: Block, want: Evaluate, shape: Shape) -> Iterator[Problem]:
    """An evaluation by a constitution of its own; one that is not there was said where it was looked for."""
    try:
        if Path(want.constitution).is_file():
            yield from _judged_by(block, shape, load(Path(want.constitution)), (*block.keys, "constitution"))
    except InputError as error:
        yield from error.problems


def _judged_by(block: Block, shape: Shape, constitution: Constitution, keys: Keys) -> Iterator[Problem]:
    for text in stages.unjudged(block, constitution):
        yield shape.problem(keys, text)
    for key, text in evaluation.by_constitution(block, shape.models, constitution):
        yield shape.problem((*block.keys, key), text)
