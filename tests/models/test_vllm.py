"""Our own servers: their command lines, what is said when they cannot be had, and that one which dies comes back.

Here a small program stands in for vLLM; vLLM itself runs in test_end_to_end and, killed, in test_exchange.py.
"""

import asyncio
import importlib.util
import os
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from stand_in import ASKED, kill

from cai.errors import RunError, UserError
from cai.models import cpu, gpus, launch, vllm
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request

SPEC = ModelSpec("policy", vllm="some/model", max_len=4096, args=("--seed", "1"))


@pytest.mark.parametrize(("flags", "dtype"), [({"avx2", "avx512_bf16"}, "bfloat16"), ({"avx2"}, "float32")])
def test_a_gpu_gets_the_plain_command_and_a_cpu_its_own(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], dtype: str
) -> None:
    monkeypatch.setattr(cpu, "flags", lambda: flags)
    plain = vllm.command(SPEC, "some/model", 8000, False)
    assert plain[3:5] == ["--model", "some/model"]
    assert "--enforce-eager" not in plain
    assert plain[-2:] == ["--seed", "1"]
    line = vllm.command(SPEC, "some/model", 8000, True)
    assert "--no-enable-chunked-prefill" in line
    assert line[line.index("--dtype") + 1] == dtype
    told = vllm.command(replace(SPEC, dtype="float16"), "some/model", 8000, True)
    assert told[told.index("--dtype") + 1] == "float16"


def test_a_step_on_a_cpu_reads_what_one_prompt_may_be_long_and_takes_as_long_as_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """vLLM reads 2,048 tokens or one whole prompt in a step unless told, and gives up a step of another process after 300 s."""
    assert "--max-num-batched-tokens" not in vllm.command(SPEC, "some/model", 8000, True)
    monkeypatch.setattr(launch, "is_cpu_build", lambda: True)
    [told] = launch.environments(SPEC)
    assert int(told["VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS"]) >= 3600


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"models.policy.port: {port} is in use"):
            vllm.check(ModelSpec("policy", vllm="some/model", port=port))


def test_without_vllm_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"vLLM is not installed; use .* or run: make install, or pip install 'cai-toolkit\[vllm\]'"
    ):
        vllm.check(SPEC)


def test_the_cause_is_the_last_telling_error_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "vllm.log"
    log.write_text("(Engine pid=1) ValueError: no such dtype\nRuntimeError: Engine failed. See root cause above.\n")
    assert vllm.cause(log) == "ValueError: no such dtype"
    log.write_text("")
    assert vllm.cause(log) == "it left no log"


def test_every_key_of_a_fleet_reaches_the_command_line() -> None:
    spec = ModelSpec(
        "policy", vllm="some/model", tensor_parallel=4, gpu_memory=0.8, quantization="fp8", lora="/adapters/kind"
    )
    line = " ".join(vllm.command(spec, "some/model", 8000, False))
    for words in ("--tensor-parallel-size 4", "--gpu-memory-utilization 0.8", "--quantization fp8", "--enable-lora"):
        assert words in line
    assert "--served-model-name some/model " in line
    assert f"--lora-modules {spec.title}=/adapters/kind" in line


def test_replicas_get_gpus_or_cores_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    assert gpus.groups(gpus.visible(), 2) == ["0,1", "2,3"]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 4, 5})
    assert [gpus.cores(number, 2) for number in (0, 1)] == ["2-3", "4-5"]
    assert [gpus.cores(number, 8) for number in (0, 7)] == ["2-2", "5-5"]
    monkeypatch.setattr(vllm, "is_cpu_build", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(UserError, match="3 replicas on 2 GPUs each would take 6, and this machine has 5"):
        vllm.check(ModelSpec("policy", vllm="some/model", replicas=3, tensor_parallel=2))


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_server_that_dies_is_started_again(tmp_path: Path, replicas: int) -> None:
    async def scene() -> list[Reply]:
        spec = ModelSpec("policy", vllm="some/model", replicas=replicas, patience=30.0)
        async with vllm.serve(spec, tmp_path) as served:
            first = [await served.ask(ASKED, str(row)) for row in range(4)]
            kill(served, 0)
            second = await asyncio.gather(*(served.ask(ASKED, str(row)) for row in range(8)))
            while served.servers[0].restarts == 0 or not await served._any_well():
                await asyncio.sleep(0.05)
            assert all(not server.is_over() for server in served.servers)
            assert [server.restarts for server in served.servers] == [1, 0][:replicas]
            return [*first, *second]

    assert [reply.texts for reply in asyncio.run(scene())] == [("Hello",)] * 12


@pytest.mark.usefixtures("stand_in")
def test_new_weights_reach_every_server_also_one_that_dies_meanwhile(tmp_path: Path) -> None:
    async def scene() -> list[Reply]:
        spec = ModelSpec("policy", vllm="some/model", replicas=2, patience=30.0)
        async with vllm.serve(spec, tmp_path) as served:
            kill(served, 0)
            await served.reload(Path("/weights/2"))
            asked = Request(tokens=(3, 4))
            return [await served.ask(asked, str(row)) for row in range(4)]

    replies = asyncio.run(scene())
    assert [reply.texts for reply in replies] == [("/weights/2",)] * 4
    assert {(reply.tokens, reply.logprobs) for reply in replies} == {((3, 4), (-1.0, -1.0))}


@pytest.mark.usefixtures("stand_in")
def test_weights_that_a_server_cannot_take_are_a_sentence(tmp_path: Path) -> None:
    async def scene() -> None:
        async with vllm.serve(ModelSpec("policy", vllm="some/model"), tmp_path) as served:
            await served.reload(Path("/missing"))

    with pytest.raises(
        RunError, match=r"some/model: collective_rpc failed .500 no such weights.; see .*vllm-policy.log"
    ):
        asyncio.run(scene())


@pytest.mark.usefixtures("stand_in")
def test_crashes_of_last_week_do_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm, "MOST_RESTARTS", 1)
    now = time.monotonic()

    async def scene() -> list[int]:
        async with vllm.serve(ModelSpec("policy", vllm="some/model", patience=30.0), tmp_path) as served:
            [server] = served.servers
            server.crashes = [now - vllm.WEIGHS_SECONDS - each for each in range(3)]
            kill(served, 0)
            assert (await served.ask(ASKED, "row")).texts == ("Hello",)
            return [server.restarts, len(server.crashes)]

    assert asyncio.run(scene()) == [1, 4]


@pytest.mark.usefixtures("stand_in")
def test_a_server_that_dies_again_and_again_stops_the_run_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with vllm.serve(ModelSpec("policy", vllm="some/model", patience=0.2), tmp_path) as served:
            served.servers[0].line = [sys.executable, "-c", "raise MemoryError('no room')"]
            kill(served, 0)
            await served.ask(ASKED, "row")

    monkeypatch.setattr(vllm, "MOST_RESTARTS", 1)
    with pytest.raises(RunError, match=r"server of some/model ended 2 times \(MemoryError: no room\); see "):
        asyncio.run(scene())
