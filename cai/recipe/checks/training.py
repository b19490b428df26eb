"""What a recipe's schema cannot say about a training step and the sets of scored answers: settings that do not go together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from cai.data.prompts import TRACKS
from cai.errors import UserError, install
from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.recipe.checks import guards, online
from cai.stages.dpo import SMOOTHED, Dpo
from cai.stages.kto import Kto
from cai.stages.online import Online
from cai.stages.ppo import Ppo
from cai.stages.reward import Reward
from cai.stages.score import Score
from cai.stages.sft import Sft
from cai.stages.train import Aligned, Train
from cai.stages.unpaired import Unpaired
from cai.train.launch import configs, hardware
from cai.train.launch.hardware import Hardware
from cai.train.launch.needs import logger, unwelcome
from constitution.forms import RATINGS
from constitution.source import close, nearest

Problems = Iterator[tuple[str, str]]
OURS = ("output_dir", "seed", "report_to", "run_name", "save_strategy", "use_cpu")
"""Keys of TRL's configs that a run depends on."""
NEEDY = {
    "cosine_with_min_lr": "min_lr or min_lr_rate",
    "cosine_warmup_with_min_lr": "min_lr or min_lr_rate",
    "warmup_stable_decay": "num_decay_steps",
}
"""Schedules of the learning rate, and what they cannot do without."""


def problems(want: object, models: Mapping[str, ModelSpec], before: Sequence[Block], machine: Machine) -> Problems:
    """All that is wrong with a block beyond its schema: the key in the block, and a sentence."""
    if isinstance(want, Train):
        yield from _under_adapter(want, models)
        yield from _config(want)
    if isinstance(want, Aligned):
        yield from guards.problems(want, models, before, machine)
    if isinstance(want, Online):
        yield from online.problems(want, models, before, machine)
    match want:
        case Dpo():
            yield from _weights(want)
            yield from _smoothing(want)
            yield from _soft(want)
        case Kto(loss_type="kto", per_device_train_batch_size=1):
            yield (
                "per_device_train_batch_size",
                "must be 2 or more: KTO tells how far the model has moved from answers to other prompts of the batch",
            )
        case Sft(packing=True, train_on_thinking=False):
            yield "train_on_thinking", "false needs `packing: false`, as packed examples cannot be told apart"
        case Sft(mix=mix) if mix and not any(each.kind == "pairs" for each in before):
            yield from _mix(mix)
        case Reward(margin=True, soft_labels=True):
            yield "margin", "is for hard labels; set soft_labels: false beside it, or take it out"
        case Unpaired():
            yield from _thresholds(want, before)


def shortfalls(block: Block, machine: Machine) -> Iterator[tuple[tuple[str, ...], str]]:
    """What a training step needs and the machine has not: the keys below the block's, and a sentence."""
    want = block.want
    if not isinstance(want, Train):
        return
    if "trl" not in machine.packages:
        yield (), f"training needs the package trl; run: {install('train')}"
        return
    try:
        options = configs.keys(block.kind)
    except UserError as error:
        yield (), str(error)
        return
    for key in want.trl:
        if key not in options:
            match = close(key, sorted(options))
            advice = (
                f'did you mean "{match}"?' if match else f"{configs.CONFIGS[block.kind]} has none like it; take it out"
            )
            yield ("trl", key), f"unknown key; {advice}"


def surroundings(where: Hardware, logs: str, steps: Sequence[Block], machine: Machine) -> Problems:
    """What is wrong with the hardware and the logs of a recipe that trains: the recipe's key, and a sentence."""
    kinds = [block.kind for block in steps if isinstance(block.want, Train)]
    if text := hardware.unknown(where):
        yield "hardware", text
    elif where.sharded and "ppo" in kinds:
        yield (
            "hardware",
            "ppo shares out rows, not weights, and cannot run where weights are spread; use ddp, and lora where the models "
            "are too large for one GPU",
        )
    elif where.sharded and (names := [block.name for block in steps if getattr(block.want, "guards", None)]):
        yield (
            "hardware",
            f"guards look at whole models and do nothing where weights are spread, but {names[0]} sets some; take them out, or "
            "use ddp",
        )
    elif machine.serves_here and kinds:
        yield from (("hardware", text) for text in hardware.unable(where, machine))
    if kinds and (text := logger(logs, machine) or unwelcome(logs)):
        yield "logs", text


def _under_adapter(want: Train, models: Mapping[str, ModelSpec]) -> Problems:
    """A role's ``lora`` is something its server puts on top of the weights; a training would begin without it."""
    for key in ("base", "reference"):
        role = getattr(want, key, "")
        if role in models and models[role].lora:
            yield (
                key,
                f'"{role}" is served with the adapter {models[role].lora}, which a training would leave out; merge the two',
            )


def _config(want: Train) -> Problems:
    if want.max_steps == 0:
        yield "max_steps", "is 0, which would train nothing; say how many, or -1 to go by epochs"
    elif 0 < want.max_steps <= want.warmup_steps:
        yield "warmup_steps", f"must be below max_steps ({want.max_steps}), found {want.warmup_steps}"
    own = {each.name for each in fields(want)}
    for key in want.trl:
        if key in own or key in OURS:
            yield (
                "trl",
                f"{key} is {'a key of the block itself; write it there' if key in own else 'set by cai; take it out'}",
            )
    if want.lr_scheduler_type in NEEDY and "lr_scheduler_kwargs" not in want.trl and not isinstance(want, Ppo):
        yield (
            "lr_scheduler_type",
            f"{want.lr_scheduler_type} needs {NEEDY[want.lr_scheduler_type]}; give it as trl: {{lr_scheduler_kwargs: {{…}}}}",
        )


def _mix(mix: Mapping[str, float]) -> Problems:
    for track in mix.keys() - set(TRACKS):
        yield "mix", f'there is no track "{track}"; {nearest(track, list(TRACKS))}'
    if all(mix.get(track) == 0 for track in TRACKS):
        yield "mix", "leaves no row; give one track a share above 0"


def _weights(want: Dpo) -> Problems:
    if want.loss_weights is not None and len(want.loss_weights) != len(want.loss_type):
        losses = ", ".join(want.loss_type)
        yield "loss_weights", f"has {len(want.loss_weights)} for {len(want.loss_type)} losses ({losses}); give each one"


def _smoothing(want: Dpo) -> Problems:
    losses = ", ".join(SMOOTHED)
    if "exo_pair" in want.loss_type and not want.label_smoothing:
        yield "label_smoothing", "must be above 0 for the loss exo_pair; its paper has 0.001"
    if "robust" in want.loss_type and want.label_smoothing >= 0.5:
        yield "label_smoothing", f"must be below 0.5 for the loss robust, found {want.label_smoothing:g}"
    if want.label_smoothing and not set(SMOOTHED) & set(want.loss_type):
        yield "label_smoothing", f"bears only on the losses {losses}; take it out, or see `soft_labels`"


def _soft(want: Dpo) -> Problems:
    if not want.soft_labels:
        return
    if "sigmoid" not in want.loss_type:
        yield "soft_labels", f"are for the loss sigmoid, found {', '.join(want.loss_type)}; add it, or take them out"
    for key, usual in (("f_divergence_type", "reverse_kl"), ("use_weighting", False)):
        if want.trl.get(key, usual) != usual:
            yield "soft_labels", f"do not go together with {key}; take one of them out"


def _thresholds(want: Unpaired, before: Sequence[Block]) -> Problems:
    """Marks that no answer can have, or all have; only ratings have a scale that is known before a run."""
    if want.good <= want.bad:
        yield "bad", f"must be below good ({want.good:g}), found {want.bad:g}"
    if {each.want.method for each in before if isinstance(each.want, Score)} != {"score"}:
        return
    least, most = int(RATINGS[0]), int(RATINGS[-1])
    if want.good > most:
        yield "good", f"is above every rating: the method score gives {least} to {most}, found {want.good:g}"
    if want.bad < least:
        yield "bad", f"is below every rating: the method score gives {least} to {most}, found {want.bad:g}"
