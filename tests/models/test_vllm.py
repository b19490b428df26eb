"""The server's command line and what is said when it cannot be had; the server itself runs in test_end_to_end."""

import importlib.util
import socket
from pathlib import Path

import pytest

from cai.errors import UserError
from cai.models import ModelSpec, vllm

SPEC = ModelSpec("policy", vllm="some/model", max_len=4096, args=("--seed", "1"))


def test_a_gpu_gets_the_plain_command_and_a_cpu_its_own() -> None:
    plain = vllm.command(SPEC, "some/model", 8000, cpu=False)
    assert plain[3:5] == ["--model", "some/model"]
    assert "--enforce-eager" not in plain
    assert plain[-2:] == ["--seed", "1"]
    cpu = vllm.command(SPEC, "some/model", 8000, cpu=True)
    assert "--no-enable-chunked-prefill" in cpu
    assert cpu[cpu.index("--dtype") + 1] == "bfloat16"


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"models.policy.port: {port} is in use"):
            vllm.check(ModelSpec("policy", vllm="some/model", port=port))


def test_without_vllm_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="vLLM is not installed; run `make install`"):
        vllm.check(SPEC)


def test_the_cause_is_the_last_telling_error_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "vllm.log"
    log.write_text("(Engine pid=1) ValueError: no such dtype\nRuntimeError: Engine failed. See root cause above.\n")
    assert vllm.cause(log) == "ValueError: no such dtype"
    log.write_text("")
    assert vllm.cause(log) == "it left no log"
