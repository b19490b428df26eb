"""The log-probabilities of an answer that is given: as vLLM's servers tell them, and who cannot."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cai.flow.ask import Ask
from cai.flow.ask import generator as draws
from cai.flow.live import Live, RowStage
from cai.flow.rehearsal import rehearse
from cai.judge.cases import Case
from cai.judge.likelihood import Likelihood, likelihoods
from cai.judge.verification import Exam, Sitting, sit
from cai.models.anthropic import Anthropic
from cai.models.concurrency import Slots
from cai.models.dialect import OpenAI, Vllm
from cai.models.endpoint import Endpoint
from cai.models.replies import Unreadable
from cai.models.spec import ModelSpec
from cai.models.token_logprobs import NoLikelihoods
from cai.models.types import Model, Request
from cai.store.stage import Stage
from constitution.load import load

ASKED = ({"role": "user", "content": "What is the capital of France?"},)
GIVEN = Request(ASKED, max_tokens=1, begin="Paris", likelihood=True)
CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
PLACES = [None, {"5": {"logprob": -0.5, "rank": 1}}, {"6": {"logprob": -1.5}, "9": {"logprob": -0.1}}]
CHAT = {"choices": [{"index": 0, "message": {"content": "."}, "finish_reason": "length"}], "model": "m"}
ANSWER = {**CHAT, "prompt_token_ids": [4, 5, 6], "prompt_logprobs": PLACES}


def ask(model: Model) -> Ask:
    return Ask(model, Slots(2), CONSTITUTION, "row", draws(0, "test", "row"))


def test_vllm_is_asked_for_the_log_probabilities_of_what_it_is_given() -> None:
    path, body = Vllm().body("m", GIVEN)
    assert (path, body["prompt_logprobs"], body["return_token_ids"], body["max_tokens"]) == (
        "chat/completions",
        0,
        True,
        1,
    )
    assert body["continue_final_message"] is True
    assert body["messages"] == [*ASKED, {"role": "assistant", "content": "Paris"}]


def test_each_token_has_its_own_log_probability_also_where_others_were_likelier() -> None:
    reply = Vllm().reply(ANSWER, GIVEN)
    assert (reply.tokens, reply.logprobs) == ((4, 5, 6), (-0.5, -1.5))
    inner = {"prompt_token_ids": [4, 5, 6], "prompt_logprobs": PLACES}
    completion = {"choices": [{"index": 0, "text": ".", "finish_reason": "length", **inner}]}
    assert Vllm().reply(completion, GIVEN).logprobs == (-0.5, -1.5)


@pytest.mark.parametrize(
    "odd",
    [
        {"prompt_token_ids": [4, 5]},
        {"prompt_token_ids": None},
        {"prompt_token_ids": [4, "5", 6]},
        {"prompt_logprobs": [None, {"5": {"logprob": "x"}}, {"6": {"logprob": -1.0}}]},
        {"prompt_logprobs": [None, {"7": {"logprob": -1.0}}, {"6": {"logprob": -1.0}}]},
        {"prompt_logprobs": [None, None, {"6": {"logprob": float("nan")}}]},
    ],
)
def test_what_is_not_of_vllm_s_form_is_never_a_number(odd: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        Vllm().reply({**ANSWER, **odd}, GIVEN)


def test_who_leaves_them_out_gives_none() -> None:
    with pytest.raises(NoLikelihoods):
        Vllm().reply({**ANSWER, "prompt_logprobs": None}, GIVEN)


@pytest.mark.parametrize("dialect", [OpenAI, Anthropic])
def test_other_servers_have_no_such_thing(dialect: Callable[[], OpenAI]) -> None:
    with pytest.raises(NoLikelihoods, match="gpt gives no log-probabilities of an answer that it is given; vLLM's"):
        dialect().body("gpt", GIVEN)


def served(owner: str, work: Callable[[Endpoint], Any], refuses: bool = False) -> Any:
    """What comes of work with a little server, of vLLM's or another's, whose tokens are words."""

    async def chat(request: web.Request) -> web.Response:
        body = await request.json()
        if refuses and "prompt_logprobs" in body:
            words = {"error": {"message": "prompt_logprobs are switched off here", "type": "BadRequestError"}}
            return web.json_response(words, status=400)
        begun = body["messages"][-1]["content"].split() if body["messages"][-1]["role"] == "assistant" else []
        ids = [1, 2, 3, *(len(word) for word in begun)]
        places = [None, *({str(each): {"logprob": -float(each)}} for each in ids[1:])]
        return web.json_response({**CHAT, "prompt_token_ids": ids, "prompt_logprobs": places})

    async def well(request: web.Request) -> web.Response:
        return web.Response()

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m", "owned_by": owner}]})

    async def scene() -> Any:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", chat), web.get("/v1/models", models)])
        app.add_routes([web.get("/health", well)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            async with Endpoint((url,), "m", ModelSpec("m", endpoints=(url,), model="m")) as model:
                return await work(model)
        finally:
            await runner.cleanup()

    return asyncio.run(scene())


def test_a_server_of_vllm_s_tells_the_answer_s_tokens_from_those_that_ask() -> None:
    found = served("vllm", lambda model: likelihoods(ASKED, ("aa bbbb", "ccc"), ask(model)))
    assert found == [Likelihood(-6.0, 2), Likelihood(-3.0, 1)]


@pytest.mark.parametrize(
    ("owner", "refuses", "words"), [("openai", False, "m gives no"), ("vllm", True, "switched off")]
)
def test_a_server_that_gives_none_is_known_by_the_first_request(owner: str, refuses: bool, words: str) -> None:
    with pytest.raises(NoLikelihoods, match=words):
        served(owner, lambda model: likelihoods(ASKED, ("aa",), ask(model)), refuses)


@pytest.mark.real
def test_a_real_server_and_this_process_find_an_answer_equally_likely(real_server: Any) -> None:
    from cai.models.local import Local

    answers = ("It is Paris.", "Nobody knows it, I am afraid.")
    theirs = real_server.wait(likelihoods(ASKED, answers, ask(real_server.served)))
    local = Local(ModelSpec("policy", local=str(real_server.model), dtype="float32"))
    ours = asyncio.run(likelihoods(ASKED, answers, ask(local)))
    assert [each.tokens for each in theirs] == [each.tokens for each in ours]
    assert [each.mean for each in theirs] == pytest.approx([each.mean for each in ours], abs=1e-3)


@pytest.mark.parametrize(("owner", "refuses"), [("openai", False), ("vllm", True)])
def test_an_exam_goes_on_with_answers_alone_where_a_server_gives_none(
    tmp_path: Path, owner: str, refuses: bool
) -> None:
    """Also in a run, which finds out before its first row what its servers take."""
    case = Case("c", ASKED, "Paris.", "Rome.", 1.0, 1, "example")

    async def do(row: Case, ask: Ask) -> list[Sitting]:
        return [await sit(row, Exam(), ask)]

    async def work(model: Endpoint) -> Sitting:
        stage = RowStage("verify", Stage(tmp_path), Case, do, ("m",))
        await rehearse([Live(stage, stage.folder, {"m": (model, Slots(1))}, CONSTITUTION, 0)], [case])
        return await sit(case, Exam(), ask(model))

    found = served(owner, work, refuses)
    assert (found.ways, found.draft.text) == (("answer",), ".")
    assert "its answers alone are looked at" in found.note
