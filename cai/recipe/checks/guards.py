"""What a recipe's schema cannot say about the guards of a training: settings that do not go together, each a sentence."""

from collections.abc import Iterator, Mapping, Sequence

from cai.judge.methods import METHODS
from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.stages.online import Online
from cai.stages.ppo import Ppo
from cai.stages.train import Aligned
from cai.train.launch import guards

Problems = Iterator[tuple[str, str]]
"""The key in the block, and a sentence."""

BESIDE = "a vLLM server of ours would have to be up beside the training; start it yourself and give it by `endpoints`"


def problems(want: Aligned, models: Mapping[str, ModelSpec], before: Sequence[Block], machine: Machine) -> Problems:
    """All that is wrong with a block's ``guards`` beyond its schema."""
    yield from (("guards", text) for text in _judge(want))
    if is_server(judge := want.guards.get("judge", ""), models, before, machine):
        yield "guards", f'"{judge}": {BESIDE}'
    yield from (("guards", text) for text in _bounds(want))


def is_server(role: str, models: Mapping[str, ModelSpec], before: Sequence[Block], machine: Machine) -> bool:
    """Whether a role, what it was trained from, or a member of a combination, is a vLLM server that we would start.

    Args:
        before: the steps that may have trained it.
    """
    if role in models:
        members = [models[each] for each in models[role].rewards if each in models]
        return any(each.served for each in (models[role], *members))
    place = next((number for number, each in enumerate(before) if each.trains and each.role == role), None)
    if place is None or before[place].kind == "reward":  # those that we trained are asked in the training's own process
        return False
    base = before[place].want.base
    is_ours = base in models or any(each.role == base for each in before[:place])
    return is_server(base, models, before[:place], machine) if is_ours else "vllm" in machine.packages


def _judge(want: Aligned) -> Iterator[str]:
    judge, method = want.guards.get("judge", ""), guards.scoring(want.guards)
    if judge and not METHODS[method].model_kind:
        yield f"the method {method} asks no model; take judge out"
    elif method and METHODS[method].model_kind and not judge:
        yield f"no judge is named for the method {method}; give a role under `judge`"
    if want.guards.get("every") == 0 and want.guards.keys() - {"every", "drawn"}:
        yield "every: 0 looks never, so that all else here does nothing; take one of them out"
    if "chosen" in want.guards and isinstance(want, Online):
        yield f"chosen is for trainers that learn from pairs, and {type(want).__name__.lower()} has none; take it out"
    if "drawn" in want.guards and not (isinstance(want, Ppo) and want.rollouts):
        yield "drawn is for ppo whose answers are sampled by servers (rollouts); take it out"
    if want.guards.get("rules") and method != "rules":
        yield "rules are for the method rules; take them out, or set `method: rules`"
    if judge and isinstance(want, Online) and judge == want.reward:
        yield f'the judge "{judge}" is what the policy learns from, and would see nothing wrong; name another'


def _bounds(want: Aligned) -> Iterator[str]:
    limits = guards.parse(want.guards)
    for act, bounds in (("warn", limits.warn), ("stop", limits.stop)):
        for name, (least, most) in bounds.items():
            if least is not None and most is not None and least > most:
                yield f"{name}.{act} must rise, found [{least:g}, {most:g}]"
