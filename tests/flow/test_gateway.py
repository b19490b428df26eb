"""Models that are up, asked by HTTP as a program of others would ask them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from cai.errors import RowError, RunError, UserError
from cai.flow.ask import Ask
from cai.flow.gateway import Gateway, serve
from cai.flow.purse import Purse
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Request
from cai.store.spending import Spending
from constitution.load import load
from constitution.shipped import find

BODY = {"model": "policy", "messages": [{"role": "user", "content": "Is rye sour?"}]}
Asked = tuple[int, dict[str, Any]]


def gateway(answer: Callable[[Request], str], purse: Purse | None = None) -> Gateway:
    file = find("principles/harmless.yaml")
    assert file
    ask = Ask(Scripted(answer), Slots(2), load(file), "", Random(0), stage="marks", role="policy", purse=purse)
    return Gateway({"policy": ask}, 50)


def asked(gate: Gateway, *bodies: Any, key: str = "", path: str = "/chat/completions") -> list[Asked]:
    """What the server answers to bodies that are posted at once."""

    async def post(http: aiohttp.ClientSession, body: Any) -> Asked:
        headers = {"Authorization": f"Bearer {key or gate.key}"}
        async with http.post(f"{gate.url}{path}", json=body, headers=headers) as response:
            return response.status, await response.json()

    async def all_of_them() -> list[Asked]:
        async with serve(gate), aiohttp.ClientSession() as http:
            answers: list[Awaitable[Asked]] = [post(http, body) for body in bodies]
            return await asyncio.gather(*answers)

    return asyncio.run(all_of_them())


def test_a_program_is_answered_and_what_it_used_is_the_run_s(tmp_path: Path) -> None:
    purse, told = Purse(Spending(tmp_path / "spent.jsonl")), list[Any]()
    gate = gateway(lambda request: f"It is, {request.max_tokens} tokens long.", purse)
    gate.on_reply = told.append
    [(status, page), _] = asked(gate, BODY, BODY)
    assert status == 200 and page["choices"][0]["message"]["content"] == "It is, 50 tokens long."
    assert gate.asked == {"policy": 2} and gate.tokens == [6, 0, 10] and len(told) == 2
    assert purse.spending.of("marks")["policy"].tokens == [6, 0, 10]


def test_nobody_else_on_the_machine_is_answered() -> None:
    gate = gateway(lambda request: "It is.")
    [(status, page)] = asked(gate, BODY, key="guessed")
    assert status == 401 and gate.asked == {} and gate.key not in str(page)


def test_a_request_that_cannot_be_asked_is_refused_and_counted() -> None:
    gate = gateway(lambda request: "It is.")
    answers = asked(gate, {**BODY, "model": "big"}, {**BODY, "tools": [{"type": "function"}]}, [])
    assert [status for status, _ in answers] == [400, 400, 400]
    assert "there are: policy" in answers[0][1]["error"]["message"] and '"tools"' in answers[1][1]["error"]["message"]
    assert gate.refused == {"unfit_request": 3} and gate.error is None


def test_what_a_model_refuses_is_told_in_openai_s_words() -> None:
    def answer(request: Request) -> str:
        raise RowError("context_too_long", "8,000 of 4,096 tokens")

    gate = gateway(answer)
    [(status, page)] = asked(gate, BODY)
    assert (status, page["error"]["code"]) == (400, "context_length_exceeded")
    assert gate.refused == {"context_too_long": 1} and gate.error is None


@pytest.mark.parametrize("kind", [RunError, UserError, ZeroDivisionError])
def test_what_stops_a_run_is_kept_for_it(kind: type[Exception]) -> None:
    def answer(request: Request) -> str:
        raise kind("the budget is spent")

    gate = gateway(answer)
    [(status, _)] = asked(gate, BODY)
    assert status == 403 and isinstance(gate.error, kind) and str(gate.error) == "the budget is spent"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{", "application/json"),
        ("7", "application/json"),
        ("[1]", "application/json"),
        pytest.param("[" * 100_000, "application/json", id="deep"),
        ("{}", "application/json; charset=nothing"),
        ('{"model": []}', "application/json"),
        ('{"model": "policy", "messages": [{"role": {}, "content": "a"}]}', "application/json"),
    ],
)
def test_what_is_no_body_is_no_traceback(body: str, kind: str) -> None:
    gate = gateway(lambda request: "It is.")

    async def post() -> int:
        headers = {"Authorization": f"Bearer {gate.key}", "Content-Type": kind}
        async with serve(gate), aiohttp.ClientSession() as http:
            return (await http.post(f"{gate.url}/chat/completions", data=body, headers=headers)).status

    assert asyncio.run(post()) == 400
