"""A server that is up takes the weights of the next model, where that differs from the first in its numbers alone."""

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from stand_in import ASKED, kill

from cai.flow.fleet import Fleet
from cai.flow.screen import Screen
from cai.models import vllm
from cai.models.blueprint import blueprint
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request


def edited(file: str, change: Callable[[Any], object]) -> Callable[[Path], object]:
    """A change of one JSON file of a folder."""

    def edit(folder: Path) -> None:
        data = json.loads((folder / file).read_text())
        change(data)
        (folder / file).write_text(json.dumps(data))

    return edit


UNLIKE = {
    "another size": edited("config.json", lambda data: data.update(intermediate_size=64)),
    "another end": edited("config.json", lambda data: data.update(eos_token_id=7)),
    "other settings of sampling": edited("generation_config.json", lambda data: data.update(top_k=5)),
    "another token": edited("tokenizer.json", lambda data: data["model"]["vocab"].update(news=9)),
    "another template": lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"),
    "a tensor that is missing": lambda folder: without_a_tensor(folder / "model.safetensors"),
    "code of its own": lambda folder: (folder / "modeling.py").write_text(""),
    "weights of another format": lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
    "a damaged file": lambda folder: (folder / "config.json").write_text("{"),
}
ALIKE = {
    "who wrote it": edited("config.json", lambda data: data.update(transformers_version="4.0", use_cache=False)),
    "an id that stands in a list": edited(
        "generation_config.json", lambda data: data.update(eos_token_id=[data["eos_token_id"]])
    ),
    "how a training padded": edited("tokenizer.json", lambda data: data.update(padding={"strategy": "BatchLongest"})),
    "its dtype, where the server is told one": edited("config.json", lambda data: data.update(dtype="bfloat16")),
    "notes of a training": lambda folder: (folder / "trainer_state.json").write_text("{}"),
}


def without_a_tensor(file: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    del tensors["model.norm.weight"]
    save_file(tensors, file)


@pytest.mark.parametrize("change", UNLIKE.values(), ids=UNLIKE)
def test_a_model_that_differs_in_more_than_its_numbers_gets_a_server_of_its_own(
    tiny: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    other = shutil.copytree(tiny, tmp_path / "other")
    change(other)
    assert blueprint(str(tiny), "float32") != blueprint(str(other), "float32")


@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
def test_what_a_server_never_says_makes_no_difference(
    tiny: Path, opinionated: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    other = shutil.copytree(opinionated, tmp_path / "other")
    change(other)
    assert blueprint(str(tiny), "float32") == blueprint(str(other), "float32") != ""


def test_the_dtype_of_the_config_counts_where_the_server_is_told_none(tiny: Path, tmp_path: Path) -> None:
    other = shutil.copytree(tiny, tmp_path / "other")
    edited("config.json", lambda data: data.update(dtype="bfloat16"))(other)
    assert blueprint(str(tiny), "") != blueprint(str(other), "")


def test_roles_whose_servers_are_started_otherwise_share_none() -> None:
    spec = ModelSpec("policy", vllm="/a", max_len=4096)
    trained = replace(spec, role="sft", model="sft", vllm="/b", trained=True)
    assert vllm.exchangeable(spec, trained)
    for other in ({"max_len": 2048}, {"dtype": "float32"}, {"lora": "/l"}, {"args": ("--seed", "1")}, {"replicas": 2}):
        assert not vllm.exchangeable(spec, replace(trained, **other))
    assert not vllm.exchangeable(replace(spec, quantization="fp8"), replace(trained, quantization="fp8"))
    assert not vllm.exchangeable(spec, ModelSpec("judge", endpoints=("http://a/v1",), max_len=4096))


@pytest.mark.usefixtures("stand_in")
def test_one_server_answers_for_one_model_after_the_other(tiny: Path, opinionated: Path, tmp_path: Path) -> None:
    asked = Request(tokens=(3, 4))

    async def scene() -> None:
        fleet = Fleet(tmp_path, Screen(Console(quiet=True)))
        first = ModelSpec("policy", vllm=str(tiny), model="some/model")
        then = replace(first, role="sft", vllm=str(opinionated), model="sft", trained=True)
        [(policy, slots)] = await fleet.need([first])
        assert (await policy.ask(asked, "row")).texts == ("as started",)
        assert isinstance(policy, vllm.VllmEndpoint)
        policy.thinks = True  # as an answer showed
        [(sft, same)] = await fleet.need([then])
        assert (await sft.ask(asked, "row")).texts == (str(opinionated),)
        assert sft is policy and slots is same and sft.name == "sft"
        assert not sft.thinks
        judge = ModelSpec("judge", vllm=str(tiny), model="some/model", max_len=4096)
        [(other, _)] = await fleet.need([judge])
        assert other is not sft
        await fleet.close()

    asyncio.run(scene())


@pytest.mark.usefixtures("stand_in")
def test_a_server_that_cannot_take_them_is_replaced(
    tiny: Path, opinionated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = shutil.copytree(opinionated, tmp_path / "missing")

    async def scene() -> None:
        fleet = Fleet(tmp_path, Screen(Console(quiet=True)))
        first = ModelSpec("policy", vllm=str(tiny), model="some/model")
        [(policy, _)] = await fleet.need([first])
        [(sft, _)] = await fleet.need([replace(first, role="sft", vllm=str(missing))])
        assert sft is not policy
        assert (await sft.ask(ASKED, "row")).texts == ("Hello",)
        await fleet.close()

    asyncio.run(scene())


LONG = Request(({"role": "user", "content": "Count to ten."},), max_tokens=500)
DRAWN = Request(tokens=tuple(range(100, 140)), max_tokens=8, seed=1)


async def apart(served: vllm.VllmEndpoint, model: Path) -> float:
    """How far a server's log-probabilities of what it draws are from those of transformers, at most."""
    import torch
    from transformers import AutoModelForCausalLM

    reply = await served.ask(DRAWN, "row")
    ids = torch.tensor([[*DRAWN.tokens, *reply.tokens]])
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(ids).logits[0]
    known = logits.log_softmax(-1)[range(len(DRAWN.tokens) - 1, ids.shape[1] - 1), reply.tokens]
    return (known - torch.tensor(reply.logprobs)).abs().max().item()


@pytest.mark.real
def test_a_real_server_computes_with_all_the_weights_that_it_took(real_server: Any, tiny: Path) -> None:
    """Both models compute their output layer from their embeddings, which a CPU packs for itself."""
    served: vllm.VllmEndpoint = real_server.served
    random = replace(real_server.spec, role="sft", vllm=str(tiny), model="sft", trained=True)

    async def scene() -> None:
        for spec, model in ((random, tiny), (real_server.spec, real_server.model)):
            assert await served.takes(spec)
            assert served.name == spec.title
            assert await apart(served, model) < 1e-3

    real_server.wait(scene())


@pytest.mark.real
@pytest.mark.slow
def test_a_real_server_that_is_killed_comes_back_with_the_weights_that_it_took(real_server: Any, tiny: Path) -> None:
    """Its twin, with servers that stand in: ``test_new_weights_reach_every_server_also_one_that_dies_meanwhile``."""
    served: vllm.VllmEndpoint = real_server.served
    random = replace(real_server.spec, role="sft", vllm=str(tiny), model="sft", trained=True)

    async def scene() -> None:
        assert await served.takes(random)
        replies = await killed_while_it_answers()
        assert len(replies) == 16
        assert all(reply.tokens_out for reply in replies)
        assert await apart(served, tiny) < 1e-3
        assert await served.load() is not None
        assert await served.takes(real_server.spec)
        assert await apart(served, real_server.model) < 1e-3

    async def killed_while_it_answers() -> list[Reply]:
        begun = [asyncio.create_task(served.ask(LONG, str(row))) for row in range(16)]
        while not any(each.done() for each in begun):
            load = await served.load()
            if load is not None and load.running:
                break
            await asyncio.sleep(0.01)
        kill(served, 0)
        return await asyncio.gather(*begun)

    real_server.wait(scene())
    assert [server.restarts for server in served.servers] == [1]
