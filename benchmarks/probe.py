"""What the harmless requests before the first row find on the servers that people have, and the seconds that they add to a run.

    python benchmarks/probe.py [--seconds 0.5] [--thinking auto] [--vllm MODEL] [--url "NAME=http://HOST/v1#MODEL" …]

Each server is shown what ``revise``, ``sample`` and ``label`` (``method: cot``) will ask of it, as ``cai run`` does: first
``revise``, then the other two, which stream into each other. The servers are those of any ``--url``, a vLLM server of ours, and
the mocks of ``servers.py``, written after their documentation, whose answers take ``--seconds`` and whose refusals take none;
where documentation says nothing of it, a mock gives one sample and no log-probabilities. "at once" is how long it takes, "one by
one" how long where each request waits for the one before, and "a request" the longest of those: the ratio to look at is "at
once" over "a request". The least is 3, one for each flow and one more in the second, where it has to be seen
whether the judge gives log-probabilities before it is known what else it will be asked.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp import web
from exchanges.forms import Body, Server, answered
from servers import SERVERS, running

from cai.errors import CaiError
from cai.flow.ask import Ask, Up
from cai.flow.live import Live, RowStage
from cai.flow.rehearsal import rehearse
from cai.models.abilities import Abilities
from cai.models.concurrency import Slots
from cai.models.endpoint import Endpoint
from cai.models.probe import Probes
from cai.models.refusals import Refused
from cai.models.replica import Replica
from cai.models.retries import Transient
from cai.models.roles import for_role
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request
from cai.models.vllm import serve
from cai.stages import STAGES, read_block
from cai.store.rows import Drop, Prompt
from cai.store.stage import Stage
from constitution.load import load

CONSTITUTION = load(Path(__file__).parents[1] / "principles" / "harmless.yaml")
ROW = Prompt("1", ({"role": "user", "content": "Is rye sour?"},), "benchmark", "redteam")
FLOWS: tuple[tuple[tuple[str, dict[str, object]], ...], ...] = (
    (("revise", {"model": "policy", "rounds": 1}),),
    (("sample", {"model": "policy", "n": 2}), ("label", {"model": "judge", "method": "cot"})),
)
SPEAKS = {"OpenAI": "OpenAI's", "Vllm": "vLLM's", "Anthropic": "Anthropic's"}
COLUMNS = (
    "server",
    "API",
    "thinks",
    "what is said",
    "put otherwise",
    "requests",
    "at once, s",
    "one by one, s",
    "a request, s",
)


@dataclass(frozen=True, slots=True)
class Probing:
    """What was found on a server.

    Attributes:
        api: whose it speaks.
        notes: what the user is told, in this order; an error last.
        otherwise: what of requests is put otherwise than unless told.
        seconds, a_request: that all took, and the longest that was answered.
    """

    api: str
    thinks: bool
    notes: Sequence[str]
    otherwise: Mapping[str, object]
    requests: int
    seconds: float
    a_request: float


class Timed(Endpoint):
    """Notes how long each request took that was answered."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec.endpoints, spec.model, spec)
        self.times: list[float] = []

    async def once(self, request: Request, server: Replica | None = None) -> Reply:
        """See ``Endpoint.once``."""
        began = time.monotonic()
        reply = await super().once(request, server)
        self.times.append(time.monotonic() - began)
        return reply


def live(kind: str, block: Mapping[str, object], up: Mapping[str, Up]) -> Live:
    """A stage of a recipe, whose models are up; it writes nothing."""
    table, want, folder = STAGES[kind], read_block(kind, dict(block)), Stage(Path(tempfile.gettempdir()) / "unwritten")
    assert table.work is not None and table.takes is not None

    async def do(row: Any, ask: Ask) -> list[Any] | Drop:
        out = await table.work(row, want, ask)  # pyright: ignore[reportOptionalCall]
        return out if isinstance(out, list | Drop) else [out]

    return Live(RowStage(kind, folder, table.takes, do, (str(block["model"]),)), folder, up, CONSTITUTION, 0)


async def probed(url: str, name: str, thinking: str) -> Probing:
    """What a server shows where all that the flows will ask of it is rehearsed."""
    notes: list[str] = []
    spec = ModelSpec("policy", endpoints=(url,), model=name, patience=30.0, thinking=thinking)
    async with Timed(spec) as model:
        model.say = lambda note: notes.append(note.removeprefix(f"{model.name}: "))
        up: dict[str, Up] = {
            role: (for_role(model, replace(spec, role=role)), Slots(model.concurrency)) for role in ("policy", "judge")
        }
        with suppress(Refused, Transient):  # a server's first answer may take longer
            await model.once(Request(ROW.messages, max_tokens=1))
        asked, model.times = sum(replica.requests for replica in model.replicas), []
        fresh, began = model.dialect.now, time.monotonic()
        try:
            for flow in FLOWS:
                await rehearse([live(kind, block, up) for kind, block in flow], [ROW])
        except CaiError as error:
            notes.append(f"error: {str(error).replace(url, 'URL')}")
        seconds, requests = time.monotonic() - began, sum(replica.requests for replica in model.replicas) - asked
        changes, speaks = changed(fresh, model.dialect.now), SPEAKS[type(model.dialect).__name__]
        return Probing(speaks, model.thinks, notes, changes, requests, seconds, max(model.times, default=0.0))


def changed(before: Abilities, now: Abilities) -> dict[str, object]:
    """What a server was seen not to take as it was put."""
    return {key: value for key, value in asdict(now).items() if value != getattr(before, key)}


@contextmanager
def unannounced() -> Iterator[None]:
    """Nothing is known beforehand of what will be asked, so that one request goes after the other."""
    with patch.object(Probes, "announce", lambda *_: None):
        yield


async def row(url: str, name: str, thinking: str) -> dict[str, object]:
    """A server's line of the table."""
    with unannounced():
        singly = await probed(url, name, thinking)
    together = await probed(url, name, thinking)
    figures = {
        "requests": [together.requests, singly.requests],
        "at_once": round(together.seconds, 2),
        "one_by_one": round(singly.seconds, 2),
        "a_request": round(singly.a_request, 2),
        "same": (together.notes, together.otherwise) == (singly.notes, singly.otherwise),
    }
    known = asdict(together)
    return {key: known[key] for key in ("api", "thinks", "notes", "otherwise")} | figures


async def mocked(server: Server, seconds: float, thinking: str) -> dict[str, object]:
    """The line of a mock."""

    def page(body: Body) -> web.Response:
        wrong = server.refuses(body)
        return web.json_response(wrong[1] if wrong else answered(server, body), status=wrong[0] if wrong else 200)

    async with AsyncExitStack() as stack:
        url, _ = await stack.enter_async_context(running(server, page, seconds))
        return await row(url, server.name, thinking)


@asynccontextmanager
async def served(model: str) -> AsyncIterator[tuple[str, str]]:
    """The URL of a vLLM server that is started for it, as a run starts one, and the name by which it knows its model."""
    with tempfile.TemporaryDirectory() as logs:
        async with serve(ModelSpec("policy", vllm=model, max_len=4096), Path(logs)) as started:
            yield f"{started.servers[0].url}/v1", started.wire_name


def line(name: str, found: Mapping[str, Any]) -> str:
    """As Markdown."""
    otherwise = ", ".join(f"`{key}: {value}`" for key, value in found["otherwise"].items())
    together, singly = found["requests"]
    cells = (
        *(name, found["api"], "yes" if found["thinks"] else "", "; ".join(found["notes"]), otherwise),
        f"{together}" if together == singly else f"{together}, one by one {singly}",
        *(f"{found[key]:.2f}" for key in ("at_once", "one_by_one", "a_request")),
    )
    return "| " + " | ".join(cells) + " |"


async def table(given: argparse.Namespace) -> dict[str, object]:
    """All lines, printed as they come."""
    found: dict[str, object] = {}
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    for each in given.url:
        name, _, place = each.partition("=")
        url, _, model = place.partition("#")
        found[name] = line_of = await row(url, model, given.thinking)
        print(line(name, line_of), flush=True)
    if given.vllm:
        async with served(given.vllm) as (url, name):
            found["vLLM"] = line_of = await row(url, name, given.thinking)
        print(line("vLLM", line_of), flush=True)
    for name, server in SERVERS.items() if given.mocks else ():
        found[f"{name} (mock)"] = line_of = await mocked(server, given.seconds, given.thinking)
        print(line(f"{name} (mock)", line_of), flush=True)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="that an answer of a mock takes")
    parser.add_argument("--thinking", choices=("auto", "on", "off"), default="auto", help="of the roles")
    parser.add_argument("--url", action="append", default=[], metavar="NAME=URL[#MODEL]", help="a server that is up")
    parser.add_argument(
        "--vllm", metavar="MODEL", help="a model to start a vLLM server with, such as bundled/smollm2-135m"
    )
    parser.add_argument("--mocks", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, help="a JSON file for the same figures")
    given = parser.parse_args()
    found = asyncio.run(table(given))
    if given.out:
        setting = {"cores": os.cpu_count(), "thinking": given.thinking, "seconds of a mock's answer": given.seconds}
        given.out.write_text(json.dumps({**setting, "servers": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
