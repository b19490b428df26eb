"""PPO, step by step: sample answers, score them, take the KL off, estimate advantages, learn.

Independent of TRL, which dropped its PPO. What went wrong there is designed against here: answers are scored in the reward
model's own tokens; the sampling has no cut-offs that the probabilities do not know of, so that the KL cannot be
systematically negative; everything that is drawn depends on (seed, step, row), so that a training that was killed goes on
exactly, and one process draws what two would.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn import functional

from cai.stages.ppo import Ppo
from cai.store.rows import Prompt
from cai.train.launch import guards
from cai.train.rl import advantages, drift, kl
from cai.train.rl.actor import Actor, Batch
from cai.train.rl.learner import Learner, LearnerState, PpoBatch
from cai.train.rl.processes import Processes
from cai.train.rl.rewards import with_ends
from cai.train.rl.rollout import ChatTokens, Rollout, Sampler, SeededPrompt

Score = Callable[[Sequence[SeededPrompt], Sequence[str]], Sequence[float | None]]
"""Answers → their scores; None where one cannot be read, which leaves the answer out."""
ALIKE = 1e-6
"""A standard deviation of scores that is none."""


@dataclass(frozen=True, slots=True)
class Experience:
    """What is learnt from: a batch as policy, reference and critic see it; shapes (rows, answer), scores (rows,).

    Attributes:
        mask: true for the tokens of answers that are learnt from.
        kl: the KL of the policy to the reference before each token, in nats.
        weights: of each token, see ``drift.importance``; ones where the policy itself drew it.
        read: whether each answer's score could be read, shape (rows,).
    """

    mask: Tensor
    old: Tensor
    reference: Tensor
    kl: Tensor
    values: Tensor
    scores: Tensor
    weights: Tensor
    read: Tensor

    def readable_scores(self) -> list[float | None]:
        """The answers' scores; None where one could not be read."""
        return [score if each else None for score, each in zip(self.scores.tolist(), self.read.tolist(), strict=True)]


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
        self.most_drawn = guards.parse(task.want.guards).stop["drawn"][1]
        self.stopped = ""
        actor.train(False)

    def step(self, number: int) -> tuple[dict[str, float], Rollout, Experience]:
        """One step, numbered from 1; returns its figures, and this process's answers with the experience in them.

        Raises:
            ValueError: the answers are not the policy's, see ``drift.check``, or what is computed of them is no number.
        """
        rollout = self.rollout(self.processes.mine(self.task.batch(number)))
        experience = self.experience(rollout)
        figures = self.figures(rollout, experience)
        drift.check(figures, self.most_drawn)
        lesson, variance = self._lesson(rollout, experience)
        figures |= {**variance, "kl_coef": self.coefficient.value}
        figures |= self.learner.learn(lesson, self.want.batch_size, draw_seed(self.task.seed, "order", number, 0))
        self.writer.new_weights()
        if math.isfinite(figures.get("kl", math.nan)):
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
        raw, device = self._scores(rollout), self.processes.device
        has_score = torch.tensor([each is not None for each in raw], device=device)
        scores = torch.tensor([0.0 if each is None else float(each) for each in raw], device=device)
        old, reference, divergence, values = self._passes(rollout.batch)
        mask, weights = rollout.batch.mask & has_score.unsqueeze(1), torch.ones_like(old)
        if (sampler := rollout.sampler_logps) is not None:
            weights = drift.importance(old, sampler)
            mask = mask & drift.near(old, sampler, rollout.batch.mask).unsqueeze(1)
        return Experience(mask, old, reference, divergence, values, scores, weights, has_score)

    def _scores(self, rollout: Rollout) -> list[float | None]:
        """The answers' scores; of those that a server refused to write, nobody is asked."""
        written = rollout.batch.mask.any(1).tolist()
        parts = zip(rollout.prompts, rollout.texts, written, strict=True)
        some = [(prompt, text) for prompt, text, each in parts if each]
        scores = iter(self.score([prompt for prompt, _ in some], [text for _, text in some]))
        return with_ends(
            [next(scores) if each else None for each in written], rollout.ended.tolist(), self.want.missing_eos_penalty
        )

    def _passes(self, batch: Batch) -> list[Tensor]:
        """What ``Actor.beside_reference`` and ``Actor.values`` say, shape (rows, answer), zero where the passes were shorter."""
        order, width = batch.by_length(), batch.mask.shape[1]
        parts: list[list[Tensor]] = []
        for some in order.split(self.want.per_device_train_batch_size):
            micro = batch.rows(some).trimmed()
            with self.processes.accelerator.autocast():
                columns = (*self.actor.beside_reference(micro), self.actor.values(micro))
            parts.append([functional.pad(each, (0, width - each.shape[1])) for each in columns])
        return [torch.cat(each)[order.argsort()] for each in zip(*parts, strict=True)]

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
        """The figures of a batch, over all processes: means over the answers that are learnt from; none where none is."""
        rows, more = experience.mask.any(1), dict[str, float]()
        divergences = {"kl": experience.kl, "kl_sampled": kl.tokenwise(experience.old, experience.reference)}
        if rollout.sampler_logps is not None:
            both = experience.old, experience.reference
            more = drift.figures(self.processes.sums(drift.sums(*both, rollout.sampler_logps, rollout.batch.mask)))
        sums: dict[str, Tensor | float] = {"answers": float(len(rows)), "known": rows.sum()}
        sums["unread"] = (~experience.read).sum()
        sums |= {name: each.masked_fill(~experience.mask, 0).sum() for name, each in divergences.items()}
        sums |= {"reward": (experience.scores * rows).sum(), "square": (experience.scores.square() * rows).sum()}
        sums |= {"length": experience.mask.sum(), "ended": (rollout.ended & rows).sum()}
        totals = self.processes.sums(sums)
        count, answers = totals.pop("known"), totals.pop("answers")
        more["unread"] = totals.pop("unread") / answers
        if not count:
            return more
        square = totals.pop("square") / count
        means = {name: value / count for name, value in totals.items()}
        return {**means, "reward_std": max(square - means["reward"] ** 2, 0.0) ** 0.5, **more}


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
