"""What GRPO and RLOO share: each prompt gets a group of answers, which are scored as in PPO and compared with one another.

The reward is ``cai.train.rl.rewards``: a reward model's, a judge's under the constitution (direct RLAIF, Lee et al. 2023, section
2.2.2), or that of rules. TRL is given a function, never a model, because it would pass a whole batch through that at once.
An answer without a score is left out of its group; one that does not end costs what it costs in PPO.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from random import Random

import torch
from datasets import Dataset
from torch import nn
from transformers import TrainerCallback, TrainerState
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.stages.grpo import Grpo
from cai.stages.rloo import Rloo
from cai.store.rows import Prompt
from cai.train.rl import held_out, kl
from cai.train.rl.actor import beside, reference_of
from cai.train.rl.held_out import HeldOutAnswer
from cai.train.rl.loop import draw_seed
from cai.train.rl.loop import held_out as held_out_prompts
from cai.train.rl.processes import Processes
from cai.train.rl.rewards import Rewards, with_ends
from cai.train.rl.rollout import ChatTokens, Generate, Limits, Rollout, SeededPrompt
from cai.train.shared import conversations, fit, loading, questions, saving
from cai.train.shared.job import Job

Grouped = Grpo | Rloo
GroupConfig = GRPOConfig | RLOOConfig
GroupTrainer = GRPOTrainer | RLOOTrainer
NUMBER = "number"
"""The column by which the reward function knows a prompt."""
AT_ONCE = 16
"""Held-out prompts answered at once."""
READ_AT_ONCE = 4
"""Answers whose probabilities of all tokens are held at once."""


def main(trainer_type: Callable[..., GroupTrainer], config: type[GroupConfig], job: Job[Grouped]) -> None:
    """Train on a job, with one of TRL's trainers; ``max_length`` is a limit of ours, none of TRL's."""
    want = job.want
    args = arguments(job, config)
    model = loading.model(job, args)
    tokenizer = loading.left_tokenizer(job)
    kwargs = args.chat_template_kwargs or {}
    assert isinstance(kwargs, dict)
    talk = ChatTokens(tokenizer, model.generation_config, {**job.template, **kwargs})
    prompts = questions.read(job, talk.ask, want.max_length - want.max_completion_length)
    reward = GroupReward(job, prompts.train, talk)
    trainer = trainer_type(
        model=model,
        reward_funcs=reward,
        args=args,
        train_dataset=dataset(prompts.train, args, job.seed),
        processing_class=conversations.trainer_tokenizer(talk.template),
        peft_config=loading.lora(job, "CAUSAL_LM"),
        callbacks=[fit.Progress(job.out)],
    )
    look = HeldOutLook(job, trainer, talk, reward, held_out_prompts(prompts.heldout[: want.eval_prompts], job.seed))
    trainer.add_callback(look)
    metrics = fit.train(trainer, job)
    metrics |= held_out.comparison(look.before(), look.answers())
    asyncio.run_coroutine_threadsafe(reward.rewards.close(), trainer.async_loop).result()
    saving.save(trainer, job, metrics, prompts.counts(want.eval_prompts))


def arguments(job: Job[Grouped], config: type[GroupConfig]) -> GroupConfig:
    """The TRL config."""
    want = job.want
    return fit.arguments(
        job,
        config,
        temperature=want.temperature,
        num_generations=want.num_generations,
        max_completion_length=want.max_completion_length,
        beta=want.beta,
    )


def dataset(prompts: Sequence[Prompt], args: GroupConfig, seed: int) -> Dataset:
    """The prompts as TRL reads them, numbered, as often as they are met, each time in another order.

    TRL would begin its shuffling anew when a training is resumed, and in every epoch leave out prompts that fill no batch.
    So it is given one long epoch, in an order of ours.
    """
    rows = [{"prompt": list(each.messages), NUMBER: number} for number, each in enumerate(prompts)]
    order = places(len(prompts), prompt_count(len(prompts), args), seed)
    args.num_train_epochs, args.shuffle_dataset = 1, False
    return Dataset.from_list(rows).select(order)  # pyright: ignore[reportArgumentType]


def prompt_count(prompts: int, args: GroupConfig) -> int:
    """How many prompts a training meets, full batches all."""
    assert args.generation_batch_size is not None and args.num_generations is not None  # its config fills them in
    batch = args.generation_batch_size // args.num_generations
    if args.max_steps > 0:
        assert args.steps_per_generation is not None
        batches = args.max_steps * args.gradient_accumulation_steps / (args.steps_per_generation * args.num_iterations)
    else:
        batches = args.num_train_epochs * prompts / batch
    return math.ceil(batches) * batch


def places(count: int, length: int, seed: int) -> list[int]:
    """So many places, from all there are again and again, each time in another order."""
    numbers: list[int] = []
    for turn in range(-(-length // count)):
        order = list(range(count))
        Random(f"{seed}/order/{turn}").shuffle(order)
        numbers += order
    return numbers[:length]


class GroupReward:
    """The reward function that TRL calls with each batch, in an event loop of its own."""

    def __init__(self, job: Job[Grouped], prompts: Sequence[Prompt], talk: ChatTokens) -> None:
        self.talk = talk
        self.prompts, self.seed, self.file = prompts, job.seed, job.out / "answers.jsonl"
        self.penalty = job.want.missing_eos_penalty
        assert job.scoring is not None
        self.rewards = Rewards(job.scoring)
        self.__name__ = self.rewards.scoring.method  # by which TRL names its figures

    async def __call__(
        self, completion_ids: Sequence[Sequence[int]], number: Sequence[int], trainer_state: TrainerState, **_: object
    ) -> list[float | None]:
        """The score of each answer; None where it cannot be read.

        Answers to the same prompt are judged under the same principle, for their scores are compared; the next time that
        the prompt is met, another may be drawn.
        """
        step = trainer_state.global_step
        prompts = [self._seeded(self.prompts[each], step) for each in number]
        renderings = [self.talk.template.prompt(each.messages) for each in prompts]
        texts = list(map(self.talk.words, renderings, completion_ids))
        ended = [bool(each) and each[-1] in self.talk.ends for each in completion_ids]
        scores = with_ends(await self.rewards.score(prompts, texts), ended, self.penalty)
        if trainer_state.is_world_process_zero:
            questions.show(self.file, step + 1, prompts, texts, scores)
        return scores

    def _seeded(self, prompt: Prompt, step: int) -> SeededPrompt:
        return SeededPrompt(prompt, draw_seed(self.seed, f"principle/{prompt.id}", step, 0))


class HeldOutLook(TrainerCallback):
    """Answers held-out prompts before the training begins, and whenever asked.

    Args:
        prompts: the prompts; each answer is drawn by the seed that stands with it, before and after.
    """

    def __init__(
        self,
        job: Job[Grouped],
        trainer: GroupTrainer,
        talk: ChatTokens,
        reward: GroupReward,
        prompts: Sequence[SeededPrompt],
    ) -> None:
        self.job, self.trainer, self.talk, self.reward, self.prompts = job, trainer, talk, reward, prompts
        self.limits = Limits(job.want.max_completion_length, job.want.temperature, AT_ONCE)

    def on_train_begin(self, *_: object, **__: object) -> None:
        """The first moment at which the model is where it will be trained."""
        self.before()

    def before(self) -> list[HeldOutAnswer]:
        """The answers of the policy that the training began with."""
        return held_out.once(self.job.out / "before.json", Processes(self.trainer.accelerator), self.answers)

    @torch.no_grad()
    def answers(self) -> list[HeldOutAnswer]:
        """See ``cai.train.rl.held_out.answers``; the KL is None where there is no reference."""
        processes = Processes(self.trainer.accelerator)
        # Where the weights are spread, a pass needs all processes: then each answers all prompts.
        spread = self.trainer.is_fsdp_enabled or self.trainer.is_deepspeed_enabled
        mine = self.prompts if spread else processes.mine(self.prompts)
        replies = self._answers(mine, processes.device) if mine else []
        return replies if spread else processes.all(replies)

    def _answers(self, prompts: Sequence[SeededPrompt], device: torch.device) -> list[HeldOutAnswer]:
        model = self.trainer.accelerator.unwrap_model(self.trainer.model_wrapped)
        training = model.training
        model.eval()
        rollout = self.talk.rollout(prompts, Generate(model, self.talk.pad, self.talk.ends, self.limits), device)
        scoring = self.reward.rewards.score(rollout.prompts, rollout.texts)
        scores = asyncio.run_coroutine_threadsafe(scoring, self.trainer.async_loop).result()
        scores = with_ends(scores, rollout.ended.tolist(), self.reward.penalty)
        replies = held_out.rows(rollout, scores, self._kl(model, rollout))
        model.train(training)
        return replies

    def _kl(self, model: nn.Module, rollout: Rollout) -> list[float] | list[None]:
        """Of each answer to the reference, in nats."""
        reference = reference_of(self.trainer, model)
        if reference is None:
            return [None] * len(rollout.texts)
        sums: list[float] = []
        for start in range(0, len(rollout.texts), READ_AT_ONCE):
            batch = rollout.batch.rows(slice(start, start + READ_AT_ONCE)).trimmed()
            divergence = kl.over_all_tokens(*beside(model, reference, batch, self.limits.temperature))
            sums += (divergence * batch.mask).sum(1).tolist()
        return sums
