"""Starts, watches and stops vLLM servers, one for each replica; from then on they are an endpoint. vLLM is never imported.

A server runs under ``cai.models.process``: it goes when the run goes. One that dies is started again, thrice at most.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self

import aiohttp

from cai.errors import RunError, UserError, install
from cai.models import process, reasoning
from cai.models.blueprint import blueprint
from cai.models.bundled import resolve
from cai.models.dialect import Scores
from cai.models.endpoint import Endpoint
from cai.models.launch import command, dtype, environments, is_cpu_build
from cai.models.machine import Machine, this_machine
from cai.models.probe import Probes
from cai.models.process import cause
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from constitution.wording import count

START_SECONDS = 1800.0
WATCH_SECONDS = 1.0
MOST_RESTARTS = 3
WEIGHS_SECONDS = 3600.0
"""Of a run of weeks, a crash longer ago than this says nothing."""


def check(spec: ModelSpec, machine: Machine | None = None) -> None:
    """What can be known before anything starts.

    Args:
        machine: which will serve it; this one unless given.

    Raises:
        UserError: vLLM is not installed, the port is taken, or there are too few GPUs.
    """
    machine = machine or this_machine()
    if "vllm" not in machine.packages:
        raise UserError(
            f"models.{spec.role}: vLLM is not installed; use `local:` or `endpoints:` instead, or run: {install('vllm')}"
        )
    if not machine.serves_here:
        return
    if spec.port is not None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", spec.port)) == 0:
                raise UserError(f"models.{spec.role}.port: {spec.port} is in use; choose another or leave the key out")
    need, gpus = (spec.replicas or 1) * spec.tensor_parallel, len(machine.gpus)
    if not is_cpu_build() and need > max(gpus, 1):
        raise UserError(
            f"models.{spec.role}: {count(spec.replicas or 1, 'replica')} on {count(spec.tensor_parallel, 'GPU')} each would take "
            f"{need}, and this machine has {gpus}; lower replicas or tensor_parallel"
        )


class Server:
    """One replica's process: started, waited for, and started again where it dies.

    Args:
        env: what tells this replica its GPUs or cores.
    """

    def __init__(self, spec: ModelSpec, line: list[str], port: int, log: Path, env: Mapping[str, str]) -> None:
        self.spec, self.line, self.port, self.log, self.env = spec, line, port, log, env
        self.url = f"http://127.0.0.1:{port}"
        self.crashes: list[float] = []
        log.unlink(missing_ok=True)
        self.start()

    @property
    def restarts(self) -> int:
        """How often it ended of late."""
        since = time.monotonic() - WEIGHS_SECONDS
        return sum(each > since for each in self.crashes)

    def start(self) -> None:
        """Start the process; what it says goes on in the same log."""
        self.process = process.start(self.line, self.log, self.env)

    def is_over(self) -> bool:
        """Whether the process is no more."""
        return self.process.poll() is not None

    async def ready(self) -> None:
        """Wait until it answers.

        Raises:
            UserError: it ended before it did.
            RunError: it takes more than half an hour.
        """
        until = time.monotonic() + START_SECONDS
        async with aiohttp.ClientSession() as http:
            while time.monotonic() < until:
                if self.is_over():
                    text = f"vLLM could not serve {self.spec.served}: {cause(self.log)}; the whole log is {self.log}"
                    raise UserError(f"models.{self.spec.role}: {text}")
                try:
                    async with http.get(f"{self.url}/health") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass  # not listening yet
                await asyncio.sleep(0.5)
        raise RunError(f"models.{self.spec.role}: vLLM was not ready after {START_SECONDS:.0f} s; see {self.log}")


class VllmEndpoint(Endpoint):
    """An endpoint whose servers are ours: one that dies is started again, and when none comes back the run is told why.

    Args:
        model: where the weights lie.
        parser: by which the servers tell thoughts from answers.
    """

    def __init__(self, spec: ModelSpec, servers: Sequence[Server], model: str, parser: str = "") -> None:
        super().__init__(tuple(f"{server.url}/v1" for server in servers), spec.title, spec)
        self.servers, self.model, self.wire_name = servers, model, spec.title
        self.parser, self.thinks = parser, bool(parser)
        self.tags = reasoning.tags(parser)
        self.watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.closes = self.closes and self.parser != reasoning.HARMONY
        self.watching = [asyncio.create_task(self._watch(server)) for server in self.servers]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.watching:
            task.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)
        await super().__aexit__()

    async def takes(self, spec: ModelSpec) -> bool:
        """Take the weights of another role's model, where it differs from the one that is up in these alone.

        The servers go on under the name that they were started with; rows are given the new one.
        """
        if not exchangeable(self.spec, spec):
            return False
        model = await asyncio.to_thread(resolve, spec.vllm)
        number_type = dtype(spec, is_cpu_build())
        plans = await asyncio.to_thread(lambda: [blueprint(each, number_type) for each in (self.model, model)])
        if not plans[0] or plans[0] != plans[1]:
            return False
        for server in self.servers:  # first, so that one that dies meanwhile comes back with the new weights
            same_name = replace(spec, model=self.wire_name)
            server.line = command(same_name, model, server.port, is_cpu_build(), self.parser)
        self.spec, self.name, self.format, self.model = spec, spec.title, spec.format, model
        self.probes = Probes(self)
        self.thinks = bool(self.parser)  # a model may think of which one trained on it does not
        await self.reload(Path(model))
        return True

    async def reload(self, weights: Path) -> None:
        """Let every server take the weights of a folder, of the same model (vLLM 0.31, with ``VLLM_SERVER_DEV_MODE=1``).

        Raises:
            RunError: a server cannot take them.
        """
        order = {"method": "take_weights", "kwargs": {"folder": str(weights)}}
        for page, body in (("collective_rpc", order), ("reset_prefix_cache", {})):
            await asyncio.gather(*(self._tell(server, page, body) for server in self.servers))

    async def _tell(self, server: Server, page: str, body: Mapping[str, object]) -> None:
        """Send a server a command; one that is being started again is waited for."""
        while server.restarts <= MOST_RESTARTS:
            try:
                async with self.http.post(f"{server.url}/{page}", json=body) as response:
                    if response.status == 200:
                        return
                    text = (await response.text())[:500]
                    raise RunError(f"{self.name}: {page} failed ({response.status} {text}); see {server.log}")
            except (TimeoutError, aiohttp.ClientError):
                await asyncio.sleep(WATCH_SECONDS)
        raise RunError(self.gone(Transient("it ended")))

    async def _watch(self, server: Server) -> None:
        """Start a server again that ended; requests go to the others, or wait, until it is ready."""
        while server.restarts <= MOST_RESTARTS:
            await asyncio.sleep(WATCH_SECONDS)
            if not server.is_over():
                continue
            server.crashes.append(time.monotonic())
            if server.restarts <= MOST_RESTARTS:
                await asyncio.to_thread(process.stop, server.process)
                server.start()

    async def comes_back(self, until: float) -> bool:
        """Also beyond the patience while a server of ours is on its way up; not at all when none is."""
        up = max(until, time.monotonic() + START_SECONDS)
        while time.monotonic() < up and any(server.restarts <= MOST_RESTARTS for server in self.servers):
            if await super().comes_back(time.monotonic() + WATCH_SECONDS):
                return True
        return False

    def gone(self, error: Transient) -> str:
        """The sentence for servers of ours that are busy, or that ended."""
        if error.busy:
            return super().gone(error)
        log = self.servers[0].log
        return (
            f"the vLLM server of {self.name} ended {MOST_RESTARTS + 1} times ({cause(log)}); see {log}, then run the same "
            "command again"
        )


@asynccontextmanager
async def serve(spec: ModelSpec, logs: Path, more: Mapping[str, str] | None = None) -> AsyncIterator[VllmEndpoint]:
    """The role's vLLM servers, one for each replica, until the block is left.

    Args:
        more: for the servers' environment.
    """
    check(spec)
    model = await asyncio.to_thread(resolve, spec.served)
    parser = await asyncio.to_thread(_parser, spec, model)
    servers: list[Server] = []
    try:
        for number, env in enumerate(environments(spec)):
            port = spec.port + number if spec.port else _free_port()
            log = logs / (f"vllm-{spec.role}.log" if not number else f"vllm-{spec.role}-{number}.log")
            line = command(spec, model, port, is_cpu_build(), parser)
            servers.append(Server(spec, line, port, log, {**env, **(more or {})}))
        await asyncio.gather(*(server.ready() for server in servers))
        async with VllmEndpoint(spec, servers, model, parser) as served:
            if spec.reward:
                served.dialect = await asyncio.to_thread(_scores, model)
            yield served
    finally:
        stops = (asyncio.to_thread(process.stop, server.process) for server in servers)
        await asyncio.shield(asyncio.gather(*stops))


def exchangeable(spec: ModelSpec, other: ModelSpec) -> bool:
    """Whether two roles' servers are started alike, but for a model that is whole weights and no more."""
    if not (spec.vllm and other.vllm) or spec.lora or spec.quantization:
        return False
    unlike = {"role": "", "vllm": "", "model": "", "format": "", "trained": False, "picked": False}
    return replace(spec, **unlike) == replace(other, **unlike)


def _parser(spec: ModelSpec, model: str) -> str:
    """By which the role's servers are to tell thoughts from answers; empty where by none."""
    if spec.reward or spec.reasoning_parser == reasoning.NONE or "--reasoning-parser" in spec.args:
        return ""
    return spec.reasoning_parser or reasoning.parser_of(model)


def _scores(model: str) -> Scores:
    """Asks for scores of the very tokens that the model would be shown in this process."""
    from cai.models.templates import ChatTemplate
    from cai.models.weights import load_tokenizer

    return Scores(ChatTemplate(load_tokenizer(model, "right")).score_ids)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
