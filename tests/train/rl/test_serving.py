"""Answers from a vLLM server while the policy learns: the weights it is given are the policy's, and so are its samples."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from aiohttp import web
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from toy import END, shape, tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from cai.models.spec import ModelSpec
from cai.models.vllm import START_SECONDS, VllmEndpoint
from cai.train.rl.actor import Batch, logprobs
from cai.train.rl.drift import MOST_WEIGHT, importance
from cai.train.rl.processes import Processes
from cai.train.rl.rollout import ChatTokens, Limits, Sample, sampler_logps, together
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


def test_all_weights_are_there_without_adapters_too_one_after_the_other() -> None:
    policy = LlamaForCausalLM(shape())
    weights = merged_weights(policy, torch.float32)
    assert iter(weights) is weights
    assert dict(weights).keys() == policy.state_dict().keys()


def test_what_adapters_have_learnt_in_a_few_steps_reaches_a_server_in_bfloat16() -> None:
    torch.manual_seed(0)
    plain = LlamaForCausalLM(shape()).bfloat16()
    before = {key: each.clone().float() for key, each in plain.state_dict().items()}
    policy = adapted(plain)
    for name, each in policy.named_parameters():
        if "lora_" in name:
            each.data = torch.full_like(each, 1e-3, dtype=torch.float32)  # adds 8e-6, a tenth of what bfloat16 can tell
    served = dict(merged_weights(policy.get_base_model(), torch.bfloat16))
    gains = {key: (each.float() - before[key]).mean().item() for key, each in served.items()}
    assert {key for key, gain in gains.items() if gain} == {key for key in before if "_proj" in key}
    assert all(gain == pytest.approx(8e-6, rel=0.5) for key, gain in gains.items() if "_proj" in key)
    assert {each.dtype for each in served.values()} == {torch.bfloat16}


def test_tokens_drawn_by_another_computation_are_weighted() -> None:
    policy, sampler = torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[-1.0, -1.5, -9.0]])
    assert importance(policy, sampler).tolist()[0] == pytest.approx([1.0, 0.6065, MOST_WEIGHT], abs=1e-4)
    assert sampler_logps([Sample([4, 5], [-1.0, -2.0]), Sample([4], [-3.0])], "cpu") is not None
    assert sampler_logps([Sample([4, 5])], "cpu") is None


def test_all_processes_wait_for_a_server_as_long_as_the_first_does() -> None:
    sampler = ServerSettings(ModelSpec("policy", vllm="m", timeout=3600.0, patience=5.0), "logs", 128)
    there = sampler.client(["http://one"])
    assert (there.timeout, there.patience, there.endpoints) == (3600.0, START_SECONDS, ("http://one",))


@pytest.fixture
def choosy() -> Iterator[str]:
    """A server that refuses prompts of more than three tokens and goes on with the others' own; gives its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def complete(request: web.Request) -> web.Response:
        tokens = (await request.json())["prompt"]
        if len(tokens) > 3:
            return web.Response(status=400, text="This model's maximum context length is 3 tokens.")
        choice = {"text": "", "finish_reason": "stop", "token_ids": [*tokens, END]}
        return web.json_response({"choices": [{**choice, "logprobs": {"token_logprobs": [-1.0] * (len(tokens) + 1)}}]})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "policy", "owned_by": "vllm"}]})

    async def begin() -> web.AppRunner:
        app = web.Application()
        app.add_routes([web.post("/v1/completions", complete), web.get("/v1/models", models)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(begin(), loop).result()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_prompt_that_a_server_refuses_ends_no_training(choosy: str, tmp_path: Path) -> None:
    second: Any = SimpleNamespace(first=False, all=lambda urls: [choosy])  # which asks what the first has started
    policy, settings = LlamaForCausalLM(shape()), ServerSettings(ModelSpec("policy", vllm="m"), "logs", 64)
    server = Serving(policy, ChatTokens(tokenizer()), Limits(4), settings, (tmp_path, torch.float32), second)
    assert server.write([[4, 5], [4, 5, 6, 2]], [1, 2]) == [Sample([4, 5, END], (-1.0, -1.0, -1.0)), Sample((), ())]
    server.close()


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
