"""Before the first row a server shows what it takes; what keeps the meaning is put otherwise, all else is one sentence."""

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console

import cai.models.probe as probe
import cai.models.retries as retries
import cai.models.transport as transport
from cai.errors import CaiError, RowError, RunError, UserError
from cai.flow.fleet import Fleet
from cai.flow.screen import Screen
from cai.models.dialect import Vllm
from cai.models.endpoint import Endpoint
from cai.models.roles import for_role
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request
from cai.models.verdicts import gives_logprobs

TURNS = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Row?"})
ASKED = Request(TURNS, seed=5, n=2, max_tokens=64, stop=("a", "b", "c", "d", "zz"))
VERDICT = Request(TURNS[1:], choices=("A", "B"), begin="The answer is: (", temperature=0.0)
Answer = Callable[[dict[str, Any]], Any]


def answer(body: dict[str, Any], text: str = "Fine zz and more.", count: int | None = None) -> dict[str, Any]:
    """As a server gives it that takes all."""
    top = [{"token": token, "logprob": -1.0} for token in ("A", "B")]
    logprobs = (
        {"content": [{"token": "A", "top_logprobs": top[: body["top_logprobs"]]}]} if body.get("logprobs") else None
    )
    choices = [
        {
            "index": number,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop",
            "logprobs": logprobs,
        }
        for number in range(count or body.get("n", 1))
    ]
    return {"model": "m", "choices": choices}


def refused(text: str, status: int = 400) -> web.Response:
    return web.json_response({"error": {"message": text, "type": "invalid_request_error"}}, status=status)


class Peculiar:
    """A server with a peculiarity; keeps the bodies of rows and those of harmless requests apart."""

    def __init__(self, peculiarity: Answer) -> None:
        self.peculiarity = peculiarity
        self.rows: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        (self.rows if "Row" in json.dumps(body["messages"]) else self.probes).append(body)
        reply = self.peculiarity(body)
        return reply if isinstance(reply, web.StreamResponse) else web.json_response(reply or answer(body))


@asynccontextmanager
async def running(server: Peculiar, models: Any = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    listed = {"data": [{"id": "m"}]} if models is None else models

    async def listing(_: web.Request) -> web.Response:
        return web.json_response(listed)

    app.router.add_get("/v1/models", listing)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def ask(
    server: Peculiar, *requests: Request, models: Any = None, beside: Peculiar | None = None, **keys: Any
) -> tuple[list[Reply], list[str]]:
    """The replies to rows' requests, and what a person is told.

    Args:
        beside: another server of the same model.
    """

    async def scene() -> tuple[list[Reply], list[str]]:
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(running(each, models)) for each in (server, beside) if each]
            spec = ModelSpec(
                "judge", **{"endpoints": tuple(urls), "model": "m", "patience": 0.5, "timeout": 5.0, **keys}
            )
            notes: list[str] = []
            async with Endpoint(spec.endpoints, spec.model, spec) as model:
                model.say = notes.append
                up = for_role(model, spec)
                return [await up.ask(request, f"row {number}") for number, request in enumerate(requests)], notes

    return asyncio.run(scene())


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_backoff", lambda _: 0.001)
    monkeypatch.setattr(probe, "WAIT_SECONDS", 0.001)


TAKES: dict[str, tuple[Answer, dict[str, Any], str]] = {
    "another limit": (
        lambda body: (
            refused("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
            if "max_tokens" in body
            else None
        ),
        {"max_completion_tokens": 64, "max_tokens": None},
        "the limit goes as max_completion_tokens",
    ),
    "no seed": (
        lambda body: refused("Unknown parameter: seed", 422) if "seed" in body else None,
        {"seed": None},
        "it takes no seed, so that its answers cannot be drawn again",
    ),
    "no system role": (
        lambda body: (
            refused("Conversation roles must alternate user/assistant")
            if body["messages"][0]["role"] == "system"
            else None
        ),
        {"messages": [{"role": "user", "content": "Be kind.\n\nRow?"}]},
        "the system message stands before the first turn",
    ),
    "no system role, as an error of the server's": (
        lambda body: refused("template error", 500) if body["messages"][0]["role"] == "system" else None,
        {"messages": [{"role": "user", "content": "Be kind.\n\nRow?"}]},
        "the system message stands before the first turn",
    ),
    "one sample": (
        lambda body: refused("Only n=1 is supported") if body.get("n", 1) > 1 else None,
        {"n": None},
        "samples are asked one by one",
    ),
    "one sample, unsaid": (lambda body: answer(body, count=1), {"n": None}, "samples are asked one by one"),
    "four stops": (
        lambda body: refused("stop: at most 4") if len(body.get("stop", [])) > 4 else None,
        {"stop": ["a", "b", "c", "d"]},
        "answers are cut here at all stops but 4",
    ),
    "no stops": (
        lambda body: refused("stop") if "stop" in body else None,
        {"stop": None},
        "answers are cut here at their stops",
    ),
    "its own temperature": (
        lambda body: (
            refused("Only the default (1) value of temperature is supported") if "temperature" in body else None
        ),
        {"temperature": None},
        "temperature 1 is left to it",
    ),
    "no reason given": (lambda body: refused("") if "seed" in body else None, {"seed": None}, "it takes no seed"),
}


@pytest.mark.parametrize("name", TAKES)
def test_what_a_server_does_not_take_is_put_otherwise_where_the_meaning_stays(name: str) -> None:
    peculiarity, sent, note = TAKES[name]
    server = Peculiar(peculiarity)
    [first, second], notes = ask(server, ASKED, ASKED)
    assert first.texts == second.texts == ("Fine ",) * 2  # cut at a stop, whoever cuts
    assert first.finishes == ("stop", "stop")
    for body in server.rows:
        assert {key: body.get(key) for key in sent} == sent
    assert [each for each in notes if note in each]
    assert len(notes) == 1
    assert len(server.probes) < 14


def test_several_peculiarities_are_found_one_after_the_other() -> None:
    def odd(body: dict[str, Any]) -> Any:
        for key in ("max_tokens", "seed", "stop", "temperature"):
            if key in body:
                return refused(f"Unsupported parameter: {key}")
        return refused("n must be 1") if body.get("n", 1) > 1 else None

    server = Peculiar(odd)
    [reply], notes = ask(server, ASKED)
    assert reply.texts == ("Fine ",) * 2
    assert reply.counts == {"without_seed": 2}
    assert len(notes) == 5


def test_fewer_log_probabilities_do_where_the_choices_are_among_them() -> None:
    server = Peculiar(
        lambda body: refused("top_logprobs must be at most 5") if body.get("top_logprobs", 0) > 5 else None
    )
    [reply], notes = ask(server, VERDICT)
    assert set(reply.choice_logprobs) == {"A", "B"}
    assert notes == ["m: log-probabilities are those of 5 tokens"]


STOPS: dict[str, tuple[Answer, Request, type[CaiError], str]] = {
    "no log-probabilities": (
        lambda body: {"choices": [{"message": {"content": "A"}, "logprobs": None, "finish_reason": "stop"}]},
        VERDICT,
        UserError,
        "gives no log-probabilities, by which a verdict is read",
    ),
    "credits": (
        lambda body: refused("Insufficient credits", 402),
        ASKED,
        RunError,
        "Insufficient credits.*add to the account",
    ),
    "a temperature": (
        lambda body: refused("temperature is not supported") if "temperature" in body else None,
        Request(TURNS, temperature=0.7),
        UserError,
        r"models.judge: http://127.0.0.1:\d+/v1 refuses what would be asked \(400 temperature is not supported.*; "
        "give the role temperature: 1",
    ),
    "too many tokens": (
        lambda body: (
            refused("max_tokens is too large: 64")
            if body.get("max_tokens", body.get("max_completion_tokens")) > 9
            else None
        ),
        ASKED,
        UserError,
        "max_tokens is too large: 64",
    ),
    "a key": (
        lambda body: refused("key expired", 403),
        ASKED,
        UserError,
        r"403 key expired.*check the key \(api_key_env\)",
    ),
    "busy for good": (
        lambda body: refused("overloaded", 400),
        ASKED,
        RunError,
        "has been too busy for 0 s: 400 overloaded",
    ),
    "an error within": (
        lambda body: {"error": {"message": "slow down", "code": 429}},
        ASKED,
        RunError,
        "too busy.*slow down",
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_a_server_cannot_do_is_a_sentence_before_any_row(name: str) -> None:
    peculiarity, request, kind, words = STOPS[name]
    server = Peculiar(peculiarity)
    with pytest.raises(kind, match=words):
        ask(server, request)
    assert not server.rows


def test_a_server_that_fails_at_all_that_is_harmless_may_answer_rows() -> None:
    harmless = Peculiar(lambda body: None if "Row" in json.dumps(body["messages"]) else refused("no pair found", 500))
    [reply], notes = ask(harmless, ASKED)
    assert (reply.texts, notes) == (("Fine ",) * 2, [])
    with pytest.raises(RunError, match=r"http://127.0.0.1:\d+/v1 fails at what m is asked .500 out of luck"):
        ask(Peculiar(lambda body: refused("out of luck", 500)), ASKED)


def rows_alone(reply: Answer) -> Peculiar:
    """Peculiar to rows, and not to what is harmless."""
    return Peculiar(lambda body: reply(body) if "Row" in json.dumps(body["messages"]) else None)


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (403, "Your prompt was flagged by our moderation", "refused_by_server"),
        (403, "", "refused_by_server"),
        (400, "This model's maximum context length is 4096 tokens", "context_too_long"),
        (413, "", "context_too_long"),
        (400, "This account has no access to such content", "refused_by_server"),
        (500, "oops", "server_error"),
    ],
)
def test_what_is_refused_to_a_row_alone_drops_that_row(status: int, words: str, reason: str) -> None:
    with pytest.raises(RowError) as error:
        ask(rows_alone(lambda body: refused(words, status)), ASKED)
    assert error.value.reason == reason


def test_what_is_refused_to_everyone_from_some_row_on_stops_the_run() -> None:
    left = iter(range(3))
    server = Peculiar(lambda body: None if next(left, None) is not None else refused("Your credit balance is too low"))
    with pytest.raises(RunError, match=r"refuses m .400 Your credit balance is too low.*; add to the account"):
        ask(server, *[ASKED] * 9)
    assert 0 < len(server.rows) < 9


def drops(server: Peculiar, *requests: Request) -> tuple[list[str], str]:
    """Why rows that are asked one after the other are left out, and what stops them."""

    async def scene() -> tuple[list[str], str]:
        reasons: list[str] = []
        async with running(server) as url:
            spec = ModelSpec("policy", endpoints=(url,), model="m", patience=0.5, timeout=5.0)
            async with Endpoint(spec.endpoints, "m", spec) as model:
                for number, request in enumerate(requests):
                    try:
                        await model.ask(request, f"row {number}")
                    except RowError as error:
                        reasons.append(error.reason)
                    except RunError as error:
                        return reasons, str(error)
        return reasons, ""

    return asyncio.run(scene())


def test_a_row_s_refusal_says_nothing_of_the_next_even_in_the_same_words() -> None:
    """After a row that was refused by itself, what is refused to everyone drops no further one."""
    rows = iter([False, True, False, True, True, True])
    everyones = iter([True, True, False])

    def odd(body: dict[str, Any]) -> Any:
        fine = not next(rows) if "Row" in json.dumps(body["messages"]) else next(everyones)
        return None if fine else refused("blocked by policy")

    reasons, stop = drops(Peculiar(odd), *[ASKED] * 5)
    assert reasons == ["refused_by_server"]
    assert "refuses m (400 blocked by policy" in stop


def test_rows_that_start_together_wait_for_one_probe_and_share_what_it_shows_of_their_refusals() -> None:
    server = rows_alone(lambda body: refused("flagged", 403))

    async def scene() -> list[BaseException | Reply]:
        async with running(server) as url:
            spec = ModelSpec("policy", endpoints=(url,), model="m", patience=0.5, timeout=5.0)
            async with Endpoint(spec.endpoints, "m", spec) as model:
                asks = (model.ask(ASKED, f"row {number}") for number in range(64))
                return await asyncio.gather(*asks, return_exceptions=True)

    replies = asyncio.run(scene())
    assert [str(each) for each in replies if not isinstance(each, RowError)] == []
    assert len(server.rows) == 64
    assert len(server.probes) < 20  # one before, and one for all that were refused before it was sent


def test_an_account_that_is_empty_stops_the_run_though_what_is_harmless_is_still_paid_for() -> None:
    reasons, stop = drops(rows_alone(lambda body: refused("can only afford 10 tokens", 402)), ASKED)
    assert not reasons
    assert "402 can only afford 10 tokens" in stop


ODD_ROWS = {
    "begins with the assistant": ("assistant", "user"),
    "speaks twice": ("user", "user"),
    "a long conversation": ("user", "assistant") * 40 + ("user",),
}


@pytest.mark.parametrize("name", ODD_ROWS)
def test_a_conversation_that_a_server_does_not_take_drops_its_row_and_stops_no_run(name: str) -> None:
    def template(body: dict[str, Any]) -> Any:
        roles = [each["role"] for each in body["messages"]]
        wrong = roles[0] != "user" or len(roles) > 9 or any(map(str.__eq__, roles, roles[1:]))
        return refused("Conversation roles must alternate") if wrong else None

    turns = tuple({"role": role, "content": "Row"} for role in ODD_ROWS[name])
    usual = Request(TURNS[1:])
    assert drops(Peculiar(template), Request(turns), usual) == (["refused_by_server"], "")
    assert drops(Peculiar(template), usual, Request(turns)) == (["refused_by_server"], "")


def test_each_of_several_servers_is_asked_and_the_one_at_fault_is_named() -> None:
    strict = Peculiar(lambda body: refused("Unknown parameter: seed") if "seed" in body else None)
    plain = Peculiar(lambda body: None)
    replies, notes = ask(plain, *[ASKED] * 4, beside=strict)
    assert notes == ["m: it takes no seed, so that its answers cannot be drawn again"]
    assert [reply.counts for reply in replies] == [{"without_seed": 1}] * 4
    with pytest.raises(UserError, match="401 bad key"):
        ask(Peculiar(lambda body: None), ASKED, beside=Peculiar(lambda body: refused("bad key", 401)))
    left = iter(range(2))
    later = Peculiar(lambda body: None if next(left, None) is not None else refused("key expired", 401))
    with pytest.raises(RunError, match=r"refuses m .401 key expired"):  # and no row is dropped on the other's word
        ask(Peculiar(lambda body: None), *[ASKED] * 9, beside=later)


def test_one_of_several_servers_that_fails_changes_nothing_of_what_is_asked() -> None:
    broken = Peculiar(lambda body: refused("oops", 500))
    [reply], notes = ask(broken, ASKED, beside=Peculiar(lambda body: None))
    assert (reply.counts, notes) == ({}, [])
    assert len(broken.probes) == probe.ERRORS


def test_refusals_that_differ_by_an_id_alone_are_one() -> None:
    ids = iter(range(10**9, 10**9 + 99))
    server = Peculiar(
        lambda body: refused(f"unsupported (request id: 20{next(ids)}-aa)") if body.get("n", 1) > 1 else None
    )
    [reply], notes = ask(server, ASKED)
    assert reply.counts == {}
    assert notes == ["m: samples are asked one by one"]


@pytest.mark.parametrize(("status", "times"), [(503, 9), (502, 9), (500, 3)])
def test_an_error_that_passes_changes_nothing_of_what_is_asked(status: int, times: int) -> None:
    left = iter(range(times))
    loading = Peculiar(lambda body: None if next(left, None) is None else refused("Loading model", status))
    [reply], notes = ask(loading, ASKED)
    assert (reply.counts, notes, loading.rows[0]["max_tokens"]) == ({}, [], 64)


def test_a_key_that_is_refused_costs_one_request() -> None:
    server = Peculiar(lambda body: refused("Incorrect API key provided", 401))
    with pytest.raises(UserError, match="check the key"):
        ask(server, ASKED)
    assert len(server.probes) == 1


THINKS = {
    "tags": {"message": {"content": "<think>"}},
    "a field": {"message": {"content": None, "reasoning_content": "Okay"}},
}
RARE = [{"token": "<think>", "logprob": -0.01}, {"token": "A", "logprob": -6.0}, {"token": "B", "logprob": -7.0}]


@pytest.mark.parametrize("name", THINKS)
def test_a_judge_whose_first_token_is_a_thought_is_known_before_any_row(name: str) -> None:
    top = [{"token": token, "logprob": -2.0} for token in ("<think>", "Okay")]
    thinks = {**THINKS[name], "finish_reason": "length", "logprobs": {"content": [{"top_logprobs": top}]}}
    server = Peculiar(lambda body: {"choices": [thinks]})
    with pytest.raises(UserError, match=r"thinks before it answers.*`thinking: off`"):
        ask(server, VERDICT)
    assert not server.rows


def test_log_probabilities_that_are_refused_are_told_as_such() -> None:
    server = Peculiar(
        lambda body: refused("You are not allowed to request logprobs", 403) if "logprobs" in body else None
    )
    with pytest.raises(UserError, match=r"gives no log-probabilities, .*403 You are not allowed"):
        ask(server, VERDICT)


FIRST_OF_A_THOUGHT = {"content": [{"top_logprobs": [{"token": each, "logprob": -1.0} for each in ("<think>", "Okay")]}]}
MUTE: dict[str, tuple[Answer, str]] = {
    "gives none": (lambda body: answer({**body, "logprobs": False}), "gives no log-probabilities"),
    "refuses them": (
        lambda body: refused("logprobs: unknown") if "logprobs" in body else None,
        "gives no log-probabilities",
    ),
    "refuses in other words": (
        lambda body: refused("Extra inputs are not permitted") if "logprobs" in body else None,
        r"refuses to be asked for log-probabilities .400 Extra inputs",
    ),
    "thinks": (
        lambda body: (
            {"choices": [{**THINKS["tags"], "finish_reason": "length", "logprobs": FIRST_OF_A_THOUGHT}]}
            if body["max_tokens"] == 1
            else None
        ),
        "thinks before it answers",
    ),
    "thinks, and might say a letter at once": (
        lambda body: (
            {
                "choices": [
                    {**THINKS["tags"], "finish_reason": "length", "logprobs": {"content": [{"top_logprobs": RARE}]}}
                ]
            }
            if body["max_tokens"] == 1
            else None
        ),
        "thinks before it answers",
    ),
}


@pytest.mark.parametrize("name", MUTE)
def test_whether_verdicts_can_be_read_is_found_out_once_and_told_once(name: str) -> None:
    peculiarity, why = MUTE[name]

    async def scene() -> tuple[list[bool], list[str], Reply]:
        async with running(server) as url:
            spec = ModelSpec("judge", endpoints=(url,), model="m", patience=0.5, extra_body={"top_k": 1})
            async with Endpoint(spec.endpoints, "m", spec) as model:
                notes: list[str] = []
                model.say, up = notes.append, for_role(model, spec)
                found = await asyncio.gather(*(gives_logprobs(up, VERDICT) for _ in range(9)))
                return found, notes, await up.ask(ASKED, "row")

    server = Peculiar(peculiarity)
    found, notes, reply = asyncio.run(scene())
    assert found == [False] * 9
    assert [note for note in notes if re.match(f"m: its verdicts are sampled, as it {why}", note)] == notes
    assert len(notes) == 1
    assert reply.texts == ("Fine ",) * 2
    assert (server.rows[0]["max_tokens"], server.rows[0]["seed"]) == (64, 5)  # nothing else is put otherwise


def test_a_key_that_is_refused_is_no_reason_to_sample() -> None:
    async def scene() -> None:
        async with running(Peculiar(lambda body: refused("Incorrect API key provided", 401))) as url:
            spec = ModelSpec("judge", endpoints=(url,), model="m")
            async with Endpoint((url,), "m", spec) as model:
                await gives_logprobs(model, VERDICT)

    with pytest.raises(UserError, match="check the key"):
        asyncio.run(scene())


@pytest.mark.parametrize("finish", ["length", "stop"])
def test_where_the_template_opens_a_thought_a_text_that_closes_none_is_one(finish: str) -> None:
    """Also one that a stop ends within the thought."""

    def thinks(body: dict[str, Any]) -> Any:
        row = "Row" in json.dumps(body["messages"])
        made = answer(body, "They ask for rye, so" if row else "They greet.\n</think>\n\nHello!")
        made["choices"][0]["finish_reason"] = finish if row else "stop"
        return made

    [reply], _ = ask(Peculiar(thinks), Request(TURNS))
    assert (reply.texts, reply.finishes, reply.thinking) == (("",), ("thinking",), ("They ask for rye, so",))


def test_a_greeting_that_takes_all_tokens_for_a_thought_is_told() -> None:
    spent = {"choices": [{"message": {"content": None, "reasoning": "They greet"}, "finish_reason": "length"}]}
    _, notes = ask(Peculiar(lambda body: spent), Request(TURNS, max_tokens=64))
    assert len(notes) == 1
    assert notes[0].endswith(
        "a thought took all 4,160 tokens of its answer to a greeting; give it more (max_tokens, or thinking: {budget: TOKENS}), "
        "or lessen its thinking (thinking: off, or extra_body)"
    )


def test_a_thought_that_its_own_budget_would_hold_is_no_fault() -> None:
    """The first greeting shows that the model thinks, and the second is given the tokens for it."""

    def thinks(body: dict[str, Any]) -> Any:
        if body["max_tokens"] > 64:
            return answer(body, "<think>They greet.</think>Hello!")
        return {"choices": [{"message": {"content": None, "reasoning": "They greet"}, "finish_reason": "length"}]}

    [reply], notes = ask(Peculiar(thinks), Request(TURNS, max_tokens=64))
    assert (reply.texts, notes) == (("Hello!",), [])


def test_a_key_that_may_ask_and_not_list_models_will_do() -> None:
    async def scene(status: int) -> list[str]:
        server = Peculiar(lambda body: refused("expired", 401) if status == 401 else None)
        app = web.Application()
        app.router.add_post("/v1/chat/completions", server.chat)

        async def listing(_: web.Request) -> web.Response:
            return refused("Missing scopes: api.model.read", status)

        app.router.add_get("/v1/models", listing)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            async with Endpoint((url,), "m", ModelSpec("judge", endpoints=(url,), model="m")) as model:
                return list((await model.ask(Request(TURNS), "row")).texts)
        finally:
            await runner.cleanup()

    assert asyncio.run(scene(403)) == ["Fine zz and more."]
    with pytest.raises(UserError, match="401 expired"):
        asyncio.run(scene(401))


def test_a_base_url_may_have_a_query_which_is_every_page_s() -> None:
    queries: list[str] = []
    server = Peculiar(lambda body: None)

    async def scene() -> None:
        async def chat(request: web.Request) -> web.StreamResponse:
            queries.append(request.query_string)
            return await server.chat(request)

        app = web.Application()
        app.router.add_post("/deployments/d/chat/completions", chat)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/deployments/d?api-version=2024-10-21"
        try:
            async with Endpoint((url,), "m", ModelSpec("judge", endpoints=(url,), model="m")) as model:
                await model.ask(Request(TURNS), "row")
        finally:
            await runner.cleanup()

    asyncio.run(scene())
    assert queries == ["api-version=2024-10-21"] * 2


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("llama3", ["llama3:latest"]),
        ("acme/one:online", ["acme/one"]),
        ("gemini-pro", ["models/gemini-pro"]),
        ("my-deployment", [f"model-{number}" for number in range(40)]),
    ],
)
def test_a_name_that_a_list_has_in_another_form_is_asked(name: str, listed: list[str]) -> None:
    models = {"data": [{"id": each} for each in listed]}
    [reply], _ = ask(Peculiar(lambda body: None), Request(TURNS), models=models, model=name)
    assert reply.texts == ("Fine zz and more.",)


def test_samples_that_are_missing_are_asked_again() -> None:
    server = rows_alone(lambda body: answer(body, count=1))
    [reply], _ = ask(server, ASKED)
    assert len(reply.texts) == 2
    assert [body["seed"] for body in server.rows] == [5, 6]


def test_a_role_s_own_sampling_is_of_its_texts_alone() -> None:
    server = Peculiar(lambda body: None)
    own = {"temperature": 0.6, "top_k": 20, "min_p": 0.1, "extra_body": {"reasoning_effort": "low"}}
    ask(server, ASKED, VERDICT, **own)
    text, verdict = server.rows
    assert {key: text[key] for key in ("temperature", "top_k", "min_p", "reasoning_effort")} == {
        **{key: own[key] for key in ("temperature", "top_k", "min_p")},
        "reasoning_effort": "low",
    }
    assert (verdict["temperature"], verdict["reasoning_effort"], verdict.get("top_k")) == (0.0, "low", None)


def test_a_role_that_shares_a_server_goes_on_in_its_own_form() -> None:
    async def scene() -> list[bool]:
        async with running(Peculiar(lambda body: None)) as url:
            spec = ModelSpec("policy", endpoints=(url,), model="m", format="transcript")
            async with Endpoint(spec.endpoints, "m", spec) as model:
                return [for_role(model, replace(spec, format=form)).continues for form in ("transcript", "chat")]

    assert asyncio.run(scene()) == [True, False]


@pytest.mark.parametrize(
    ("row", "words"),
    [(VERDICT, "gives no log-probabilities"), (replace(ASKED, max_tokens=99), "refuses what would be asked")],
)
def test_what_a_server_refuses_is_said_of_the_role_that_asks(row: Request, words: str) -> None:
    """Of two that share it, and not of the one for which it came up."""

    def judges_nothing(body: dict[str, Any]) -> Any:
        return refused("logprobs: none") if body.get("logprobs") or 99 in body.values() else None

    async def scene() -> None:
        async with running(Peculiar(judges_nothing)) as url:
            fleet = Fleet(Path(), Screen(Console(quiet=True)))
            roles = [ModelSpec(role, endpoints=(url,), model="m") for role in ("policy", "judge")]
            (policy, _), (judge, _) = await fleet.need(roles)
            try:
                await policy.ask(ASKED, "1")
                await judge.ask(row, "1")
            finally:
                await fleet.close()

    with pytest.raises(UserError, match=f"^models.judge: .*{words}"):
        asyncio.run(scene())


def test_headers_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"models.judge.headers_env.X-Org: CAI_TEST_ORG is not set; export it"):
        ask(Peculiar(lambda body: None), ASKED, headers_env={"X-Org": "CAI_TEST_ORG"})
    monkeypatch.setenv("CAI_TEST_ORG", "a\nX: b")
    with pytest.raises(UserError, match="holds a character that no header can"):
        ask(Peculiar(lambda body: None), ASKED, headers_env={"X-Org": "CAI_TEST_ORG"})
    monkeypatch.setenv("CAI_TEST_ORG", "acme")
    ask(Peculiar(lambda body: None), ASKED, headers_env={"X-Org": "CAI_TEST_ORG"})


PAGES: dict[str, tuple[web.Response, str]] = {
    "another origin": (
        web.Response(status=307, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
        "sends its visitors to http://127.0.0.1:9/elsewhere .307.; nothing was sent there",
    ),
    "round and round": (web.Response(status=307, headers={"Location": "completions"}), "sends its visitors on and on"),
    "a bomb": (
        web.Response(body=gzip.compress(b" " * (3 << 20)), headers={"Content-Encoding": "gzip"}),
        "an answer of more than 1 MiB",
    ),
    "no JSON": (web.Response(text="<html>"), "an answer that is not JSON"),
    "deep JSON": (web.Response(text="[" * 100_000), "an answer that is not JSON"),
    "no Unicode": (web.Response(body=b'{"choices": "\xff"}'), "an answer that is not JSON"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_is_no_answer_is_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page, words = PAGES[name]
    monkeypatch.setattr(transport, "MOST_BYTES", 1 << 20)

    def fresh(body: dict[str, Any]) -> web.Response:
        return web.Response(status=page.status, body=page.body, headers=page.headers)

    with pytest.raises(CaiError, match=words):
        ask(Peculiar(fresh), ASKED)


def test_an_answer_in_an_odd_charset_is_read() -> None:
    def odd(body: dict[str, Any]) -> web.Response:
        text = json.dumps(answer(body, "Rye 🍞"), ensure_ascii=False).encode()
        return web.Response(body=text, headers={"Content-Type": "text/plain; charset=rot13"})

    [reply], _ = ask(Peculiar(odd), Request(TURNS))
    assert reply.texts == ("Rye 🍞",)


@pytest.mark.parametrize(
    "models",
    [{"data": ["m"]}, ["m"], {"data": [{"id": "m"}, {"id": None}, 3]}, {"data": None}, {"data": [{"id": "*"}]}, 7],
)
def test_a_list_of_models_may_have_any_form(models: Any) -> None:
    [reply], _ = ask(Peculiar(lambda body: None), Request(TURNS), models=models)
    assert reply.texts == ("Fine zz and more.",)


def test_a_name_that_a_server_has_as_a_pattern_is_known() -> None:
    listed = {"data": [{"id": "openai/*"}, {"id": "acme/one"}]}
    ask(Peculiar(lambda body: None), Request(TURNS), models=listed, model="openai/some")
    with pytest.raises(UserError, match=r'has no model "acme/two"; it has: openai/\*, acme/one'):
        ask(Peculiar(lambda body: None), Request(TURNS), models=listed, model="acme/two")


def test_a_base_url_without_its_end_is_told() -> None:
    async def scene() -> None:
        async with running(Peculiar(lambda body: None)) as url:
            base = url.removesuffix("/v1")
            async with Endpoint((base,), "m", ModelSpec("judge", endpoints=(base,), model="m")):
                pass

    with pytest.raises(UserError, match=r"is not the base URL of the server's API; name http://127.0.0.1:\d+/v1"):
        asyncio.run(scene())


def test_a_score_asked_of_a_model_that_writes_is_a_sentence() -> None:
    with pytest.raises(UserError, match="m writes texts and gives no scores; name a reward model"):
        ask(Peculiar(lambda body: None), Request(TURNS, score=True))


def test_a_password_in_a_url_stands_in_no_sentence() -> None:
    spec = ModelSpec("judge", endpoints=("http://me:secret@127.0.0.1:9/v1",), model="m")

    async def scene() -> None:
        async with Endpoint(spec.endpoints, "m", spec):
            pass

    with pytest.raises(UserError, match=r"http://127.0.0.1:9/v1 does not answer") as error:
        asyncio.run(scene())
    assert "secret" not in str(error.value)


def test_a_thought_stands_closed_before_the_forced_beginning_under_both_names_that_vllm_has_for_it() -> None:
    _, body = Vllm().body("m", replace(VERDICT, thought="One is kinder."))
    thought = {"reasoning": "One is kinder.", "reasoning_content": "One is kinder."}
    assert body["messages"][-1] == {"role": "assistant", "content": "The answer is: (", **thought}
    assert body["continue_final_message"] is True
    _, plain = Vllm().body("m", VERDICT)
    assert plain["messages"][-1] == {"role": "assistant", "content": "The answer is: ("}


def test_what_goes_on_from_a_closed_thought_is_no_thought_whatever_a_server_s_parser_takes_it_for() -> None:
    rare = [{"token": "Hello", "logprob": -0.01}, *RARE[1:]]
    choice = {
        "message": {"content": None, "reasoning_content": "Hello"},
        "logprobs": {"content": [{"top_logprobs": rare}]},
    }
    server = Peculiar(lambda body: {"choices": [{**choice, "finish_reason": "length"}]})
    [reply], _ = ask(server, VERDICT, models={"data": [{"id": "m", "owned_by": "vllm"}]})
    assert server.rows[0]["continue_final_message"]
    assert set(reply.choice_logprobs) == {"A", "B"}


@pytest.mark.parametrize("shows", [True, False])
def test_a_chat_template_that_leaves_system_messages_out_is_noticed(shows: bool) -> None:
    """No server says so: it only counts as many tokens for a wordier one."""

    def counted(body: dict[str, Any]) -> dict[str, Any]:
        said = [each["content"] for each in body["messages"] if shows or each["role"] != "system"]
        return {**answer(body), "usage": {"prompt_tokens": len(" ".join(said).split()), "completion_tokens": 1}}

    server = Peculiar(counted)
    _, notes = ask(server, ASKED, ASKED, models={"data": [{"id": "m", "owned_by": "vllm"}]})
    assert [each["role"] for each in server.rows[-1]["messages"]] == (["system", "user"] if shows else ["user"])
    assert server.rows[-1]["messages"][-1]["content"].startswith("Row?" if shows else "Be kind.\n\nRow?")
    assert notes == (
        []
        if shows
        else ["m: its chat template leaves system messages out, so that they stand before the words of the first turn"]
    )
    assert len(server.probes) == (2 if shows else 3)


def test_a_server_that_leaves_the_forced_beginning_out_is_known_by_its_first_token() -> None:
    """vLLM writes gpt-oss's conversation itself, in which an answer begins with its channel."""
    top = [{"token": "<|channel|>", "logprob": -0.0}, {"token": "A", "logprob": -17.0}]
    choice = {"message": {"content": None}, "logprobs": {"content": [{"top_logprobs": top}]}, "finish_reason": "length"}
    with pytest.raises(UserError, match="thinks before it answers"):
        ask(Peculiar(lambda body: {"choices": [choice]}), VERDICT, models={"data": [{"id": "m", "owned_by": "vllm"}]})
