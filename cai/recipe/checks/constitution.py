"""Whether a recipe's constitution can judge what its steps ask, by the names they use, and calibrations were fitted for it."""

from collections.abc import Iterator

from cai.models.machine import Machine
from cai.recipe.checks import stages
from cai.recipe.shape import Shape
from constitution.load import digest
from constitution.source import Problem


def problems(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """Where it cannot, or they were not; none where there is no constitution."""
    if shape.constitution is None:
        return
    for block in shape.steps:
        for text in stages.unjudged(block, shape.constitution):
            yield shape.problem(("constitution",), text)
        for text in stages.not_fitted(block, shape.models, digest(shape.constitution)):
            yield shape.problem((*block.keys, "calibration"), text)
        for text in stages.misnamed(block, shape.constitution):
            yield shape.problem((*block.keys, "names"), text)
