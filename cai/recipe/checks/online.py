"""What a recipe's schema cannot say about training against a reward: settings that do not go together, each a sentence."""

from collections.abc import Iterator, Mapping, Sequence

from cai.judge.methods import METHODS
from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.recipe.checks.guards import BESIDE, is_server
from cai.stages.grpo import Grpo
from cai.stages.online import Online
from cai.stages.ppo import Ppo
from cai.stages.rloo import Rloo

Problems = Iterator[tuple[str, str]]
"""The key in the block (or nothing, for the block itself), and a sentence."""

PLAIN = ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt")
"""Schedules of the learning rate that need no more than the steps there are."""


def problems(want: Online, models: Mapping[str, ModelSpec], before: Sequence[Block], machine: Machine) -> Problems:
    """All that is wrong with such a block beyond its schema."""
    yield from _scorer(want)
    if is_server(want.reward, models, before, machine):
        yield "reward", BESIDE
    yield from _kl(want)
    match want:
        case Ppo():
            yield from _ppo(want)
        case Grpo() | Rloo():
            yield from _groups(want)


def _scorer(want: Online) -> Problems:
    asks = METHODS[want.method].model_kind
    if asks and not want.reward:
        yield "", f"names nothing that scores answers; give a role under `reward`, which {want.method} asks"
    if want.reward and not asks:
        yield "reward", f"the method {want.method} asks no model; take it out"
    if want.rules and want.method != "rules":
        yield "rules", "are for the method rules; take them out"


def _kl(want: Online) -> Problems:
    key, value = ("kl_coef", want.kl_coef) if isinstance(want, Ppo) else ("beta", getattr(want, "beta", None))
    by_model = bool(METHODS[want.method].model_kind)
    if value == 0 and by_model and not want.no_kl:
        yield (
            key,
            "is 0: nothing would keep the policy from what fools the reward; raise it, or say so again with no_kl: true",
        )
    target, limit = getattr(want, "kl_target", None), getattr(want, "kl_limit", None)
    if target and want.no_kl:
        yield "no_kl", f"says that there is no KL, but kl_target is {target:g}; take one of the two out"
    if target and limit and target >= limit:
        yield "kl_limit", f"must be above kl_target ({target:g}), found {limit:g}"
    if value and want.no_kl:
        yield "no_kl", f"says that there is no KL, but {key} is {value:g}; take one of the two out"


def _ppo(want: Ppo) -> Problems:
    if want.trl:
        yield "trl", "is for the trainers of TRL; ppo is ours, and all its keys are its own"
    if want.max_new_tokens >= want.max_length:
        yield "max_new_tokens", f"must leave room for a prompt below max_length ({want.max_length}); lower it"
    if want.num_mini_batches > want.batch_size:
        yield "num_mini_batches", f"must be at most batch_size ({want.batch_size}), found {want.num_mini_batches}"
    if want.lr_scheduler_type not in PLAIN:
        options = ", ".join(PLAIN)
        yield (
            "lr_scheduler_type",
            f"{want.lr_scheduler_type} needs settings for which ppo has no keys; say one of: {options}",
        )
    if want.gradient_accumulation_steps != 1:
        yield "gradient_accumulation_steps", "is set by batch_size and num_mini_batches here; take it out"


def _groups(want: Grpo | Rloo) -> Problems:
    if want.max_completion_length >= want.max_length:
        yield "max_completion_length", f"must leave room for a prompt below max_length ({want.max_length}); lower it"
    answers = want.per_device_train_batch_size * want.gradient_accumulation_steps
    if want.num_generations < 2:
        yield "num_generations", "must be 2 or more: an answer is compared with others to the same prompt"
    elif answers % want.num_generations:
        yield (
            "per_device_train_batch_size",
            f"times gradient_accumulation_steps must be a multiple of num_generations ({want.num_generations}), found {answers}",
        )
