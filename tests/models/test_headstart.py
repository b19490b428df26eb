"""What is announced is under way at the same time, and what it shows is the same as one after the other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

import cai.models.probe as probe
from cai.errors import CaiError, RunError, UserError
from cai.models.endpoint import Endpoint
from cai.models.spec import ModelSpec
from cai.models.types import Request

Body = dict[str, Any]
TURNS = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Row?"})
SHAPES = [Request(TURNS, max_tokens=tokens) for tokens in (61, 62, 63, 64)]
GUARD_SECONDS = 20
"""Only a failing test waits for it."""


def answer(text: str = "Hello!", **more: Any) -> Body:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": "stop"}
    return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}


def refusal(words: str, status: int) -> web.Response:
    return web.json_response({"error": {"message": words, "type": "invalid_request_error"}}, status=status)


@dataclass
class Gate:
    """A server that answers only once so many requests are in its hands at the same time.

    Attributes:
        says: what it answers to a body, and when it was let through.
        holds: the requests that it keeps waiting.
        most: requests that were in its hands at once.
    """

    together: int = 1
    says: Callable[[Body], Any] = lambda body: answer()
    holds: Callable[[Body], bool] = lambda body: True
    owner: str = ""
    bodies: list[Body] = field(default_factory=list)
    inside: int = 0
    most: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        if self.holds(body):
            await self._together()
        said = self.says(body)
        return said if isinstance(said, web.StreamResponse) else web.json_response(said)

    async def _together(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.inside >= self.together:
            self.opened.set()
        await self.opened.wait()
        await asyncio.sleep(0)  # who comes now is in its hands at the same time as this one
        self.inside -= 1

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m", "owned_by": self.owner}]})


@asynccontextmanager
async def running(gate: Gate) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", gate.chat), web.get("/v1/models", gate.models)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        gate.opened.set()
        await runner.cleanup()


def notes(gate: Gate, *requests: Request, ahead: bool = True, servers: int = 1, **keys: Any) -> list[str]:
    """What a person is told while requests are prepared; nothing is on its way afterwards, however that ended."""

    async def prepare(model: Endpoint) -> None:
        try:
            for request in requests if ahead else ():
                model.announce(request)
            for request in requests:
                await model.prepare(request)
        finally:
            await model.recall()
            assert [each.load for each in model.replicas] == [0] * servers

    async def scene() -> list[str]:
        said: list[str] = []
        async with AsyncExitStack() as stack, asyncio.timeout(GUARD_SECONDS):
            urls = [await stack.enter_async_context(running(gate)) for _ in range(servers)]
            spec = ModelSpec("policy", endpoints=tuple(urls), model="m", **{"patience": 0.5, "timeout": 5.0, **keys})
            model = await stack.enter_async_context(Endpoint(spec.endpoints, "m", spec))
            model.say = said.append
            await prepare(model)
        return said

    return asyncio.run(scene())


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WAIT_SECONDS", 0.001)


@pytest.mark.parametrize("servers", [1, 2])
def test_all_shapes_are_under_way_at_once_at_all_servers(servers: int) -> None:
    gate = Gate(together=4 * servers)
    assert notes(gate, *SHAPES, servers=servers) == []
    assert sorted(body["max_tokens"] for body in gate.bodies) == sorted([61, 62, 63, 64] * servers)


@pytest.mark.parametrize("shows", [True, False])
def test_so_is_the_wordier_one_by_which_a_template_shows_whether_it_takes_system_messages(shows: bool) -> None:
    def counted(body: Body) -> Body:
        said = [each["content"] for each in body["messages"] if shows or each["role"] != "system"]
        return {**answer(), "usage": {"prompt_tokens": len(" ".join(said).split()), "completion_tokens": 1}}

    gate = Gate(together=5, says=counted, owner="vllm")
    said = notes(gate, *SHAPES)
    assert [note for note in said if "leaves system messages out" in note] == said
    assert len(said) == (not shows)
    assert len(gate.bodies) == (5 if shows else 9)  # the others anew, with the system message before the first turn
    joined = [body["max_tokens"] for body in gate.bodies if body["messages"][0]["role"] == "user"]
    assert sorted(joined) == ([] if shows else [62, 63, 64])


def test_a_server_is_asked_no_more_at_once_than_its_model_s_concurrency() -> None:
    gate = Gate(together=2)
    notes(gate, *SHAPES, concurrency=2)
    assert (gate.most, len(gate.bodies)) == (2, 4)


def peculiar(body: Body) -> Any:
    for key in ("max_tokens", "seed", "temperature"):
        if key in body:
            return refusal(f"Unsupported parameter: {key}", 400)
    return answer()


def test_what_is_put_otherwise_meanwhile_is_asked_again_all_at_once_and_said_in_the_same_order() -> None:
    shapes = [replace(each, seed=number) for number, each in enumerate(SHAPES)]
    limits = [each.max_tokens for each in shapes[1:]]
    gate = Gate(together=3, says=peculiar, holds=lambda body: body.get("max_completion_tokens") in limits)
    said = notes(gate, *shapes)
    assert said == notes(Gate(says=peculiar), *shapes, ahead=False)
    assert len(said) == 3
    taken = [body["max_completion_tokens"] for body in gate.bodies if peculiar(body) == answer()]
    assert sorted(taken) == [61, 62, 63, 64]


def test_a_model_that_shows_to_think_is_asked_with_a_budget_for_all_shapes_at_once() -> None:
    says, holds = lambda body: answer(reasoning="They greet."), lambda body: body["max_tokens"] > 4096
    gate = Gate(together=4, says=says, holds=holds)
    notes(gate, *SHAPES)
    assert list(map(holds, gate.bodies)) == [False] * 4 + [True] * 4


def test_a_busy_server_is_asked_again_and_nothing_is_found_of_it() -> None:
    busy = iter([True] * 3)
    gate = Gate(together=4, says=lambda body: refusal("slow down", 429) if next(busy, False) else answer())
    assert notes(gate, *SHAPES) == []
    assert len(gate.bodies) == 7


@pytest.mark.parametrize(("kind", "words", "status"), [(UserError, "bad key", 401), (RunError, "out of credits", 402)])
def test_an_error_ends_what_is_still_on_its_way(kind: type[CaiError], words: str, status: int) -> None:
    gate = Gate(together=99, says=lambda body: refusal(words, status), holds=lambda body: body["max_tokens"] > 61)
    with pytest.raises(kind, match=f"{status} {words}"):
        notes(gate, *SHAPES)


def test_what_was_announced_and_is_never_prepared_is_ended() -> None:
    async def scene() -> None:
        gate = Gate(together=99)
        async with asyncio.timeout(GUARD_SECONDS), running(gate) as url:
            spec = ModelSpec("policy", endpoints=(url,), model="m")
            async with Endpoint(spec.endpoints, "m", spec) as model:
                model.announce(SHAPES[0])
                while not gate.bodies:
                    await asyncio.sleep(0)
                await model.recall()
                assert model.replicas[0].load == 0
                gate.opened.set()
                await model.prepare(SHAPES[0])  # as if nobody had announced it
                assert len(gate.bodies) == 2

    asyncio.run(scene())
