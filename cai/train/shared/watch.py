"""Guards at work while one of TRL's trainers learns: held-out prompts are answered now and then, and looked at.

Answers are drawn with generators of their own, so that a training that is watched ends with the same weights as one that is
not. PPO has its own answers to look at at every step, see ``cai.train.ppo``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from pyarrow import parquet
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from cai.data import dataset
from cai.data.prompts import HELDOUT
from cai.stages.online import Online
from cai.stages.train import Aligned, Train
from cai.store.files import append_to, read_form, write_json
from cai.store.identity import content_id
from cai.store.rows import Prompt
from cai.store.stage import Stage
from cai.train.adapters import under
from cai.train.launch import guards
from cai.train.rl import kl
from cai.train.rl.actor import beside, distributions, reference_of
from cai.train.rl.loop import held_out
from cai.train.rl.rewards import Blocking
from cai.train.rl.rollout import ChatTokens, Generate, Limits, Rollout, SeededPrompt
from cai.train.shared import devices
from cai.train.shared.job import Job

AT_ONCE = 4
"""Answers whose probabilities of all tokens are held at once."""
RECENT = 10
"""Logged steps over which the chosen answers' log-probability is averaged."""


class TrainerMonitor(TrainerCallback):
    """Looks at the policy before, every so many steps, and at the end; warns, and stops where asked.

    Attributes:
        stopped: why it ended the training; empty where it did not.
    """

    def __init__(self, trainer: Trainer, job: Job[Train], want: Aligned) -> None:
        self.trainer, self.job, self.want = trainer, job, want
        self.guards = guards.parse(want.guards)
        tokenizer, model = trainer.processing_class, trainer.model
        assert isinstance(tokenizer, PreTrainedTokenizerBase) and isinstance(model, torch.nn.Module)
        self.talk = ChatTokens(tokenizer, under(model).generation_config, job.template)
        prompts = self._fitting(held_out_prompts(job.data, want.tracks if isinstance(want, Online) else None))
        self.prompts = held_out(prompts[: self.guards.prompts], job.seed)
        self.judge = Blocking(job.judging) if job.judging else None
        self.stopped, self.reference, self.last = "", None, -1

    def _fitting(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """Those that leave room for an answer, as in what is trained on.

        Raises:
            ValueError: none does.
        """
        most, room = self.want.max_length, self.guards.max_new_tokens
        rows = [row for row in prompts if len(self.talk.ask(row.messages)) + room <= most]
        if prompts and not rows:
            raise ValueError(
                f"guards: no held-out prompt and an answer of max_new_tokens ({room}) are within max_length ({most}); lower one, "
                "or raise the other"
            )
        return rows

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        path = self.job.out / "guard.json"
        if not path.exists() and self.trainer.is_world_process_zero():
            write_json(path, self._figures())
            self._write(state, self._kept(path), [])
        self.trainer.accelerator.wait_for_everyone()
        self.before = self._kept(path)
        self.last = state.global_step

    @staticmethod
    def _kept(path: Path) -> dict[str, float]:
        """The figures that a training began with."""
        return read_form(path, dict[str, float]) or {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step % self.guards.every == 0:
            self._look(state, control)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        if state.global_step != self.last:
            self._look(state, control)
        if self.judge:
            self.judge.close()

    def _look(self, state: TrainerState, control: TrainerControl) -> None:
        self.last = state.global_step
        stopped = [""]
        if self.trainer.is_world_process_zero():
            figures = self._figures() | self._chosen(state)
            alarms = guards.alarms(guards.measures(figures, self.before), self.guards)
            self._write(state, figures, alarms)
            stopped = ["; ".join(each.text for each in alarms if each.stops)]
        if self.trainer.accelerator.num_processes > 1:
            broadcast_object_list(stopped)
        self.stopped = stopped[0]
        control.should_training_stop = control.should_training_stop or bool(self.stopped)

    @torch.no_grad()
    def _figures(self) -> dict[str, float]:
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        learning = model.training
        model.eval()
        limits = Limits(self.guards.max_new_tokens, 1.0, self.guards.prompts)
        writer = Generate(model, self.talk.pad, self.talk.ends, limits)
        with self.trainer.accelerator.autocast():
            rollout = self.talk.rollout(self.prompts, writer, model.device)
            figures = guards.text_measures(rollout.texts) | self._entropy_and_kl(model, rollout)
        if self.judge:
            figures |= judge_scores(self.judge, self.prompts, rollout.texts)
        model.train(learning)
        return figures

    def _entropy_and_kl(self, model: PreTrainedModel, rollout: Rollout) -> dict[str, float]:
        """Entropy of a token, and the KL of an answer to the reference, where there is one.

        The KL is taken over all tokens at every state of the sampled answers, so that a few answers tell enough.
        """
        reference = reference_of(self.trainer, model) or self._base(model)
        sums = {"entropy": 0.0, "kl": 0.0}
        for start in range(0, len(rollout.texts), AT_ONCE):
            batch = rollout.batch.rows(slice(start, start + AT_ONCE))
            mine, theirs = (
                beside(model, reference, batch, 1.0) if reference else (distributions(model, batch, 1.0), None)
            )
            sums["entropy"] += (-(mine.exp() * mine).sum(-1) * batch.mask).sum().item()
            if theirs is not None:
                sums["kl"] += (kl.over_all_tokens(mine, theirs) * batch.mask).sum().item()
        figures = {"entropy": sums["entropy"] / max(int(rollout.batch.mask.sum()), 1)}
        return {**figures, "kl": sums["kl"] / len(rollout.texts)} if reference is not None else figures

    def _base(self, model: PreTrainedModel) -> PreTrainedModel | None:
        """For a trainer without a reference: the base once more, at the cost of its weights, where a recipe bounds the KL."""
        if self.reference is None and "kl" in self.want.guards:
            base = AutoModelForCausalLM.from_pretrained(self.job.base, dtype=model.dtype, trust_remote_code=False)
            self.reference = devices.placed(base, model.device).eval()
        return self.reference

    def _chosen(self, state: TrainerState) -> dict[str, float]:
        """How much the chosen answers' log-probability changed, as a share of what it was."""
        logps = [each["logps/chosen"] for each in state.log_history if "logps/chosen" in each]
        if len(logps) < 2:
            return {}
        few = min(RECENT, len(logps) // 2)
        first, last = sum(logps[:few]) / few, sum(logps[-few:]) / few
        return {"chosen": (last - first) / abs(first)} if first else {}

    def _write(self, state: TrainerState, figures: Mapping[str, float], alarms: Sequence[guards.Alarm]) -> None:
        line = {f"guard/{name}": value for name, value in figures.items()}
        line |= {"alarms": [each.text for each in alarms]} if alarms else {}
        with append_to(self.job.out / "metrics.jsonl") as file:
            file.write(json.dumps({"step": state.global_step, "steps": state.max_steps, **line}) + "\n")


def monitor(trainer: Trainer, job: Job[Train]) -> TrainerMonitor | None:
    """Watch a trainer, if its block has guards, and its weights are whole on every device."""
    spread, want = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled, job.want
    if not isinstance(want, Aligned) or not guards.parse(want.guards).every or spread:
        return None
    watch = TrainerMonitor(trainer, job, want)
    if not watch.prompts:  # nothing was held out
        return None
    trainer.add_callback(watch)
    return watch


def judge_scores(judge: Blocking, prompts: Sequence[SeededPrompt], texts: Sequence[str]) -> dict[str, float]:
    """The held-out judge's mean score, of the answers that it could read."""
    scores = [score for score in judge(prompts, texts) if score is not None]
    return {"judge": sum(scores) / len(scores)} if scores else {}


def held_out_prompts(data: Path, tracks: Sequence[str] | None) -> list[Prompt]:
    """The prompts that a trainer is not shown: of a ``prompts`` stage, or of a dataset's test side, or its first ones."""
    if (data / HELDOUT).exists():
        rows = Stage(data / HELDOUT).all_rows(Prompt)
        return [row for row in rows if tracks is None or row.track in tracks]
    files = dataset.files(data, "test") or dataset.files(data, "train")
    prompts: dict[str, Prompt] = {}
    for file in files:
        for row in parquet.read_table(file, columns=["prompt", "track"]).to_pylist():
            messages = tuple(row["prompt"])
            prompts.setdefault(content_id(messages), Prompt(content_id(messages), messages, data.name, row["track"]))
    return list(prompts.values())
