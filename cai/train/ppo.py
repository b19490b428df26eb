"""PPO of the policy against a reward (Bai et al. 2022, section 4.1): ours, on transformers and accelerate.

    python -m cai.train.ppo job.json

The loop is in ``cai.train.rl``; here is what surrounds it: models in, checkpoints and figures on the way, a merged policy out.
A training that was killed goes on from its last checkpoint and ends with the same weights.
"""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from cai.models import weights
from cai.stages.ppo import Ppo
from cai.store.files import append_to
from cai.store.rows import Prompt
from cai.store.stage import Stage
from cai.train.launch import checkpoints
from cai.train.rl import held_out
from cai.train.rl.actor import Actor
from cai.train.rl.lookout import PpoMonitor, first
from cai.train.rl.loop import Loop, PpoPlan, load_state, state, steps_of
from cai.train.rl.loop import held_out as held_out_prompts
from cai.train.rl.processes import Processes
from cai.train.rl.rewards import Blocking
from cai.train.rl.rollout import ChatTokens, Generate, Limits, Sampler
from cai.train.rl.serving import ServerSettings, Serving
from cai.train.shared import devices, fit, loading, questions, saving, trackers
from cai.train.shared import job as jobs
from cai.train.shared.job import Job
from constitution.wording import count

KEPT = 2
"""Checkpoints: the last one, and one more should that be torn."""


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(Ppo)
    accelerator = _accelerator(job)
    assert job.scoring is not None
    score = Blocking(job.scoring)
    try:
        _train(job, Processes(accelerator), score)
    finally:
        score.close()


def _train(job: Job[Ppo], processes: Processes, score: Blocking) -> None:
    start_time, want = time.monotonic(), job.want
    if text := _unable(job, processes):
        raise ValueError(text)
    policy, critic, tokenizer = _models(job, processes.device)
    talk = ChatTokens(tokenizer, policy.generation_config, job.template)
    prompts = questions.read(job, talk.ask, want.max_length - want.max_new_tokens)
    actor = Actor(policy, critic, want.lora, want.temperature)
    if want.gradient_checkpointing:
        for model in (actor.policy, actor.critic):
            model.gradient_checkpointing_enable({"use_reentrant": False})
    task = PpoPlan(want, prompts.train, steps_of(want, len(prompts.train)), job.seed)
    with closing(_writer(job, actor, talk, processes)) as writer:
        loop = Loop(actor, talk, writer, score, task, processes)
        start = _resume(job, loop)
        metrics = _walk(job, loop, start, prompts.heldout[: want.eval_prompts])
    metrics |= {"seconds": round(time.monotonic() - start_time, 1), "resumed_from": start}
    processes.accelerator.wait_for_everyone()
    if processes.first:
        saving.save_model(actor.policy.float(), tokenizer, job)  # merged as it was trained, not rounded
        more = {key: metrics.pop(key) for key in ("steps", "tokens")}
        saving.manifest(job, metrics, prompts.counts(want.eval_prompts), more)
    processes.accelerator.end_training()


def _unable(job: Job[Ppo], processes: Processes) -> str:
    """Why a training cannot be on these processes; empty where it can."""
    if job.want.batch_size < processes.count:
        return (
            f"batch_size {job.want.batch_size} is below the {count(processes.count, 'process', 'processes')}; raise it"
        )
    if job.sampler and processes.count > int(os.environ.get("LOCAL_WORLD_SIZE") or processes.count):
        return "rollouts: the servers are on one machine, and this training is on several; take rollouts out"
    return ""


def _writer(job: Job[Ppo], actor: Actor, talk: ChatTokens, processes: Processes) -> Sampler:
    """What samples the answers: vLLM servers where the job names some, or the policy in this process."""
    want = job.want
    limits = Limits(want.max_new_tokens, want.temperature, want.generate_batch_size)
    if not job.sampler:
        return Generate(actor.policy, talk.pad, talk.ends, limits)
    dtype = torch.bfloat16 if loading.half(job) else torch.float32
    place = (job.out / "serving", dtype)
    return Serving(
        actor.policy, talk, limits, ServerSettings.read({**job.sampler, "most": want.max_length}), place, processes
    )


def _walk(job: Job[Ppo], loop: Loop, start: int, heldout: Sequence[Prompt]) -> dict[str, float | str]:
    """All steps that are left, between answers to held-out prompts; returns figures for the manifest."""
    prompts = held_out_prompts(heldout, job.seed)
    before = held_out.once(job.out / "before.json", loop.processes, lambda: held_out.answers(loop, prompts))
    with ExitStack() as stack:
        judge = stack.enter_context(closing(Blocking(job.judging))) if job.judging else None
        lookout = PpoMonitor(loop, judge, prompts, first(Stage(job.out).metrics()))
        number, tokens = _steps(job, loop, start, lookout)
    metrics = held_out.comparison(before, held_out.answers(loop, prompts))
    return {**metrics, "steps": number, "tokens": tokens, "stopped": loop.stopped}


def _steps(job: Job[Ppo], loop: Loop, start: int, lookout: PpoMonitor) -> tuple[int, int]:
    """The steps after those that are done; returns the last one's number, and the tokens written in all."""
    lines = Stage(job.out).metrics()
    number, tokens = start, int(lines[-1]["tokens"]) if lines else 0
    for number in range(start + 1, loop.task.steps + 1) if not loop.stopped else ():
        start_time = time.monotonic()
        figures, rollout, experience = loop.step(number)
        tokens += round(figures.get("length", 0.0) * loop.want.batch_size)
        measures, stopped = lookout.look(number, figures, rollout)
        _log(job, loop, number, {**figures, **measures, "tokens": tokens, "seconds": time.monotonic() - start_time})
        if loop.processes.first:
            questions.show(
                job.out / "answers.jsonl", number, rollout.prompts, rollout.texts, experience.readable_scores()
            )
        loop.stopped = stopped or _over(loop.want, figures)
        last = bool(loop.stopped) or number == loop.task.steps
        if number % loop.want.save_steps == 0 or last:
            _save(job, loop, number)
        if loop.stopped:
            break
    return number, tokens


def _over(want: Ppo, figures: Mapping[str, float]) -> str:
    """Why the training ends before its last step; empty where it goes on."""
    if not math.isfinite(figures.get("kl", 0.0)):  # such a one is over no limit
        return f"the KL of an answer to the reference was {figures['kl']}: the policy is broken"
    if want.kl_limit is not None and figures.get("kl", 0.0) > want.kl_limit:
        return f"the KL of an answer to the reference was {figures['kl']:.2f} nats, over kl_limit ({want.kl_limit:g})"
    return ""


def _models(job: Job[Ppo], device: torch.device) -> tuple[PreTrainedModel, PreTrainedModel, PreTrainedTokenizerBase]:
    """The policy, a critic that reads its tokens, and its tokenizer."""
    # Adapters learn on top of weights that stay; weights that learn need float32.
    dtype = torch.bfloat16 if job.want.lora and device.type == "cuda" and loading.half(job) else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(job.base, trust_remote_code=False)
    policy = AutoModelForCausalLM.from_pretrained(job.base, dtype=dtype, trust_remote_code=False)
    source = _critic_source(job, tokenizer)
    critic: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=1, dtype=dtype, trust_remote_code=False
    )
    if source == job.base:
        torch.nn.init.zeros_(critic.get_parameter("score.weight"))  # a critic that knows nothing expects nothing
    weights.exact_head(critic)
    return devices.placed(policy, device), devices.placed(critic, device), tokenizer


def _critic_source(job: Job[Ppo], tokenizer: PreTrainedTokenizerBase) -> str:
    """The weights the critic starts from: the reward model's where it reads the policy's tokens, or the policy's.

    Raises:
        ValueError: the reward model was asked for by name, and there is none that can be read so.
    """
    spec, value = job.scoring and job.scoring.spec, job.want.value
    while spec is not None and spec.members:
        spec = spec.members[0]
    model = spec.reward if spec is not None else ""
    same = (
        bool(model)
        and AutoTokenizer.from_pretrained(model, trust_remote_code=False).get_vocab() == tokenizer.get_vocab()
    )
    if value == "reward" and not same:
        why = "reads other tokens than the policy" if model else "is none whose weights are here"
        raise ValueError(f"value: reward: the reward model {why}; take value: policy")
    return model if same and value != "policy" else job.base


def _accelerator(job: Job[Ppo]) -> Accelerator:
    cpu = not torch.cuda.is_available()
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision="bf16" if loading.half(job) else "no",
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=fit.PATIENCE))],
        log_with=None if job.logs == "none" else job.logs,
        project_dir=str(job.out),
    )
    trackers.begin(accelerator, job)
    return accelerator


def _resume(job: Job[Ppo], loop: Loop) -> int:
    """Go on from the last checkpoint; returns its step, or 0."""
    if loop.processes.first:
        checkpoints.last_checkpoint(job.out / "checkpoints")
    loop.processes.accelerator.wait_for_everyone()
    checkpoint = checkpoints.last_checkpoint(job.out / "checkpoints")
    step = checkpoints.step_of(checkpoint) if checkpoint else 0
    if checkpoint:
        # From the file, tensor by tensor: a second copy of all weights may not fit beside the first.
        load_state(loop, torch.load(checkpoint / "state.pt", map_location="cpu", weights_only=True, mmap=True))
    if loop.processes.first:
        checkpoints.rewind(job.out / "metrics.jsonl", step)
        checkpoints.rewind(job.out / "answers.jsonl", step)
    return step


def _save(job: Job[Ppo], loop: Loop, number: int) -> None:
    folder = job.out / "checkpoints" / f"checkpoint-{number}"
    if loop.processes.first:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state(loop, number), folder / "state.pt")
        (folder / checkpoints.COMPLETE).touch()
        checkpoints.thin(job.out / "checkpoints", KEPT)
    loop.processes.accelerator.wait_for_everyone()


def _log(job: Job[Ppo], loop: Loop, number: int, figures: Mapping[str, object]) -> None:
    if loop.processes.first:
        with append_to(job.out / "metrics.jsonl") as file:
            file.write(json.dumps({"step": number, "steps": loop.task.steps, **figures}) + "\n")
    numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    loop.processes.accelerator.log(numbers, step=number)


if __name__ == "__main__":
    main()
