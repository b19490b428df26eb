"""The update: several passes over a batch, with clipped losses, that stop where the policy has gone far enough."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler

from cai.stages.ppo import Ppo
from cai.train.rl import kl, losses
from cai.train.rl.actor import Actor, Batch
from cai.train.rl.processes import Processes

AGREEMENT = 1e-3
"""Nats a token by which a policy that has learnt nothing yet may differ from itself."""
COARSE = 1e-2
"""The same in bfloat16, in which one step of a logit of 16 is 7e-3 nats."""


@dataclass(frozen=True, slots=True)
class PpoBatch:
    """What is learnt from: all of shape (rows, answer).

    Attributes:
        batch: the answers; rows without a score are masked.
        old: log-probabilities as sampled.
        values: the critic's, as sampled.
    """

    batch: Batch
    old: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def rows(self, which: Tensor) -> "PpoBatch":
        """Some of the rows, without the columns that none of them needs."""
        batch = self.batch.rows(which).trimmed()
        rest = (self.old, self.values, self.advantages, self.returns)
        return PpoBatch(batch, *(each[which, : batch.mask.shape[1]] for each in rest))


class LearnerState(TypedDict):
    """What a checkpoint keeps of the optimizers and of their learning rates, by model."""

    optimizers: dict[str, dict[str, object]]
    schedules: dict[str, dict[str, object]]


class Learner:
    """Optimizers of policy and critic.

    Args:
        steps: of the whole training, for the learning rate's schedule.
    """

    def __init__(self, actor: Actor, want: Ppo, steps: int, processes: Processes) -> None:
        self.actor, self.want, self.processes = actor, want, processes
        rates = {"policy": want.learning_rate, "critic": want.value_learning_rate or want.learning_rate}
        self.parameters = actor.parameters()
        # eps as in Huang et al. 2024, "The N+ implementation details of RLHF with PPO", where Adam's own is too small.
        self.optimizers = {
            name: torch.optim.AdamW(self.parameters[name], lr=rate, eps=1e-5, weight_decay=0.0)
            for name, rate in rates.items()
        }
        self.schedules: dict[str, LRScheduler] = {
            name: get_scheduler(want.lr_scheduler_type, each, want.warmup_steps, steps)
            for name, each in self.optimizers.items()
        }
        self.moved = False

    def learn(self, lesson: PpoBatch, rows: int, seed: int) -> dict[str, float]:
        """All passes over a batch; returns figures by their names in ``metrics.jsonl``.

        Args:
            rows: of the batch over all processes, of which the lesson has this process's share.
            seed: of the order in which rows are taken.

        Raises:
            ValueError: a gradient is no number, or the policy that learns is not the one that was read.
        """
        self.actor.train(True)
        total: dict[str, float] = {}
        passes = 0
        for mini in self._minis(rows, seed):
            figures = self._gradients(lesson, mini)
            self._check(figures)
            if self._far(figures):
                break
            self._step()
            passes += 1
            total = {name: total.get(name, 0.0) + value for name, value in figures.items()}
        self.actor.train(False)
        for schedule in self.schedules.values() if passes else ():
            schedule.step()
        return {**_means(total), "updates": float(passes), "lr": self.optimizers["policy"].param_groups[0]["lr"]}

    def state(self) -> LearnerState:
        """What a checkpoint keeps."""
        return {
            "optimizers": {name: each.state_dict() for name, each in self.optimizers.items()},
            "schedules": {name: each.state_dict() for name, each in self.schedules.items()},
        }

    def load(self, state: LearnerState) -> None:
        """Take back what ``state`` gave."""
        for name, each in self.optimizers.items():
            each.load_state_dict(state["optimizers"][name])
            for values in each.state.values():  # which may be parts of a mapped file, that is to be deleted
                values |= {key: value.clone() for key, value in values.items() if isinstance(value, Tensor)}
        for name, each in self.schedules.items():
            each.load_state_dict(state["schedules"][name])

    def _minis(self, rows: int, seed: int) -> Iterator[Tensor]:
        """This process's rows of each mini-batch; the mini-batches are the same however many processes there are."""
        mine = self.processes.bounds(rows)
        order = torch.Generator().manual_seed(seed)
        for _ in range(self.want.num_ppo_epochs):
            for mini in torch.randperm(rows, generator=order).tensor_split(self.want.num_mini_batches):
                inside = mini[(mini >= mine.start) & (mini < mine.stop)] - mine.start
                yield inside.sort().values.to(self.processes.device)

    def _gradients(self, lesson: PpoBatch, mini: Tensor) -> dict[str, float]:
        """Gradients of a mini-batch in micro-batches, and what was seen on the way, as sums over all processes."""
        count = self.processes.sums({"tokens": lesson.batch.mask[mini].sum()})["tokens"]
        sums: dict[str, Tensor | float] = {}
        mini = mini[lesson.batch.mask[mini].any(1)]  # of others there is nothing to be learnt
        mini = mini[lesson.batch.rows(mini).by_length()]
        for micro in mini.split(self.want.per_device_train_batch_size) if len(mini) else ():
            for name, value in self._micro(lesson, micro, max(count, 1.0)).items():
                sums[name] = sums.get(name, 0.0) + value
        names = ("policy_loss", "value_loss", "entropy", "approx_kl", "clipped")
        totals = self.processes.sums({name: sums.get(name, 0.0) for name in names})
        return {**totals, "tokens": count}

    def _micro(self, lesson: PpoBatch, rows: Tensor, count: float) -> dict[str, Tensor]:
        """Add a micro-batch's gradients: the policy's first and then the critic's, so that one graph is held at a time."""
        want, lesson = self.want, lesson.rows(rows)
        batch, old = lesson.batch, lesson.old
        with self.processes.accelerator.autocast():
            new, entropy = self.actor.logprobs(batch, learns_entropy=want.entropy_coef > 0)
        policy = losses.policy_loss(new, old, lesson.advantages, batch.mask, want.cliprange, count)
        spread = (entropy * batch.mask).sum()
        (policy - want.entropy_coef * spread / count).backward()
        with self.processes.accelerator.autocast():
            values = self.actor.values(batch)
        value = losses.value_loss(values, lesson.values, lesson.returns, batch.mask, want.cliprange_value, count)
        value.backward()
        new = new.detach()
        return {
            "policy_loss": policy.detach() * count,
            "value_loss": value.detach() * count,
            "entropy": spread.detach(),
            "approx_kl": (kl.never_negative(old, new) * batch.mask).sum(),
            "clipped": losses.clipped_share(new, old, batch.mask, want.cliprange),
        }

    def _check(self, figures: dict[str, float]) -> None:
        """See that a policy which has not learnt yet learns as it was read: no dropout is left on, no other noise."""
        apart = figures["approx_kl"] / max(figures["tokens"], 1.0)
        most = COARSE if self.processes.accelerator.mixed_precision == "bf16" else AGREEMENT
        if not self.moved and not apart <= most:
            raise ValueError(
                f"the policy is {apart:.2g} nats a token from itself before it learns anything, over {most:g}: as it learns "
                "it computes other probabilities than as it samples; set bf16: false, or take a model without noise of its own"
            )

    def _far(self, figures: dict[str, float]) -> bool:
        """Whether the policy is too far from the one that sampled, or nothing is to be learnt.

        The gradients at hand are then thrown away: even gradients of zero would move weights, by the optimizer's momentum.
        """
        within = self.want.kl_stop is None or figures["approx_kl"] <= self.want.kl_stop * figures["tokens"]
        if figures["tokens"] and within:
            return False
        for each in self.optimizers.values():
            each.zero_grad()
        return True

    def _step(self) -> None:
        self.moved = True
        for name, each in self.optimizers.items():
            self.processes.add_gradients(self.parameters[name])
            norm = torch.nn.utils.clip_grad_norm_(self.parameters[name], self.want.max_grad_norm)
            if not norm.isfinite():  # one step along it, and no checkpoint could be gone on from
                raise ValueError(
                    f"a gradient of the {name} is {norm.item()}; lower the learning rate, or look at the rewards"
                )
            each.step()
            each.zero_grad()


def _means(total: dict[str, float]) -> dict[str, float]:
    """Sums over the tokens of all updates → means a token; none where there was no update."""
    if not total:
        return {}
    tokens = max(total.get("tokens", 0.0), 1.0)
    names = {
        "policy_loss": "loss/policy",
        "value_loss": "loss/value",
        "entropy": "entropy",
        "approx_kl": "approx_kl",
        "clipped": "clip_fraction",
    }
    return {key: total.get(name, 0.0) / tokens for name, key in names.items()}
