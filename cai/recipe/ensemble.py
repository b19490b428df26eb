"""What a recipe's reward roles stand for: ``ensemble: 3`` is three training steps, ``rewards:`` several roles together.

The steps of an ensemble differ in their seeds alone: by those the heads, which are new, begin elsewhere, and rows come in
another order (Coste et al. 2023, section 3). Each has its own folder and seal, so that they are resumed one by one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cai.models.combined import problems as combination_mistakes
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.stages.reward import Reward
from constitution.source import Keys, nearest


def expand(block: Block) -> list[Block]:
    """A step as it is run: itself, or, for an ensemble, each of its models; the first keeps the name.

    What each trains does not depend on how many there are, so that a larger ensemble keeps those that are done.
    """
    if not isinstance(block.want, Reward) or block.want.ensemble == 1:
        return [block]
    names = (block.name, *(f"{block.name}-{number}" for number in range(2, block.want.ensemble + 1)))
    alone = replace(block.want, ensemble=1)
    steps = [replace(block, name=name, want=alone, number=block.number + number) for number, name in enumerate(names)]
    return [replace(steps[0], members=names), *steps[1:]]


def behind(role: str, models: Mapping[str, ModelSpec], blocks: Sequence[Block]) -> list[str]:
    """The training steps whose results a role's model consists of."""
    if role in models:
        return [name for each in models[role].rewards if each not in models for name in behind(each, models, blocks)]
    step = next((each for each in blocks if each.role == role and each.trains), None)
    return list(step.members or (step.name,)) if step else []


def spec_of(role: str, block: Block, alone: ModelSpec) -> ModelSpec:
    """How to reach a trained reward model, or the ensemble that it is the first of.

    Args:
        alone: how to reach it alone; its folder's name is the step's.
    """
    if not block.members:
        return alone
    members = [
        replace(alone, role=name, model=name, reward=str(Path(alone.reward).parents[1] / Path(name).name / "model"))
        for name in block.members
    ]
    return ModelSpec(
        role, rewards=dict.fromkeys(block.members, 1.0), combine="mean", members=tuple(members), model=role
    )


def together(spec: ModelSpec, reach: Callable[[str], ModelSpec]) -> ModelSpec:
    """A combination with how to reach its members; a single ensemble stands for its own models.

    Args:
        reach: role → how to reach it.
    """
    members = tuple(reach(role) for role in spec.rewards)
    if len(members) == 1 and members[0].members:
        return replace(spec, rewards=members[0].rewards, members=members[0].members)
    return replace(spec, members=members)


def problems(models: Mapping[str, ModelSpec], blocks: Sequence[Block]) -> Iterator[tuple[Keys, str]]:
    """Where a combination's members are no reward models, or its settings do not go together."""
    names = [role for role, spec in models.items() if spec.scorer and not spec.rewards]
    names += [block.name for block in blocks if block.kind == "reward"]
    for name, spec in models.items():
        for role in spec.rewards:
            if role not in names:
                yield ("models", name, "rewards", role), f'there is no reward model "{role}"; {nearest(role, names)}'
        for key, text in combination_mistakes(spec):
            yield ("models", name, key), text
        servers = [role for role in spec.rewards if role in models and models[role].served]
        if len(servers) > 1:
            text = "would start several vLLM servers on one machine; start them yourself and give the others by `endpoints`"
            yield ("models", name, "rewards"), f"{', '.join(servers)} {text}"


def too_late(role: str, models: Mapping[str, ModelSpec], before: Sequence[Block]) -> str:
    """Why a step cannot use a combination yet; empty where it can."""
    absent = [
        each
        for each in (models[role].rewards if role in models else ())
        if each not in models and each not in [block.name for block in before]
    ]
    return f'"{role}" needs {", ".join(absent)}, which is trained after this step; move it before' if absent else ""
