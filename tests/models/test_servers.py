"""Exchanges with the servers that people have: what each is sent, and what its answers, its counts and its errors become."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from exchanges.forms import (
    ALL,
    BUSY,
    CALL,
    FUNCTION,
    LETTERS,
    OFF,
    ON,
    PASSING,
    PLAIN,
    TOKENS,
    TURNS,
    USE,
    Body,
    Server,
    Wrong,
    answered,
    binds,
    blocks,
    chat,
    claude,
    told,
)
from servers import SERVERS, running

import cai.models.probe as probe
import cai.models.retries as retries
from cai.errors import CaiError, RowError
from cai.flow.ask import Ask
from cai.models.anthropic import VERSION
from cai.models.concurrency import Slots
from cai.models.endpoint import Endpoint
from cai.models.refusals import refusal
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from cai.models.transport import Page
from cai.models.types import Reply, Request
from cai.stages.label import Label, label
from cai.store.rows import Draft, Pair
from cai.store.votes import Vote
from constitution.load import load

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
BEGIN = "The answer is: ("


@dataclass
class Exchange:
    """What rows were answered, the bodies that they were asked with, and what a person was told."""

    replies: list[Reply] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def session(
    server: Server, page: Callable[[Body], Body | Wrong], work: Callable[[Endpoint], Awaitable[None]]
) -> Exchange:
    """What is done with a server that answers so, as far as it takes what it is asked; its replies are left to who does it."""
    done = Exchange()

    def answer(body: Body) -> web.Response:
        if "Row" in json.dumps(body["messages"]):
            done.bodies.append(body)
        data = server.refuses(body) or page(body)
        return web.json_response(data[1], status=data[0]) if isinstance(data, tuple) else web.json_response(data)

    async def scene() -> None:
        async with running(server, answer) as (url, asked):
            spec = ModelSpec("judge", endpoints=(url,), model=server.name, patience=0.05, timeout=5.0)
            async with Endpoint(spec.endpoints, spec.model, spec) as model:
                model.say = lambda note: done.notes.append(note.partition(": ")[2])
                await work(model)
            if server.path == "/v1/messages":
                assert {each.headers["anthropic-version"] for each in asked} == {VERSION}

    asyncio.run(scene())
    return done


def exchanged(
    server: Server, *requests: Request, wrong: Callable[[bool], Wrong | None] = lambda row: None, once: bool = False
) -> Exchange:
    """Ask a server, which is first asked what is harmless.

    Args:
        wrong: an error that it answers to a row, or to what is harmless.
        once: whether each row is one exchange, whatever its answer.
    """
    replies: list[Reply] = []

    async def work(model: Endpoint) -> None:
        for number, request in enumerate(requests):
            await model.prepare(request)
            replies.append(await (model.once(request) if once else model.ask(request, f"row {number}")))

    done = session(server, lambda body: wrong("Row" in json.dumps(body["messages"])) or server.answer, work)
    return replace(done, replies=replies)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_backoff", lambda _: 0.001)
    monkeypatch.setattr(probe, "WAIT_SECONDS", 0.001)


@pytest.mark.parametrize("name", SERVERS)
def test_an_answer_becomes_what_it_says(name: str) -> None:
    server = SERVERS[name]
    [reply] = exchanged(server, PLAIN, once=True).replies
    assert {key: getattr(reply, key) for key in server.reply} == server.reply


@pytest.mark.parametrize("name", [name for name, server in SERVERS.items() if server.sent])
def test_thinking_is_switched_as_the_server_takes_it(name: str) -> None:
    server = SERVERS[name]
    done = exchanged(server, *(request for request, _ in server.sent), once=True)
    for body, (_, sent) in zip(done.bodies, server.sent, strict=True):
        assert {key: body.get(key) for key in sent} == sent
    assert done.notes == list(server.notes)


ERRORS = [
    pytest.param(server, wrong, whose, id=f"{name}, {wrong[0]} {whose}")
    for name, server in SERVERS.items()
    for wrong, whose in server.errors
]


@pytest.mark.parametrize(("server", "wrong", "whose"), ERRORS)
def test_an_error_is_its_owner_s(server: Server, wrong: Wrong, whose: str) -> None:
    owner, _, words = whose.partition(": ")
    if owner in (BUSY, PASSING):
        with pytest.raises(CaiError) as error:
            exchanged(server, PLAIN, wrong=lambda row: wrong)
        assert ("too busy" in str(error.value)) == (owner == BUSY)
    elif owner == ALL:
        with pytest.raises(CaiError, match=f"refuses .*{words}"):
            exchanged(server, PLAIN, wrong=lambda row: wrong)
    else:
        with pytest.raises(RowError) as row_error:
            exchanged(server, PLAIN, wrong=lambda row: wrong if row else None)
        assert row_error.value.reason == owner


def with_end(answer: Body, word: str) -> Body:
    """The same answer, ended otherwise."""
    if "stop_reason" in answer:
        return {**answer, "stop_reason": word}
    return {**answer, "choices": [{**answer["choices"][0], "finish_reason": word}]}


@pytest.mark.parametrize("name", [name for name, server in SERVERS.items() if server.ends])
def test_an_end_is_known_by_the_server_s_word_for_it(name: str) -> None:
    server, finishes = SERVERS[name], list[str]()
    words = iter(server.ends)

    async def work(model: Endpoint) -> None:
        await model.prepare(PLAIN)
        for _ in server.ends:
            finishes.extend((await model.once(PLAIN)).finishes)

    def page(body: Body) -> Body:
        return with_end(server.answer, next(words)) if "Row" in json.dumps(body["messages"]) else server.answer

    session(server, page, work)
    assert dict(zip(server.ends, finishes, strict=True)) == server.ends


def with_verdict(answer: Body) -> Body:
    return json.loads(json.dumps(answer).replace("Yes.", "It is kinder.\\nThe answer is: (A)"))


async def votes_of(model: Endpoint, counts: Counter[str] | None = None, **want: Any) -> list[Vote]:
    """Its votes on a pair in one order, of two samples where they are sampled."""
    await model.prepare(PLAIN)  # so that it is known whether it thinks
    drafts = (Draft(text, "m", "stop", 1) for text in ("Kind words.", "Rude words."))
    row = Pair("p/0", "p", ({"role": "user", "content": "Row: how do I get in?"},), *drafts, "redteam")
    ask = Ask(model, Slots(4), CONSTITUTION, row.id, Random(0))
    settings = {"method": "logprob", "orders": "one", "both_share": 0, "verdicts": 2, **want}
    made = await label(row, Label(model="judge", **settings), ask)
    assert isinstance(made, list)
    if counts is not None:
        counts.update(ask.counts)
    return [vote for each in made for vote in each.votes]


@pytest.mark.parametrize("name", SERVERS)
def test_a_verdict_is_read_as_the_server_gives_it(name: str) -> None:
    server, votes = SERVERS[name], list[Vote]()

    async def work(model: Endpoint) -> None:
        votes.extend(await votes_of(model))

    def page(body: Body) -> Body:
        if body.get("logprobs") and server.likeliest:
            return answered(server, body)
        return server.judge or with_verdict(server.answer)

    done = session(server, page, work)
    [vote] = votes
    kind = "logprobs" if server.likeliest == LETTERS else "sampled"
    (_, a), (_, b) = LETTERS
    first = 1 / (1 + math.exp(b - a)) if kind == "logprobs" else 1.0
    assert (vote.kind, vote.p_a) == (kind, pytest.approx(first if vote.order == "ab" else 1 - first))
    forced = [body["messages"][-1] for body in done.bodies if body.get("continue_final_message")]
    if name.startswith("vLLM, with"):  # it goes on from a beginning, after the thought
        assert [(each["reasoning"].strip(), each["content"]) for each in forced][-1] == ("Rye is a cereal.", BEGIN)


WORDS = "The first one is kinder."


def without_verdict(server: Server) -> Body:
    """Its whole answer, whose last line says no verdict."""
    text = json.dumps(server.judge or server.answer).replace("Yes.", WORDS).replace("The answer is: (A)", WORDS)
    return with_end(json.loads(text), "stop")


@pytest.mark.parametrize("name", SERVERS)
def test_a_verdict_that_no_last_line_says_comes_in_the_server_s_structured_output(name: str) -> None:
    server, votes = SERVERS[name], list[Vote]()
    sent, answer = server.bound

    async def work(model: Endpoint) -> None:
        votes.extend(await votes_of(model, verdict="structured"))

    done = session(server, lambda body: answer if binds(body, sent) else without_verdict(server), work)
    [vote] = votes
    assert (vote.kind, vote.samples, vote.read, vote.structured) == ("structured", 2, 2, 2)
    assert (vote.p_a, vote.rationale) == (1.0 if vote.order == "ab" else 0.0, WORDS)
    body, _ = [each for each in done.bodies if binds(each, sent)]  # in both orders; both samples say the same
    *_, said, asked = [each for each in body["messages"] if each["role"] != "system"]
    assert said == {"role": "assistant", "content": WORDS}
    assert "A, B; or with None" in str(asked["content"])
    assert not any("structured output" in note for note in done.notes)


NO_VERDICTS: dict[str, tuple[str, Body, dict[str, int]]] = {
    "OpenAI refuses": (
        "OpenAI, GPT-5",
        chat({"content": None, "refusal": "I'm sorry, I can't assist with that."}, "stop", TOKENS),
        {"verdicts_refused": 2},
    ),
    "OpenAI filters": ("OpenAI, GPT-5", chat({"content": None}, "content_filter", TOKENS), {"verdicts_refused": 2}),
    "JSON that is cut off": ("Ollama", chat({"content": '{"verdict": "A'}, "length", TOKENS), {"verdicts_unread": 2}),
    "white space without end": ("SGLang", chat({"content": "{" + "\n" * 99}, "length", TOKENS), {"verdicts_unread": 2}),
    "a thought without end": (
        "OpenRouter",
        chat({"content": None, "reasoning": "Hm"}, "length", TOKENS),
        {"verdicts_unread": 2},
    ),
    "another word": ("llama.cpp", chat({"content": '{"verdict": "C"}'}, "stop", TOKENS), {"verdicts_unread": 2}),
    "none of them": ("LiteLLM", chat({"content": '{"verdict": "None"}'}, "stop", TOKENS), {"verdicts_undecided": 2}),
    "vLLM says none of them": (
        "vLLM, gpt-oss",
        chat({"content": "None"}, "stop", TOKENS),
        {"verdicts_undecided": 2},
    ),
    "Anthropic refuses": ("Anthropic, to Claude 4.5", blocks(end="refusal"), {"verdicts_refused": 2}),
    "Anthropic's limit": (
        "Anthropic, to Claude 4.5",
        blocks({"type": "text", "text": '{"ver'}, end="max_tokens"),
        {"verdicts_unread": 2},
    ),
    "too long for this row": (
        "Ollama",
        told("the input length exceeds the context length", "x", None),
        {"verdicts_unread": 2},
    ),
}


@pytest.mark.parametrize("what", NO_VERDICTS)
def test_a_judge_that_refuses_is_cut_off_or_comes_to_none_is_bound_to_no_verdict(what: str) -> None:
    name, answer, expected = NO_VERDICTS[what]
    server, votes, counts = SERVERS[name], list[Vote](), Counter[str]()
    sent, harmless = server.bound

    async def work(model: Endpoint) -> None:
        votes.extend(await votes_of(model, counts, verdict="structured"))

    def page(body: Body) -> Body | Wrong:
        if not binds(body, sent):
            return without_verdict(server)
        if "Row" not in json.dumps(body["messages"]):
            return harmless
        return (400, answer) if "error" in answer else answer

    session(server, page, work)
    [vote] = votes
    assert (vote.kind, vote.p_a, vote.read) == ("sampled", None, 0)
    assert {key: count for key, count in counts.items() if key in {*expected, "verdicts_structured"}} == expected
    assert counts["verdicts_sampled"] == 2


NO_SCHEMA = (
    400,
    told("This response_format type is unavailable now", "invalid_request_error", "invalid_request_error"),
)
OLD_CLAUDE = claude(400, "invalid_request_error", "'claude-3-5-haiku' does not support output format.")
OLD_GPT = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
NO_ENDPOINT = (404, {"error": {"code": 404, "message": "No endpoints found that can handle the requested parameters."}})
WORKED_AROUND: dict[str, tuple[str, str, Wrong | None, Body, Body]] = {
    "DeepSeek": ("OpenAI, GPT-5", "response_format", NO_SCHEMA, FUNCTION, chat(CALL, "tool_calls", TOKENS)),
    "an older GPT": (
        "OpenAI, GPT-5",
        "response_format",
        (400, told(OLD_GPT, "invalid_request_error", None)),
        FUNCTION,
        chat(CALL, "stop", TOKENS),
    ),
    "OpenRouter without such a provider": (
        "OpenRouter",
        "provider",
        NO_ENDPOINT,
        FUNCTION,
        chat(CALL, "tool_calls", TOKENS),
    ),
    "an older Claude": (
        "Anthropic, to Claude 4.5",
        "output_config",
        OLD_CLAUDE,
        USE,
        blocks({"type": "tool_use", "id": "t1", "name": "verdict", "input": {"verdict": "A"}}, end="tool_use"),
    ),
    "a server that keeps to none": ("llama.cpp", "response_format", None, {}, {}),
    "a server that takes none": (
        "SGLang",
        "response_format",
        (422, told("Extra inputs are not permitted", "x", 422)),
        {},
        {},
    ),
}


@pytest.mark.parametrize("what", WORKED_AROUND)
def test_a_server_that_refuses_a_schema_or_keeps_to_none_is_asked_otherwise_before_any_row(what: str) -> None:
    name, key, wrong, sent, answer = WORKED_AROUND[what]
    server, votes, rows = SERVERS[name], list[Vote](), list[Body]()

    async def work(model: Endpoint) -> None:
        votes.extend([*await votes_of(model), *await votes_of(model)])

    def page(body: Body) -> Body | Wrong:
        if "Row" in json.dumps(body["messages"]):
            rows.append(body)
        if wrong and (key in body or (not sent and body.get("tool_choice"))):
            return wrong
        return answer if sent and binds(body, sent) else without_verdict(server)

    done = session(server, page, work)
    expected = ("structured", 2) if sent else ("sampled", 0)
    assert {(vote.kind, vote.structured) for vote in votes} == {expected}
    assert not any(key in body and wrong for body in rows)
    told_once = [note for note in done.notes if "it takes no structured output" in note]
    assert len(told_once) == (not sent)


KINDS = (
    *("OpenAI", "vLLM, with", "vLLM, gpt-oss", "SGLang", "llama.cpp", "Ollama", "Gemini", "OpenRouter", "LiteLLM"),
    "Anthropic",
)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_server_has_exchanges_of_each_kind(kind: str) -> None:
    mine = [server for name, server in SERVERS.items() if name.startswith(kind)]
    assert any(server.reply.get("tokens_thought") for server in mine)
    for field_name in ("sent", "errors", "ends"):
        assert any(getattr(server, field_name) for server in mine), field_name


def test_credits_that_others_in_flight_may_need_are_waited_for() -> None:
    page = json.dumps(told("Insufficient credits", "x", 402, metadata={"limit_source": "openrouter_in_flight_budget"}))
    held = refusal(Page(402, page.encode(), after=2.0), ())
    assert isinstance(held, Transient)
    assert (held.busy, held.after) == (True, 2.0)


@pytest.mark.parametrize(
    "own", [{"reasoning_effort": "high"}, {"chat_template_kwargs": {"enable_thinking": True, "x": 1}}]
)
def test_a_role_s_own_body_wins(own: Body) -> None:
    """What it says of a chat template is joined, variable by variable."""
    [body] = exchanged(SERVERS["vLLM, with a parser of thoughts"], replace(OFF, more=own)).bodies
    merged = {"chat_template_kwargs": {"enable_thinking": True, "x": 1, "thinking": False}}
    expected = merged if "chat_template_kwargs" in own else {**own, "chat_template_kwargs": None}
    assert {key: body.get(key) for key in expected} == expected


def test_a_server_without_room_for_a_thought_beside_the_answer_is_asked_for_both_in_its_tokens() -> None:
    short = "max_tokens=2064 cannot be greater than max_model_len=2048"
    server = replace(
        SERVERS["vLLM, with a parser of thoughts"],
        refuses=lambda body: (
            (400, told(short, "BadRequestError", 400))
            if body.get("max_tokens", body.get("max_completion_tokens")) > 2048
            else None
        ),
    )
    done = exchanged(server, ON)
    assert (done.bodies[0]["max_tokens"], done.bodies[0]["thinking_token_budget"]) == (64, 2000)
    assert done.notes == ["it has no room for a thought beside the answer, so that both share the answer's tokens"]


def test_a_role_s_own_budget_widens_the_limit_as_well() -> None:
    own = {"thinking": {"type": "enabled", "budget_tokens": 3000}}
    [body] = exchanged(claude_of("Yes."), replace(ON, temperature=0.0, more=own)).bodies
    assert (body["thinking"], body["max_tokens"], body.get("temperature")) == (own["thinking"], 3064, None)


def claude_of(text: str) -> Server:
    server = SERVERS["Anthropic, to Claude 4.5"]
    return replace(server, answer={**server.answer, "content": [{"type": "text", "text": text}]})


def test_samples_of_a_server_that_gives_one_are_asked_one_by_one_and_read_from_its_cache() -> None:
    done = exchanged(claude_of("Yes."), replace(PLAIN, n=3, seed=5))
    assert done.replies[0].tokens_thought == 3 * 280
    assert done.replies[0].texts == ("Yes.",) * 3
    assert done.replies[0].counts == {"without_seed": 3}
    assert done.replies[0].tokens_cached == 3000
    assert [body["messages"][-1]["content"][0]["cache_control"] for body in done.bodies] == [{"type": "ephemeral"}] * 3
    assert "it takes no seed, so that its answers cannot be drawn again" in done.notes


def test_what_requests_share_is_marked_for_the_cache_and_what_one_row_alone_has_is_not() -> None:
    examples = [{"role": "user", "content": "An example"}, {"role": "assistant", "content": "Its critique"}]
    first = [
        Request((TURNS[0], *examples, {"role": "user", "content": f"Row {number}: critique it"})) for number in range(4)
    ]
    grown = [
        replace(
            each,
            messages=(
                *each.messages,
                {"role": "assistant", "content": "Hm."},
                {"role": "user", "content": "Row: revise it"},
            ),
        )
        for each in first
    ]
    bodies = exchanged(claude_of("Yes."), *first, *grown).bodies
    marked = [
        [place for place, turn in enumerate(body["messages"]) if isinstance(turn["content"], list)] for body in bodies
    ]
    assert marked[2:] == [[1]] * 6  # of the first two nobody knew yet
    alone = [Request((TURNS[0], {"role": "user", "content": f"Row {number}"})) for number in range(3)]
    systems = [body["system"] for body in exchanged(claude_of("Yes."), *alone).bodies]
    assert systems == ["Be kind."] * 2 + [
        [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
    ]


def test_a_verdict_asked_of_a_server_without_log_probabilities_is_counted_as_such() -> None:
    verdict = Request(TURNS, choices=("A", "B"), begin="The answer is: (", temperature=0.0)
    with pytest.raises(CaiError, match="gives no log-probabilities"):
        exchanged(claude_of("A"), verdict)


def test_which_api_is_spoken_says_the_role_the_url_or_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAI_TEST_KEY", "sk-1")
    seen: list[web.Request] = []

    async def scene(base: str, **keys: Any) -> tuple[str, ...]:
        server = claude_of("Yes.")
        async with running(server, lambda body: web.json_response(server.answer)) as (url, asked):
            url = url.removesuffix("/v1") + base
            spec = ModelSpec("judge", endpoints=(url,), model=server.name, api_key_env="CAI_TEST_KEY", **keys)
            async with Endpoint(spec.endpoints, spec.model, spec) as model:
                reply = await model.ask(PLAIN, "row")
            seen.extend(asked)
            return reply.texts

    for base, keys in (("", {"api": "anthropic"}), ("/v1/messages", {"api": "anthropic"}), ("/v1", {})):
        assert asyncio.run(scene(base, **keys)) == ("Yes.",)
    assert {each.headers.get("x-api-key") for each in seen} == {"sk-1"}
    assert not any("Authorization" in each.headers for each in seen)
    with pytest.raises(CaiError, match="404"):
        asyncio.run(scene("/v1", api="openai"))
    known = ModelSpec("judge", endpoints=("https://api.anthropic.com",), model="m")
    assert Endpoint(known.endpoints, "m", known).replicas[0].url == "https://api.anthropic.com/v1"


def usage(prompt: int, completion: int, total: int | None = None, **details: int) -> Body:
    """What a chat's answer says of its tokens: ``cached`` and ``thought`` as parts of them, where given."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    counts |= {} if total is None else {"total_tokens": total}
    counts |= {"prompt_tokens_details": {"cached_tokens": details["cached"]}} if "cached" in details else {}
    return counts | (
        {"completion_tokens_details": {"reasoning_tokens": details["thought"]}} if "thought" in details else {}
    )


USAGES: dict[str, tuple[Body, tuple[int, int, int, int]]] = {
    "DeepSeek": (usage(10, 9, 19, thought=5) | {"prompt_cache_hit_tokens": 8}, (10, 8, 9, 5)),
    "xAI, a thought beside": (usage(10, 4, 20, thought=6), (10, 0, 10, 6)),
    "a gateway before Gemini": (usage(21, 0, 81, thought=60), (21, 0, 60, 60)),
    "a thought beside, without a total": (usage(10, 4, thought=6), (10, 0, 10, 6)),
    "what was cached beside": (usage(10, 4, 22, cached=8), (18, 8, 4, 0)),
    "by the names of another API": (
        {"input_tokens": 10, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 8}}
        | {"output_tokens_details": {"reasoning_tokens": 5}},
        (10, 8, 9, 5),
    ),
    "a total that is less": (usage(10, 4, 4), (10, 0, 4, 0)),
    "nulls": (usage(10, 4) | {"completion_tokens_details": None, "prompt_tokens_details": None}, (10, 0, 4, 0)),
}


@pytest.mark.parametrize("name", USAGES)
def test_tokens_are_counted_whatever_their_names(name: str) -> None:
    usage, expected = USAGES[name]
    server = replace(SERVERS["Ollama"], answer=chat({"content": "Yes."}, "stop", usage))
    [reply] = exchanged(server, PLAIN, once=True).replies
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out, reply.tokens_thought) == expected


@pytest.mark.parametrize(
    ("message", "finish", "thought"),
    [
        ({"content": None}, "length", 40),
        ({"content": "<think>Rye is"}, "length", 40),
        ({"content": "Yes, it is.", "reasoning": "Bread: rye."}, "stop", 20),
        ({"content": "Yes."}, "length", 0),
        ({"content": ""}, "stop", 0),
    ],
)
def test_a_thought_that_is_not_counted_has_its_share(message: Body, finish: str, thought: int) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 40, "completion_tokens_details": {"reasoning_tokens": 0}}
    server = replace(SERVERS["Ollama"], answer=chat(message, finish, usage))
    assert exchanged(server, PLAIN, once=True).replies[0].tokens_thought == thought
