"""Servers that answer, misbehave and vanish: a real HTTP server on this machine, and what the client makes of it."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

import cai.models.endpoint as endpoint
import cai.models.pool as pool
import cai.models.probe as probe
import cai.models.replica as replica
import cai.models.retries as retries
from cai.errors import RowError, RunError, UserError
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request, Sample

ASKED = Request(({"role": "user", "content": "Hi"},), seed=5)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(text: str = "Hello", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    return {"model": "big", "choices": [{**choice, **more}], "usage": usage}


class Server:
    """Answers with what ``replies`` holds, one after the other, then with an answer; remembers what it was asked.

    Args:
        harmless: what it answers to harmless requests, which are no row's.
    """

    def __init__(
        self,
        replies: list[web.Response | dict[str, Any]] | None = None,
        owner: str = "vllm",
        harmless: Callable[[dict[str, Any]], web.Response | dict[str, Any]] = lambda body: answer(logprobs=LOGPROBS),
    ) -> None:
        self.replies, self.owner, self.harmless = replies or [], owner, harmless
        self.bodies: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        innocent = any("Please say hello." in each["content"] for each in body["messages"])
        (self.probes if innocent else self.bodies).append(body)
        reply = self.harmless(body) if innocent else self.replies.pop(0) if self.replies else answer()
        return web.json_response(reply) if isinstance(reply, dict) else reply

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "big", "owned_by": self.owner}]})

    async def __aenter__(self, port: int = 0) -> str:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_get("/v1/models", self.models)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", port)
        await site.start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/v1"

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off and probes in milliseconds."""
    monkeypatch.setattr(retries, "_backoff", lambda _: 0.001)
    monkeypatch.setattr(pool, "PROBE_SECONDS", 0.02)
    monkeypatch.setattr(probe, "WAIT_SECONDS", 0.001)
    monkeypatch.setattr(replica, "REST_SECONDS", 0.2)


def ask(*servers: Server, request: Request = ASKED, times: int = 1, model: str = "big") -> list[Reply]:
    async def scene() -> list[Reply]:
        urls = tuple([await server.__aenter__() for server in servers])
        spec = ModelSpec("judge", endpoints=urls, model=model, timeout=5.0, patience=1.0)
        try:
            async with endpoint.Endpoint(urls, model, spec) as client:
                return [await client.ask(request, "row") for _ in range(times)]
        finally:
            for server in servers:
                await server.__aexit__()

    return asyncio.run(scene())


def test_an_answer_comes_with_its_tokens() -> None:
    server = Server()
    [reply] = ask(server)
    assert reply == Reply((Sample("Hello"),), {}, 9, 4, 2, "big")
    assert server.bodies[0]["seed"] == 5


@pytest.mark.parametrize(
    "trouble",
    [
        web.Response(status=500, text="oops"),
        web.Response(status=503),
        web.Response(status=429, headers={"Retry-After": "0"}),
        web.Response(status=200, text='{"choices": [', content_type="application/json"),
        web.Response(status=200, text="[" * 100_000, content_type="application/json"),
        {"choices": []},
        {"error": "odd"},
    ],
    ids=["500", "503", "429", "torn json", "deep json", "no choices", "no answer"],
)
def test_passing_trouble_is_tried_again(trouble: Any) -> None:
    server = Server([trouble])
    assert ask(server)[0].texts == ("Hello",)
    assert len(server.bodies) == 2


def test_trouble_is_tried_elsewhere() -> None:
    sick = Server([web.Response(status=500) for _ in range(99)])
    replies = ask(sick, Server(), times=4)
    assert [reply.texts for reply in replies] == [("Hello",)] * 4
    assert len(sick.bodies) <= 4


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (400, "This model's maximum context length is 4096 tokens", "context_too_long"),
        (400, "content policy", "refused_by_server"),
        (422, "odd", "refused_by_server"),
    ],
)
def test_what_is_the_row_s_fault_drops_the_row(status: int, text: str, reason: str) -> None:
    server = Server([web.Response(status=status, text=text)])
    with pytest.raises(RowError) as error:
        ask(server)
    assert error.value.reason == reason
    assert len(server.bodies) == 1


def test_a_row_that_always_fails_on_a_healthy_server_is_dropped() -> None:
    with pytest.raises(RowError) as error:
        ask(Server([web.Response(status=500) for _ in range(99)]))
    assert error.value.reason == "server_error"


def test_an_outage_that_ends_within_the_patience_costs_no_row() -> None:
    server = Server([web.Response(status=500) for _ in range(retries.TRIES)])
    assert ask(server)[0].texts == ("Hello",)
    assert len(server.bodies) == retries.TRIES + 1


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (401, "who are you", r"refuses big \(401 who are you\); check the key"),
        (404, "", r"refuses big \(404\); check `model` and the URL"),
        (
            402,
            "Insufficient credits.",
            r"\(402 Insufficient credits.\); add to the account, then run the same command again",
        ),
        (400, "Your credit balance is too low.", "credit balance is too low.*; add to the account"),
    ],
)
def test_everyone_s_error_stops_the_run(status: int, text: str, words: str) -> None:
    answers = iter([answer()])
    server = Server(
        [web.Response(status=status, text=text) for _ in range(2)],
        harmless=lambda body: next(answers, None) or web.Response(status=status, text=text),
    )
    with pytest.raises(RunError, match=words):
        ask(server)


def test_a_server_that_is_gone_stops_the_run_with_a_sentence() -> None:
    async def scene() -> None:
        server = Server()
        url = await server.__aenter__()
        spec = ModelSpec("judge", endpoints=(url,), model="big", patience=0.1)
        async with endpoint.Endpoint((url,), "big", spec) as client:
            await server.__aexit__()
            await client.ask(ASKED, "row")

    with pytest.raises(RunError, match="no server answers for big"):
        asyncio.run(scene())


def test_a_server_that_comes_back_within_the_patience_is_waited_for() -> None:
    async def scene() -> Reply:
        server = Server()
        url = await server.__aenter__()
        spec = ModelSpec("judge", endpoints=(url,), model="big", patience=30.0)
        async with endpoint.Endpoint((url,), "big", spec) as client:
            await server.__aexit__()
            asked = asyncio.create_task(client.ask(ASKED, "row"))
            await asyncio.sleep(0.3)
            assert not asked.done()
            await server.__aenter__(int(url.split(":")[2].split("/")[0]))
            try:
                return await asked
            finally:
                await server.__aexit__()

    assert asyncio.run(scene()).texts == ("Hello",)


def test_a_server_that_is_busy_is_asked_again_beyond_the_usual_tries_and_rests_for_nobody() -> None:
    busy = Server([web.Response(status=429) for _ in range(3 * retries.TRIES)])
    assert ask(busy)[0].texts == ("Hello",)
    assert len(busy.bodies) == 3 * retries.TRIES + 1


def test_a_server_that_stays_busy_stops_the_run_and_drops_nothing() -> None:
    with pytest.raises(RunError, match="big has been too busy for 1 s: 429 slow down"):
        ask(Server([web.Response(status=429, text="slow down") for _ in range(9999)]))


def conversations(rows: int, turns: int, *servers: Server) -> None:
    """Rows of several requests each, side by side."""

    async def scene() -> None:
        urls = tuple([await server.__aenter__() for server in servers])
        try:
            async with endpoint.Endpoint(urls, "big", ModelSpec("judge", endpoints=urls, model="big")) as client:

                async def one(row: int) -> None:
                    for _ in range(turns):
                        await client.ask(Request(({"role": "user", "content": f"row {row}"},)), f"row {row}")

                await asyncio.gather(*map(one, range(rows)))
        finally:
            for server in servers:
                await server.__aexit__()

    asyncio.run(scene())


def rows_of(server: Server) -> set[str]:
    return {body["messages"][0]["content"] for body in server.bodies}


def test_a_row_stays_on_its_replica_and_rows_go_where_least_is_to_do() -> None:
    servers = [Server(), Server(), Server()]
    conversations(30, 4, *servers)
    assert sum(len(rows_of(server)) for server in servers) == 30  # no row was seen by two
    assert all(len(server.bodies) == 40 for server in servers)


def test_a_replica_that_fails_is_left_alone_and_its_rows_move() -> None:
    sick, well = Server([web.Response(status=500) for _ in range(9999)]), Server()
    conversations(20, 5, sick, well)
    assert len(well.bodies) == 100
    assert len(sick.bodies) <= 20  # those that were on their way when it began to fail, and a probe or two


def test_a_replica_that_is_well_again_gets_rows_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "REST_SECONDS", 3600.0)

    async def scene() -> int:
        sick, well = Server([web.Response(status=500) for _ in range(3)]), Server()
        urls = await sick.__aenter__(), await well.__aenter__()
        try:
            async with endpoint.Endpoint(urls, "big", ModelSpec("judge", endpoints=urls, model="big")) as client:
                for row in range(8):
                    await client.ask(ASKED, f"before {row}")
                failed = len(sick.bodies)
                assert failed == 3
                client.replicas[0].rests_until = 0.0
                for row in range(8):
                    await client.ask(ASKED, f"after {row}")
                return len(sick.bodies) - failed
        finally:
            await sick.__aexit__()
            await well.__aexit__()

    assert asyncio.run(scene()) >= 4


def test_a_wrong_url_or_model_is_the_user_s_error() -> None:
    with pytest.raises(UserError, match='has no model "small"; it has: big'):
        ask(Server(), model="small")

    async def nobody() -> None:
        spec = ModelSpec("judge", endpoints=("http://127.0.0.1:9/v1",), model="big")
        async with endpoint.Endpoint(spec.endpoints, "big", spec):
            pass

    with pytest.raises(UserError, match="does not answer"):
        asyncio.run(nobody())


def test_a_key_comes_from_the_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        spec = ModelSpec("judge", endpoints=("http://127.0.0.1:9/v1",), model="big", api_key_env="CAI_TEST_KEY")
        async with endpoint.Endpoint(spec.endpoints, "big", spec):
            pass

    monkeypatch.delenv("CAI_TEST_KEY", raising=False)
    with pytest.raises(UserError, match="CAI_TEST_KEY is not set"):
        asyncio.run(scene())


LOGPROBS = {
    "content": [
        {
            "token": "A",
            "top_logprobs": [
                {"token": "A", "logprob": math.log(0.5)},
                {"token": " A", "logprob": math.log(0.1)},
                {"token": "B", "logprob": math.log(0.3)},
                {"token": "C", "logprob": math.log(0.05)},
            ],
        }
    ]
}
VERDICT = Request(({"role": "user", "content": "Which?"},), choices=("A", "B"), begin="Because.\n\nThe answer is: (")


def test_a_verdict_on_vllm_goes_on_from_the_forced_beginning() -> None:
    server = Server([answer("A", logprobs=LOGPROBS)])
    [reply] = ask(server, request=VERDICT)
    assert {choice: math.exp(p) for choice, p in reply.choice_logprobs.items()} == pytest.approx({"A": 0.6, "B": 0.3})
    body = server.bodies[0]
    assert body["messages"][-1] == {"role": "assistant", "content": "Because.\n\nThe answer is: ("}
    assert (body["continue_final_message"], body["add_generation_prompt"], body["max_tokens"]) == (True, False, 1)


def test_a_verdict_elsewhere_asks_for_one_letter() -> None:
    server = Server([answer("A", logprobs=LOGPROBS)], owner="someone")
    ask(server, request=VERDICT)
    body = server.bodies[0]
    assert "continue_final_message" not in body
    assert body["messages"][-2] == {"role": "assistant", "content": "Because."}
    assert body["messages"][-1]["content"] == "Reply with one of these and nothing else: A, B."


def test_a_reward_model_on_a_server_is_asked_for_its_raw_score() -> None:
    """The real ones are held against each other in ``test_reward`` (slow)."""
    bodies: list[dict[str, Any]] = []

    async def classify(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({"model": "rm", "data": [{"probs": [-2.5]}], "usage": {"prompt_tokens": 7}})

    async def scene() -> Reply:
        server = Server()
        async with AsyncExitStack() as stack:
            app = web.Application()
            app.router.add_post("/classify", classify)
            app.router.add_get("/v1/models", server.models)
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            spec = ModelSpec("rm", endpoints=(url,), model="big", scores=True)
            async with endpoint.Endpoint((url,), "big", spec) as client:
                return await client.ask(
                    Request((*ASKED.messages, {"role": "assistant", "content": "Yes."}), score=True), "row"
                )

    assert asyncio.run(scene()) == Reply(tokens_in=7, model="rm", score=-2.5)
    assert [body["use_activation"] for body in bodies] == [False, False]  # the harmless one, and the row's
    assert bodies[1]["messages"][-1] == {"role": "assistant", "content": "Yes."}
    assert bodies[1]["add_generation_prompt"] is False
