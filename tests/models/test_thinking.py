"""A model that thinks: whether and for how long is the role's to say, and what it thought is no part of its answer."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_probe import Peculiar, answer, ask, refused, running

from cai.models import launch, reasoning
from cai.models.endpoint import Endpoint
from cai.models.forcing import BUDGET, close_thoughts
from cai.models.roles import for_role
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request, Sample
from cai.models.verdicts import gives_logprobs, thinks

TURNS = ({"role": "user", "content": "Row?"},)
LISTED_BY_VLLM = {"data": [{"id": "m", "owned_by": "vllm"}]}


def thinker(body: dict[str, Any]) -> Any:
    """Thinks a word for each token that it is given beyond eight, and answers if it may say more than that."""
    last = body["messages"][-1]
    made = answer(body, "Rye rises slowly.")
    if last["role"] == "assistant":  # it goes on from what it is said to have begun
        return made
    thought = " ".join(["hm"] * 40)
    budget = body.get("max_tokens", 0) - 8
    cut = budget < 40
    made["choices"][0]["message"]["reasoning"] = " ".join(["hm"] * budget) if cut else thought
    if cut:
        made["choices"][0] |= {"message": {**made["choices"][0]["message"], "content": None}, "finish_reason": "length"}
    return made


def asked(server: Peculiar, models: Any = None, **keys: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The reply to one row, and what was sent for it."""
    [reply], _ = ask(server, Request(TURNS, max_tokens=8, seed=3), models=models, **keys)
    return reply, server.rows


def test_a_thought_is_given_tokens_of_its_own_by_itself_where_a_model_was_seen_to_think() -> None:
    reply, [row] = asked(Peculiar(thinker))
    assert row["max_tokens"] == 8 + BUDGET
    assert reply.texts == ("Rye rises slowly.",)
    assert reply.thinking[0].split() == ["hm"] * 40
    assert reply.counts == {"thoughts": 1}


def counted(texts: list[str], out: int, thought: str = "", reasoning: int = 0) -> Callable[[dict[str, Any]], Any]:
    """Answers with these texts, so many tokens in all, those of the thought among them."""

    def says(body: dict[str, Any]) -> Any:
        made = answer(body)
        for choice, text in zip(made["choices"], texts, strict=False):
            choice["message"] |= {"content": text, "reasoning": thought}
        return {
            **made,
            "usage": {"completion_tokens": out, "completion_tokens_details": {"reasoning_tokens": reasoning}},
        }

    return says


LONG = " ".join(["rye"] * 40)


@pytest.mark.parametrize(
    ("server", "finishes"),
    [
        (counted([LONG], 40), ("length",)),
        (counted(["Rye."], 8), ("stop",)),
        (counted(["Rye."], 500), ("stop",)),  # a thought that the server keeps to itself, and does not count
        (counted([LONG, "Rye."], 44), ("length", "stop")),
        (counted([LONG], 60, "Hm.", 20), ("length",)),
        (counted([LONG], 60, "Hm.", 52), ("stop",)),
        (counted([LONG], 60, "Hm."), ("stop",)),  # of which nobody knows how many were the thought's
    ],
)
def test_an_answer_takes_no_tokens_that_are_its_thought_s(
    server: Callable[[dict[str, Any]], Any], finishes: tuple[str, ...]
) -> None:
    [reply], _ = ask(Peculiar(server), Request(TURNS, max_tokens=8, n=len(finishes)), thinking={"budget": 500})
    assert reply.finishes == finishes
    assert reply.counts.get("over_max_tokens", 0) == finishes.count("length")


def test_without_a_budget_a_server_keeps_the_limit_itself() -> None:
    [reply], _ = ask(Peculiar(counted([LONG], 40)), Request(TURNS, max_tokens=8))
    assert (reply.finishes, reply.counts) == (("stop",), {})


@pytest.mark.parametrize("row", [{"id": "m", "root": "openai/gpt-oss-20b"}, {"id": "m", "root": "/models/qwen3"}])
def test_what_gpt_oss_thinks_when_it_should_go_on_is_no_answer(row: dict[str, str]) -> None:
    """vLLM leaves out the beginning that gpt-oss is to go on from, and it thinks once more."""

    def again(body: dict[str, Any]) -> Any:
        made = thinker({**body, "messages": TURNS, "max_tokens": 8})
        made["choices"][0]["message"]["reasoning"] = "hm hm"
        return made

    listed = {"data": [{**row, "owned_by": "vllm"}]}
    reply, rows = asked(Peculiar(again), models=listed, thinking={"budget": 10})
    if "gpt-oss" in row["root"]:
        assert (len(rows), reply.texts, reply.finishes) == (1, ("",), ("thinking",))
    else:  # a parser that saw no thought closed takes an answer for one
        assert (len(rows), reply.texts, reply.finishes) == (2, ("hm hm",), ("length",))


def test_a_stop_ends_an_answer_and_no_thought() -> None:
    [reply], _ = ask(server := Peculiar(thinker), Request(TURNS, max_tokens=8, stop=("hm", "slow")), thinking="on")
    assert "stop" not in server.rows[0]
    assert (reply.texts, reply.finishes) == (("Rye rises ",), ("stop",))
    assert reply.thinking[0].split() == ["hm"] * 40


def test_a_role_s_own_length_bounds_what_a_thought_is_given_by_itself() -> None:
    _, [row] = asked(Peculiar(thinker), max_len=1024)
    assert row["max_tokens"] == 8 + 512


def test_so_does_the_length_that_a_server_tells() -> None:
    listed = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 600}]}
    _, [row, *_] = asked(Peculiar(thinker), models=listed)
    assert row["max_tokens"] == 8 + 300


def test_a_model_that_does_not_think_is_given_none() -> None:
    _, [row] = asked(Peculiar(answer))
    assert row["max_tokens"] == 8


@pytest.mark.parametrize(
    "own",
    [
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template_kwargs": {"thinking": False}},
        {"reasoning_effort": "none"},
        {"reasoning": {"enabled": False}},
        {"thinking": {"type": "disabled"}},
        {"think": False},
    ],
)
def test_a_role_whose_own_body_switches_thinking_off_is_given_no_tokens_for_it(own: dict[str, Any]) -> None:
    """Though the model thinks, as another role of the same server showed, or its parser."""

    async def scene() -> list[bool]:
        async with running(server, None) as url:
            spec = ModelSpec("policy", endpoints=(url,), model="m", extra_body=own)
            async with Endpoint(spec.endpoints, spec.model, spec) as model:
                roles = [for_role(model, replace(spec, role="critic", extra_body={})), for_role(model, spec)]
                for role in roles:
                    await role.ask(Request(TURNS, max_tokens=8), "row")
                return [thinks(role) for role in roles]

    server = Peculiar(thinker)
    assert asyncio.run(scene()) == [True, False]
    critic, policy = server.rows
    assert (critic["max_tokens"], policy["max_tokens"]) == (8 + BUDGET, 8)
    assert {key: policy[key] for key in own} == own
    assert not {"reasoning_effort", "thinking_token_budget", "chat_template_kwargs"} - own.keys() & policy.keys()


def test_what_a_role_s_own_body_says_decides_whether_its_verdicts_can_be_read() -> None:
    """Of two roles of one server that differ in the value of a key alone, one thinks first and the other does not."""

    def sometimes(body: dict[str, Any]) -> Any:
        made = answer(body)
        if body.get("logprobs") and body["mood"] == "pensive":
            message = {"role": "assistant", "content": None, "reasoning": "Hm"}
            made["choices"][0] |= {"message": message, "logprobs": {"content": [{"token": "Hm", "top_logprobs": []}]}}
        return made

    async def scene() -> list[bool]:
        async with running(Peculiar(sometimes), None) as url:
            spec = ModelSpec("judge", endpoints=(url,), model="m")
            async with Endpoint(spec.endpoints, spec.model, spec) as model:
                moods = [replace(spec, extra_body={"mood": mood}) for mood in ("pensive", "brisk")]
                verdict = Request(TURNS, choices=("A", "B"), begin="The answer is: (", temperature=0.0)
                return [await gives_logprobs(for_role(model, each), verdict) for each in moods]

    assert asyncio.run(scene()) == [False, True]


def test_a_budget_bounds_the_thought_and_one_that_is_spent_is_closed() -> None:
    reply, rows = asked(Peculiar(thinker), models=LISTED_BY_VLLM, thinking={"budget": 10})
    first, second = rows
    assert first["max_tokens"] == 18
    assert second["max_tokens"] == 8
    assert second["continue_final_message"]
    assert second["messages"][-1]["content"] == f"<think>\n{' '.join(['hm'] * 10)}\n</think>\n\n"
    assert (reply.texts, reply.finishes) == (("Rye rises slowly.",), ("stop",))
    assert reply.thinking == (" ".join(["hm"] * 10),)
    assert reply.counts == {"thoughts": 1, "thoughts_closed": 1}


def test_where_nothing_can_be_gone_on_from_a_thought_that_is_cut_stays_so() -> None:
    reply, [_] = asked(Peculiar(thinker), thinking={"budget": 10})
    assert (reply.texts, reply.finishes) == (("",), ("thinking",))
    assert reply.counts["cut_while_thinking"] == 1


def test_a_template_that_takes_no_thought_in_what_is_begun_leaves_it_cut() -> None:
    def odd(body: dict[str, Any]) -> Any:
        begun = body["messages"][-1]["role"] == "assistant"
        return refused("the final message does not appear in the chat") if begun else thinker(body)

    reply, _ = asked(Peculiar(odd), models=LISTED_BY_VLLM, thinking={"budget": 10})
    assert reply.finishes == ("thinking",)


TEMPLATES = {
    "qwen3": ({"model_type": "qwen3"}, "{% if enable_thinking %}<think>\n\n</think>{% endif %}", "qwen3"),
    "qwen3 without thoughts": ({"model_type": "qwen3"}, "<|im_start|>", ""),
    "deepseek r1": (
        {"model_type": "deepseek_v3"},
        "<\uff5cAssistant\uff5c><think>\n{{ c.split('</think>')[-1] }}",
        "deepseek_r1",
    ),
    "deepseek v3.1": (
        {"model_type": "deepseek_v3"},
        "{% if thinking %}<think>{% else %}</think>{% endif %}",
        "deepseek_v3",
    ),
    "a distilled llama": (
        {"model_type": "llama"},
        "<\uff5cAssistant\uff5c>{{ c.split('</think>')[-1] }}",
        "deepseek_r1",
    ),
    "gpt-oss": ({"model_type": "gpt_oss"}, "<|channel|>analysis", "openai_gptoss"),
    "glm 5": ({"model_type": "glm_moe_dsa"}, "{% if enable_thinking %}<think></think>{% endif %}", "glm47"),
    "nemotron 3": ({"model_type": "nemotron_h"}, "{% if enable_thinking %}<think></think>{% endif %}", "nemotron_v3"),
    "an old nemotron": ({"model_type": "nemotron"}, "<extra_id_1>", ""),
    "seed": ({"model_type": "seed_oss"}, "<seed:think></seed:think>", "seed_oss"),
    "one of ours": ({"model_type": "llama"}, "<|im_start|>", ""),
    "a family that nobody knows": ({"model_type": "novel"}, "<think></think> enable_thinking", ""),
    "a damaged config": ("{", "<think></think>", ""),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_server_of_ours_is_told_the_parser_that_the_model_s_folder_tells(tmp_path: Path, name: str) -> None:
    import json

    config, template, parser = TEMPLATES[name]
    (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    (tmp_path / "chat_template.jinja").write_text(template)
    assert reasoning.parser(tmp_path) == parser
    (tmp_path / "chat_template.jinja").unlink()
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": [{"name": "default", "template": template}]})
    )
    assert reasoning.parser_of(str(tmp_path)) == parser


def test_every_parser_that_is_named_is_one_of_vllm_s() -> None:
    vllm = pytest.importorskip("importlib.util").find_spec("vllm")
    if vllm is None or not vllm.origin:
        pytest.skip("vLLM is not installed")
    known = (Path(vllm.origin).parent / "reasoning" / "__init__.py").read_text()
    assert all(f'"{name}"' in known for _, name in reasoning.FAMILIES)


def test_the_parser_reaches_the_command_line() -> None:
    line = launch.command(ModelSpec("policy", vllm="some/model"), "some/model", 8000, False, "qwen3")
    assert line[line.index("--reasoning-parser") + 1] == "qwen3"
    assert "--reasoning-parser" not in launch.command(ModelSpec("policy", vllm="some/model"), "m", 8000, False)


def test_how_a_role_thinks_decides_its_rows_and_no_server() -> None:
    plain = ModelSpec("policy", endpoints=("http://a",), model="m")
    assert replace(plain, thinking="off").identity() != plain.identity()
    assert replace(plain, thinking="off").same_server(plain)
    assert "thinking" not in plain.identity()


@pytest.mark.parametrize(
    ("tags", "begin"),
    [
        (reasoning.tags("gemma4"), "<|channel>thought\none\n<channel|>\n\n"),
        (reasoning.tags("qwen3"), "<think>\none\n</think>\n\n"),
        (("", "</think>"), "\none\n</think>\n\n"),
    ],
)
def test_a_thought_that_is_closed_stands_in_its_tags_as_the_family_writes_them(
    tags: tuple[str, str], begin: str
) -> None:
    begun: list[str] = []

    async def go_on(request: Request) -> Reply:
        begun.append(request.begin)
        return Reply((Sample("It is."),))

    cut = Reply((Sample("", "one", "thinking"),))
    assert asyncio.run(close_thoughts(cut, Request(TURNS), tags, go_on)).texts == ("It is.",)
    assert begun == [begin]
