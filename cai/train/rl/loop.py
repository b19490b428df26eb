"""PPO, step by step: sample answers, score them, take the KL off, estimate advantages, learn.

Independent of TRL, which dropped its PPO. What went wrong there is designed against here: answers are scored in the reward
model's own tokens; the sampling has no cut-offs that the probabilities do not know of, so that the KL cannot be
systematically negative; everything that is drawn depends on (seed, step, row), so that a training that was killed goes on
exactly, and one process draws what two would.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypedDict

import torch
from torch import Tensor

from cai.stages.ppo import Ppo
from cai.store.rows import Prompt
from cai.train.rl import advantages, kl
from cai.train.rl.actor import Actor
from cai.train.rl.learner import Learner, LearnerState, PpoBatch
from cai.train.rl.processes import Processes
from cai.train.rl.rollout import ChatTokens, Rollout, Sampler, SeededPrompt

Score = Callable[[Sequence[SeededPrompt], Sequence[str]], Sequence[float | None]]
"""Answers → their scores; None where one cannot be read, which leaves the answer out."""


ALIKE = 1e-6
"""A standard deviation of scores that is none."""
MOST_WEIGHT = 2.0
"""Of a token that another computation drew."""


@dataclass(frozen=True, slots=True)
class Experience:
    """What is learnt from: a batch as policy, reference and critic see it; shapes (rows, answer), scores (rows,).

    Attributes:
        kl: the KL of the policy to the reference before each token, in nats.
        weights: π/π_drawn of each token, at most ``MOST_WEIGHT``; ones where the policy itself drew it.
    """

    mask: Tensor
    old: Tensor
    reference: Tensor
    kl: Tensor
    values: Tensor
    scores: Tensor
    weights: Tensor

    def readable_scores(self) -> list[float | None]:
        """The answers' scores; None where one could not be read."""
        has_score = self.mask.any(1).tolist()
        return [score if each else None for score, each in zip(self.scores.tolist(), has_score, strict=True)]


class Loop:
    """A PPO training.

    Args:
        talk: conversations in the policy's tokens.
    """

    def __init__(
        self, actor: Actor, talk: ChatTokens, writer: Sampler, score: Score, task: "PpoPlan", processes: Processes
    ) -> None:
        self.actor, self.talk, self.writer, self.score = actor, talk, writer, score
        self.task, self.want, self.processes = task, task.want, processes
        self.learner = Learner(actor, task.want, task.steps, processes)
        self.coefficient = kl.Coefficient(task.want.kl_coef, task.want.kl_target, task.want.kl_horizon)
        self.stopped = ""
        actor.train(False)

    def step(self, number: int) -> tuple[dict[str, float], Rollout, Experience]:
        """One step, numbered from 1; returns its figures, and this process's answers with the experience in them."""
        rollout = self.rollout(self.processes.mine(self.task.batch(number)))
        experience = self.experience(rollout)
        lesson, variance = self._lesson(rollout, experience)
        figures = {**self.figures(rollout, experience), **variance, "kl_coef": self.coefficient.value}
        figures |= self.learner.learn(lesson, self.want.batch_size, draw_seed(self.task.seed, "order", number, 0))
        self.writer.new_weights()
        if figures["unread"] < 1:
            self.coefficient.adapt(figures["kl"], self.want.batch_size)
        return figures, rollout, experience

    def rollout(self, prompts: Sequence[SeededPrompt]) -> Rollout:
        """Answers to these prompts, by the policy as it is."""
        self.actor.train(False)
        with self.processes.accelerator.autocast():  # as when its probabilities are taken
            return self.talk.rollout(prompts, self.writer, self.processes.device)

    @torch.no_grad()
    def experience(self, rollout: Rollout) -> Experience:
        """Score the answers, and read their probabilities and values in micro-batches."""
        raw = self.score(rollout.prompts, rollout.texts)
        device = self.processes.device
        has_score = torch.tensor([each is not None for each in raw], device=device)
        scores = torch.tensor([0.0 if each is None else float(each) for each in raw], device=device)
        scores = scores - self.want.missing_eos_penalty * (~rollout.ended)
        parts: list[tuple[Tensor, ...]] = []
        for start in range(0, len(rollout.texts), self.want.per_device_train_batch_size):
            batch = rollout.batch.rows(slice(start, start + self.want.per_device_train_batch_size))
            with self.processes.accelerator.autocast():
                parts.append((*self.actor.beside_reference(batch), self.actor.values(batch)))
        old, reference, divergence, values = (torch.cat(each) for each in zip(*parts, strict=True))
        mask = rollout.batch.mask & has_score.unsqueeze(1)
        return Experience(mask, old, reference, divergence, values, scores, importance(old, rollout.sampler_logps))

    def _lesson(self, rollout: Rollout, experience: Experience) -> tuple[PpoBatch, dict[str, float]]:
        mask, total = experience.mask, self.processes.sum
        rewards = self._rewards(experience)
        gains, returns = advantages.gae(rewards, experience.values * mask, mask, self.want.gamma, self.want.lam)
        explained = advantages.explained_variance(
            total(advantages.moments(returns, mask)), total(advantages.moments(returns - experience.values, mask))
        )
        whitened = advantages.whiten(gains, mask, total(advantages.moments(gains, mask)))
        batch = type(rollout.batch)(rollout.batch.ids, rollout.batch.attention, mask)
        lesson = PpoBatch(batch, experience.old, experience.values, whitened * experience.weights, returns)
        return lesson, {"explained_variance": explained}

    def _rewards(self, experience: Experience) -> Tensor:
        """The KL taken off at every token, the score added at the last (Ziegler et al. 2019, section 2.1)."""
        scores = experience.scores
        if self.want.whiten_rewards:
            rows = experience.mask.any(1)
            spread = advantages.mean_std(self.processes.sum(advantages.moments(scores, rows)))[1]
            scores = scores / spread if spread > ALIKE else scores
        rewards = -self.coefficient.value * kl.tokenwise(experience.old, experience.reference) * experience.mask
        last = (experience.mask.sum(1) - 1).clamp_min(0)
        at_end = torch.zeros_like(rewards).scatter_(1, last.unsqueeze(1), scores.unsqueeze(1))
        return rewards + at_end * experience.mask

    def figures(self, rollout: Rollout, experience: Experience) -> dict[str, float]:
        """The figures of a batch, over all processes: means over the answers that have a score; none where none has."""
        rows = experience.mask.any(1)
        divergences = {"kl": experience.kl, "kl_sampled": kl.tokenwise(experience.old, experience.reference)}
        if rollout.sampler_logps is not None:
            divergences["kl_drawn"] = kl.never_negative(rollout.sampler_logps, experience.old)
        sums: dict[str, Tensor | float] = {"answers": float(len(rows)), "known": rows.sum()}
        sums |= {name: each.masked_fill(~experience.mask, 0).sum() for name, each in divergences.items()}
        sums |= {"reward": (experience.scores * rows).sum(), "square": (experience.scores.square() * rows).sum()}
        sums |= {"length": experience.mask.sum(), "ended": (rollout.ended & rows).sum()}
        totals = self.processes.sums(sums)
        count, answers = totals.pop("known"), totals.pop("answers")
        if not count:
            return {"unread": 1.0}
        square = totals.pop("square") / count
        means = {name: value / count for name, value in totals.items()}
        return {**means, "reward_std": max(square - means["reward"] ** 2, 0.0) ** 0.5, "unread": 1 - count / answers}


def importance(policy: Tensor, sampler: Tensor | None) -> Tensor:
    """Importance weights of tokens that were drawn in other numbers than the policy's, such as a server's, truncated.

    Even with the same weights a server computes a little differently, and what it draws is a little off-policy
    (truncated importance sampling: Ionides 2008; for RLHF, Yao et al. 2025).
    """
    return torch.ones_like(policy) if sampler is None else (policy - sampler).exp().clamp_max(MOST_WEIGHT)


@dataclass(frozen=True, slots=True)
class PpoPlan:
    """What a training works on.

    Attributes:
        questions: the prompts, in the order of their files.
        steps: of the whole training.
        seed: the run's.
    """

    want: Ppo
    questions: Sequence[Prompt]
    steps: int
    seed: int

    def batch(self, step: int) -> list[SeededPrompt]:
        """The prompts of a step: the set is gone through again and again, each time in another order."""
        size, count = self.want.batch_size, len(self.questions)
        places = range((step - 1) * size, step * size)
        orders = {turn: self._order(turn) for turn in {place // count for place in places}}
        return [
            SeededPrompt(
                self.questions[orders[place // count][place % count]], draw_seed(self.seed, "answer", step, row)
            )
            for row, place in enumerate(places)
        ]

    def _order(self, turn: int) -> list[int]:
        order = list(range(len(self.questions)))
        Random(f"{self.seed}/order/{turn}").shuffle(order)
        return order


def draw_seed(seed: int, what: str, step: int, row: int) -> int:
    """A generator's seed that depends on these and on nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{what}/{step}/{row}".encode()).digest()[:6])


def held_out(questions: Sequence[Prompt], seed: int) -> list[SeededPrompt]:
    """Prompts to be answered before and after with the same draws."""
    return [SeededPrompt(each, draw_seed(seed, "held out", 0, row)) for row, each in enumerate(questions)]


def steps_of(want: Ppo, questions: int) -> int:
    """How many steps a training has: as said, or by passes over the prompts."""
    if want.max_steps > 0:
        return want.max_steps
    return max(1, -(-int(want.num_train_epochs * questions) // want.batch_size))


class LoopState(TypedDict):
    """A checkpoint of a training."""

    step: int
    weights: dict[str, dict[str, Tensor]]
    learner: LearnerState
    kl_coef: float
    stopped: str


def state(loop: Loop, number: int) -> LoopState:
    """All that a checkpoint keeps; what is drawn depends on the step alone and needs no keeping."""
    return {
        "step": number,
        "weights": loop.actor.state(),
        "learner": loop.learner.state(),
        "kl_coef": loop.coefficient.value,
        "stopped": loop.stopped,
    }


def load_state(loop: Loop, checkpoint: LoopState) -> None:
    """Go on from a checkpoint."""
    loop.actor.load(checkpoint["weights"])
    loop.learner.load(checkpoint["learner"])
    loop.coefficient.value, loop.stopped = checkpoint["kl_coef"], checkpoint["stopped"]
    loop.writer.new_weights()
