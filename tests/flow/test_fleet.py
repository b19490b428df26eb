"""Which roles share a model that is up."""

import asyncio
from pathlib import Path

from rich.console import Console

from cai.flow.fleet import Fleet
from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.models.types import Request

SCRIPT = str(Path(__file__).parents[1] / "data" / "script.yaml")
OTHER = str(Path(__file__).parents[1] / "data" / "other.yaml")


def test_roles_of_one_model_share_it_whatever_form_they_ask_in(tmp_path: Path) -> None:
    async def scene() -> None:
        fleet = Fleet(tmp_path, Screen(Console(quiet=True)))
        specs = [
            ModelSpec("policy", scripted=SCRIPT),
            ModelSpec("judge", scripted=SCRIPT, format="transcript"),
            ModelSpec("other", scripted=OTHER),
        ]
        (policy, slots), (judge, same), (other, apart) = await fleet.need(specs)
        assert len(fleet.up) == 2
        assert slots is same
        assert slots is not apart
        assert (policy.format, judge.format, other.format) == ("chat", "transcript", "chat")
        asked = Request(prompt="Human: Hi\n\nAssistant:", seed=1)
        assert await judge.ask(asked, "row") == await policy.ask(asked, "row")
        await fleet.close()

    asyncio.run(scene())


def test_what_decides_a_server_keeps_roles_apart() -> None:
    plain = ModelSpec("a", vllm="x/y")
    assert plain.same_server(ModelSpec("b", vllm="x/y", concurrency=3, timeout=9))
    for other in (
        ModelSpec("b", vllm="x/z"),
        ModelSpec("b", vllm="x/y", max_len=4096),
        ModelSpec("b", vllm="x/y", quantization="fp8"),
        ModelSpec("b", vllm="x/y", lora="/adapter"),
        ModelSpec("b", endpoints=("http://a/v1",), model="x/y"),
    ):
        assert not plain.same_server(other)
