"""What each trainer of a recipe takes of memory, and what its device leaves it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from cai.models.bundled import resolve
from cai.models.spec import ModelSpec
from cai.recipe.recipe import Recipe
from cai.stages.online import Online
from cai.stages.ppo import SERVER_SHARE, Ppo
from cai.stages.train import Aligned, Train
from cai.train.launch import guards, memory


def memory_needs(recipe: Recipe) -> list[memory.Need]:
    """What each trainer of a recipe takes; those whose base is not on this machine are left out."""
    needs = []
    for block in recipe.blocks:
        if block.table.shape == "train" and (size := _size(recipe, block.want.base)) is not None:
            each = memory.need(block.name, block.kind, block.want, size, recipe.hardware, _scorers(recipe, block.want))
            needs.append(replace(each, there=int(each.there * _training_share(each, block.want, recipe.models))))
    return needs


def _size(recipe: Recipe, base: str) -> memory.Size | None:
    """The size of a role's model, or of that from which its training begins; None where it is not on this machine."""
    while (trained := recipe.trains(base)) is not None:
        base = trained.want.base
    return memory.size(Path(resolve(recipe.models[base].weights if base in recipe.models else base)))


def _scorers(recipe: Recipe, want: Train) -> int:
    """Bytes of the reward models that each process of a training loads, to score answers and for its guards."""
    roles = {want.reward} if isinstance(want, Online) else set[str]()
    if isinstance(want, Aligned) and guards.scoring(want.guards):
        roles.add(str(want.guards.get("judge", "")))
    half = recipe.hardware.device == "GPU"  # as ``cai.models.weights`` loads them
    sizes = [size for role in roles for size in _reward_sizes(recipe, role)]
    return sum((2 if half else 4) * each.parameters for each in sizes if each is not None)


def _reward_sizes(recipe: Recipe, role: str) -> Iterator[memory.Size | None]:
    """Of each reward model that a role stands for and that is loaded into the process that asks."""
    for step in recipe.behind(role):
        yield _size(recipe, recipe.block(step).want.base)
    spec = recipe.models.get(role)
    if spec is not None and spec.reward and not spec.served:
        yield memory.size(Path(resolve(spec.reward)))
    for member in spec.rewards if spec is not None else ():
        if not recipe.behind(member):
            yield from _reward_sizes(recipe, member)


def _training_share(each: memory.Need, want: Train, models: Mapping[str, ModelSpec]) -> float:
    """The share of a GPU that the server which samples PPO's answers leaves to the training."""
    if each.device == "CPU" or not isinstance(want, Ppo) or not want.rollouts:
        return 1.0
    return 1 - (models[want.rollouts].gpu_memory or SERVER_SHARE)
