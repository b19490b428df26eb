"""Whether what a recipe costs can be counted."""

from collections.abc import Iterator

from cai.models.machine import Machine
from cai.recipe.shape import Shape
from constitution.source import Problem


def problems(shape: Shape, machine: Machine) -> Iterator[Problem]:
    """A budget of nothing that is counted, and prices that would not be."""
    models = shape.models
    if "budget" in shape.source.data and not any(spec.price for spec in models.values()):
        text = "no role has a price, so that nothing would be counted; give those that cost one: `price: {in: 2.5, out: 10}`"
        yield shape.problem(("budget",), text)
    for name, spec in models.items():
        roles = [role for role in spec.rewards if role in models and models[role].price]
        if roles and not spec.price:
            text = f'"{roles[0]}" has a price, and what is asked of several together is counted for all; give this role one'
            yield shape.problem(("models", name, "rewards"), text)
