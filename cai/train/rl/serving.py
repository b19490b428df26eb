"""Answers sampled by vLLM servers of our own, which take the policy's weights after every update.

The policy, merged with its adapters, is written to a folder from which every server reads it anew (``reload_weights``, vLLM
0.31), so that all ways of training and all ways of serving go together; a server that dies begins with the newest weights.
The first process starts the servers, all processes ask them.
"""

import asyncio
import shutil
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from cai.errors import RowError
from cai.models.endpoint import Endpoint
from cai.models.launch import DEV_MODE
from cai.models.spec import ModelSpec
from cai.models.types import Request
from cai.models.vllm import START_SECONDS, VllmEndpoint, serve
from cai.stages.ppo import SERVER_SHARE
from cai.store.rows import decode
from cai.train.adapters import under
from cai.train.rl.processes import Processes
from cai.train.rl.rollout import ChatTokens, Limits, Sample, cut

T = TypeVar("T")
NAME = "policy"
# As drawn: after the temperature, so that they are probabilities of the same thing as the policy's own.
ARGS = ("--logprobs-mode", "processed_logprobs")
# What a launcher told this process is not for its servers.
ENV = DEV_MODE | {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the servers are to be started, as a job file has it.

    Attributes:
        spec: of the role whose settings they take; the weights are the policy's.
        logs: a folder for their logs.
        most: tokens of a prompt and its answer.
    """

    spec: ModelSpec
    logs: str
    most: int

    @classmethod
    def read(cls, data: Mapping[str, object]) -> "ServerSettings":
        """From a job file."""
        return decode(cls, data)

    def serving(self, folder: Path, dtype: torch.dtype) -> ModelSpec:
        """The spec of the servers that hold the weights of a folder."""
        share = self.spec.gpu_memory or (SERVER_SHARE if torch.cuda.is_available() else None)
        settings = {"dtype": self.spec.dtype or str(dtype).removeprefix("torch."), "gpu_memory": share, "lora": ""}
        args = (*self.spec.args, *ARGS)
        return replace(self.spec, vllm=str(folder), local="", model=NAME, max_len=self.most, args=args, **settings)

    def client(self, urls: Sequence[str]) -> ModelSpec:
        """The spec by which the other processes ask the servers, and wait for one that starts again."""
        patience = max(self.spec.patience, START_SECONDS)
        return ModelSpec(NAME, endpoints=tuple(urls), model=NAME, timeout=self.spec.timeout, patience=patience)


class Serving:
    """Samples with vLLM, a row's answer by the row's own seed; see ``rollout.Sampler``.

    Answers depend a little on which requests a server happened to answer together, so a training that was killed ends near
    the weights that it would have had, not with the very same.

    Args:
        folder: for the weights.
        dtype: of the weights that are served.

    Raises:
        UserError, RunError: the servers do not start, or do not stay.
    """

    def __init__(
        self,
        policy: PreTrainedModel | PeftModel,
        talk: ChatTokens,
        limits: Limits,
        sampler: ServerSettings,
        place: tuple[Path, torch.dtype],
        processes: Processes,
    ) -> None:
        self.policy, self.talk, self.limits, self.processes = policy, talk, limits, processes
        self.weights, self.stack = Weights(policy, talk, *place), AsyncExitStack()
        # In a thread of its own, so that a server that dies is seen, and started again, while this process learns.
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        if processes.first:
            self.weights.publish()
            served = serve(sampler.serving(self.weights.current, place[1]), Path(sampler.logs), ENV)
            self.endpoint: Endpoint = self._wait(self.stack.enter_async_context(served))
        urls = processes.all([each.url for each in self.endpoint.replicas] if processes.first else [])
        if not processes.first:
            client = sampler.client(urls)
            self.endpoint = self._wait(self.stack.enter_async_context(Endpoint(tuple(urls), NAME, client)))

    def write(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Sample]:
        """See ``Sampler``."""

        async def all_of_them() -> list[Sample]:
            return await asyncio.gather(*(self._one(*each) for each in zip(prompts, seeds, strict=True)))

        return self._wait(all_of_them())

    def new_weights(self) -> None:
        """Give every server the policy as it is now."""
        if self.processes.first:
            self.weights.publish()
            assert isinstance(self.endpoint, VllmEndpoint)
            self._wait(self.endpoint.reload(self.weights.current.resolve()))
            self.weights.thin()
        self.processes.accelerator.wait_for_everyone()

    def close(self) -> None:
        """Bring the servers down and delete their weights."""
        self._wait(self.stack.aclose())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        if self.processes.first:
            shutil.rmtree(self.weights.folder, ignore_errors=True)

    async def _one(self, prompt: Sequence[int], seed: int) -> Sample:
        limits = self.limits
        request = Request(
            tokens=tuple(prompt), max_tokens=limits.max_new_tokens, temperature=limits.temperature, seed=seed
        )
        try:
            reply = await self.endpoint.ask(request, str(seed))
        except RowError:
            return Sample((), ())
        tokens = cut(reply.tokens, self.talk.ends)
        return Sample(tokens, reply.logprobs[: len(tokens)])

    def _wait(self, work: Coroutine[object, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


class Weights:
    """The policy on disk, merged: ``current`` is the newest that is whole.

    Args:
        folder: for all of them.
    """

    def __init__(self, policy: PreTrainedModel | PeftModel, talk: ChatTokens, folder: Path, dtype: torch.dtype) -> None:
        self.policy, self.talk, self.folder, self.dtype = policy, talk, folder, dtype
        self.current, self.number = folder / "current", 0

    @torch.no_grad()
    def publish(self) -> None:
        """Write the policy as it is and point ``current`` to it."""
        if not self.number:
            shutil.rmtree(self.folder, ignore_errors=True)  # of a training that was killed
        self.number += 1
        folder = self.folder / str(self.number)
        folder.mkdir(parents=True)
        base = under(self.policy)
        # By transformers, which knows of tied weights: a server reads the first of the two names and no other.
        base.save_pretrained(folder, state_dict=dict(merged_weights(base, self.dtype, self.number)))
        # No settings of the model's own for sampling, see ``rollout.neutral``; only what ends an answer.
        GenerationConfig(eos_token_id=self.talk.ends, pad_token_id=self.talk.pad).save_pretrained(folder)
        self.talk.tokenizer.save_pretrained(folder)
        link = self.folder / "next"
        link.symlink_to(folder.resolve())
        link.replace(self.current)
        if torch.cuda.is_available():  # what one tensor after the other took is the servers' to have
            torch.cuda.empty_cache()

    def thin(self) -> None:
        """Delete all but the newest."""
        for each in self.folder.iterdir():
            if each.is_dir() and not each.is_symlink() and each.name != str(self.number):
                shutil.rmtree(each)


@runtime_checkable
class DeltaLayer(Protocol):
    """What every kind of LoRA layer has, though their parent does not."""

    def get_delta_weight(self, adapter: str) -> Tensor:
        """What an adapter adds to the layer's weight, of its shape."""
        ...


def merged_weights(base: PreTrainedModel, dtype: torch.dtype, seed: int = 0) -> Iterator[tuple[str, Tensor]]:
    """A model's weights by their own names, with what its adapters add: one after the other, each on the CPU.

    Merging in place and taking the adapters out again, as peft does it, would change the weights a little each time; all at once
    would be a second model where the first one trains.

    Args:
        seed: of ``rounded``.
    """
    modules = base.named_modules()
    adapted = {f"{name}.weight": each for name, each in modules if isinstance(each, LoraLayer)}
    for key, each in base.state_dict().items():
        name, draw = key.replace(".base_layer", ""), torch.Generator(each.device).manual_seed(seed)
        layer = adapted.get(name)
        if layer is not None and isinstance(layer, DeltaLayer):
            each = rounded(each + layer.get_delta_weight(layer.active_adapters[0]), dtype, draw)
        if ".lora_" not in key:
            yield name, each.to(dtype).cpu()


def rounded(weights: Tensor, dtype: torch.dtype, draw: torch.Generator) -> Tensor:
    """Weights in another type; in bfloat16 up or down by chance, so that in the mean they are what they were.

    What adapters learn in a few steps is less than bfloat16 tells from nothing: rounded to the nearest, all of it would be lost,
    and the servers would go on with the weights that they began with (Gupta et al. 2015, section 4).
    """
    if dtype != torch.bfloat16:
        return weights.to(dtype)
    bits = weights.float().view(torch.int32)
    noise = torch.randint(0, 1 << 16, bits.shape, dtype=torch.int32, device=bits.device, generator=draw)
    return ((bits + noise) & -(1 << 16)).view(torch.float32).to(dtype)
