"""Answers from a vLLM server while the policy learns: the weights it is given are the policy's, and so are its samples."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from toy import END, loop, settings, shape, tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from cai.models.spec import ModelSpec
from cai.models.vllm import START_SECONDS, VllmEndpoint
from cai.train.rl.actor import Actor, Batch, logprobs
from cai.train.rl.loop import MOST_WEIGHT, importance
from cai.train.rl.processes import Processes
from cai.train.rl.rollout import ChatTokens, Limits, Sample, Sampler, sampler_logps, together
from cai.train.rl.serving import ServerSettings, Serving, Weights, merged_weights


def adapted(policy: Any) -> Any:
    """The policy under fresh adapters; peft writes the model's name into the config, which is not to meet another model."""
    return get_peft_model(policy, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))


def moved(policy: Any, seed: int = 1) -> Any:
    """The same policy after some learning."""
    draw = torch.Generator().manual_seed(seed)
    for name, each in policy.named_parameters():
        if "lora_B" in name:
            each.data.add_(0.1 * torch.randn(each.shape, generator=draw))
    return policy


@pytest.mark.parametrize("tied", [False, True])
def test_what_is_served_is_the_policy_with_its_adapters_and_the_policy_stays_as_it_is(
    tmp_path: Path, tied: bool
) -> None:
    torch.manual_seed(0)
    policy: Any = moved(adapted(LlamaForCausalLM(shape(tie_word_embeddings=tied))))
    ids = torch.tensor([[2, 3, 4, 5, 6]])
    before = {key: each.clone() for key, each in policy.state_dict().items()}
    weights = Weights(policy, ChatTokens(tokenizer()), tmp_path / "serving", torch.float32)
    weights.publish()
    kept = load_file(weights.current / "model.safetensors")
    assert ("lm_head.weight" in kept, "model.embed_tokens.weight" in kept) == (not tied, True)
    served = AutoModelForCausalLM.from_pretrained(weights.current)
    with torch.no_grad():
        assert torch.allclose(served(ids).logits, policy(ids).logits, atol=1e-5)
        with policy.disable_adapter():
            assert not torch.allclose(served(ids).logits, policy(ids).logits, atol=1e-2)
    assert served.generation_config.eos_token_id == [END]
    assert all(torch.equal(each, before[key]) for key, each in policy.state_dict().items())


def test_the_newest_weights_are_the_current_ones_and_older_ones_go(tmp_path: Path) -> None:
    policy = LlamaForCausalLM(shape())
    weights = Weights(policy, ChatTokens(tokenizer()), tmp_path / "serving", torch.bfloat16)
    for _ in range(3):
        weights.publish()
    weights.thin()
    assert weights.current.resolve().name == "3"
    assert sorted(each.name for each in weights.folder.iterdir()) == ["3", "current"]


def test_all_weights_are_there_without_adapters_too() -> None:
    policy = LlamaForCausalLM(shape())
    assert merged_weights(policy).keys() == policy.state_dict().keys()


def test_tokens_drawn_by_another_computation_are_weighted() -> None:
    policy, sampler = torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[-1.0, -1.5, -9.0]])
    assert importance(policy, sampler).tolist()[0] == pytest.approx([1.0, 0.6065, MOST_WEIGHT], abs=1e-4)
    assert importance(policy, None).tolist() == [[1.0, 1.0, 1.0]]
    assert sampler_logps([Sample([4, 5], [-1.0, -2.0]), Sample([4], [-3.0])], "cpu") is not None
    assert sampler_logps([Sample([4, 5])], "cpu") is None


def test_all_processes_wait_for_a_server_as_long_as_the_first_does() -> None:
    sampler = ServerSettings(ModelSpec("policy", vllm="m", timeout=3600.0, patience=5.0), "logs", 128)
    there = sampler.client(["http://one"])
    assert (there.timeout, there.patience, there.endpoints) == (3600.0, START_SECONDS, ("http://one",))


class Elsewhere:
    """Writes as the policy does, with probabilities of its own; counts what it is told."""

    def __init__(self, inner: Sampler, off: float) -> None:
        self.inner, self.off, self.told = inner, off, 0
        self.actor: Actor | None = None

    def write(self, prompts: Any, seeds: Any) -> list[Sample]:
        found = self.inner.write(prompts, seeds)
        batch = together(prompts, [each.tokens for each in found], 0)
        assert self.actor is not None
        with torch.no_grad():
            known = self.actor.logprobs(batch)[0]
        return [
            Sample(each.tokens, (row[: len(each.tokens)] - self.off).tolist())
            for each, row in zip(found, known, strict=True)
        ]

    def new_weights(self) -> None:
        self.told += 1

    def close(self) -> None: ...


def test_a_step_tells_how_far_the_server_is_from_the_policy_and_gives_it_the_new_weights() -> None:
    def stepped(off: float) -> tuple[dict[str, float], Elsewhere]:
        one = loop(settings(), lambda asked, texts: [float(len(text)) for text in texts], 4)
        elsewhere = Elsewhere(one.writer, off)
        elsewhere.actor, one.writer = one.actor, elsewhere
        return one.step(1)[0], elsewhere

    plain = loop(settings(), lambda asked, texts: [float(len(text)) for text in texts], 4).step(1)[0]
    same, told = stepped(0.0)
    assert same["kl_drawn"] == pytest.approx(0.0, abs=1e-5)
    assert told.told == 1
    assert "kl_drawn" not in plain
    assert {key: same[key] for key in plain} == pytest.approx(plain, abs=1e-5)
    assert stepped(0.3)[0]["kl_drawn"] > 0.01


@pytest.fixture
def serving(
    real_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, ChatTokens, Serving]]:
    """A policy with adapters, and the vLLM server of all tests that samples for it at a temperature of 0.7.

    That ``Serving`` starts servers of its own, and ends them, is seen in test_ppo.
    """

    @asynccontextmanager
    async def running(spec: ModelSpec, *_: object) -> AsyncIterator[VllmEndpoint]:
        async with VllmEndpoint(real_server.spec, real_server.served.servers, spec.vllm) as served:
            await served.reload(Path(spec.vllm).resolve())
            yield served
            await served.reload(real_server.model)

    monkeypatch.setattr("cai.train.rl.serving.serve", running)
    torch.manual_seed(0)
    policy = adapted(AutoModelForCausalLM.from_pretrained(real_server.model, dtype=torch.float32))
    talk = ChatTokens(AutoTokenizer.from_pretrained(real_server.model), policy.generation_config)
    place, processes = (tmp_path / "serving", torch.float32), Processes(Accelerator(cpu=True))
    made = Serving(
        policy, talk, Limits(16, 0.7), ServerSettings(real_server.spec, str(tmp_path), 128), place, processes
    )
    yield policy, talk, made
    made.close()
    assert not (tmp_path / "serving").exists()


def told(policy: Any, talk: ChatTokens, serving: Serving) -> tuple[list[Sample], torch.Tensor, Batch]:
    prompts = [talk.ask([{"role": "user", "content": text}]) for text in ("Hello!", "Name a colour.", "Count to nine.")]
    written = serving.write(prompts, [1, 2, 3])
    batch = together(prompts, [each.tokens for each in written], talk.pad)
    with torch.no_grad():
        return written, logprobs(policy, batch, 0.7)[0], batch


@pytest.mark.real
def test_a_server_samples_from_the_policy_as_it_is(serving: tuple[Any, ChatTokens, Serving]) -> None:
    policy, talk, server = serving
    written, mine, batch = told(*serving)
    theirs = sampler_logps(written, "cpu")
    assert theirs is not None
    assert (mine - theirs)[batch.mask].abs().max() < 1e-3
    assert [each.tokens for each in server.write([talk.ask([{"role": "user", "content": "Hello!"}])], [1])] == [
        written[0].tokens
    ]
    with torch.no_grad():
        moved(policy)
    server.new_weights()
    newer, mine, batch = told(*serving)
    theirs = sampler_logps(newer, "cpu")
    assert theirs is not None
    assert (mine - theirs)[batch.mask].abs().max() < 1e-3
    with torch.no_grad(), policy.disable_adapter():
        unmoved = logprobs(policy, batch, 0.7)[0]
    assert (unmoved - theirs)[batch.mask].abs().max() > 1e-2  # ten times what the two may be apart
