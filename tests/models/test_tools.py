"""A model is shown the tools of a conversation, and answers in words."""

import json
from typing import Any

import pytest
from test_probe import Peculiar, answer, ask

from cai.models.anthropic import Anthropic
from cai.models.templates import ChatTemplate
from cai.models.types import Request

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
TALK = (
    {"role": "tools", "content": json.dumps([WEATHER])},
    {"role": "user", "content": "Row: rain in Oslo?"},
    {"role": "assistant", "content": "", "tool_calls": json.dumps([CALL])},
    {"role": "tool", "content": "rain", "tool_call_id": "c1", "name": "weather"},
)


def test_a_server_is_sent_them_in_its_own_form() -> None:
    server = Peculiar(answer)
    ask(server, Request(TALK))
    [row] = server.rows
    assert row["tools"] == [WEATHER]
    assert row["tool_choice"] == "none"
    assert [each["role"] for each in row["messages"]] == ["user", "assistant", "tool"]
    assert row["messages"][1]["tool_calls"] == [CALL]
    [probe] = server.probes
    assert probe["tools"], "before the first row it is asked whether it takes tools"
    assert "tools" not in json.dumps(probe["messages"])


@pytest.mark.parametrize(
    ("text", "finish"),
    [('<tool_call>\n{"name": "weather"}\n</tool_call>', "tool_calls"), ("Yes, <tool_call> says so.", "stop")],
)
def test_a_call_that_is_written_is_no_answer(text: str, finish: str) -> None:
    [reply], _ = ask(Peculiar(lambda body: answer(body, text)), Request(TALK))
    assert reply.finishes == (finish,)
    [plain], _ = ask(Peculiar(lambda body: answer(body, text)), Request(TALK[1:2]))
    assert plain.finishes == ("stop",)


def test_anthropic_is_sent_blocks() -> None:
    _, body = Anthropic().body("m", Request(({"role": "system", "content": "Be brief."}, *TALK[1:])))
    assert "tools" not in body
    _, body = Anthropic().body("m", Request(TALK))
    assert body["tools"] == [{"name": "weather", "description": "", "input_schema": WEATHER["function"]["parameters"]}]  # type: ignore[index]
    assert body["tool_choice"] == {"type": "none"}
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "rain"}]},
    ]


class Tokenizer:
    """Notes what a chat template is given."""

    def apply_chat_template(self, messages: list[dict[str, Any]], tools: Any = None, **_: Any) -> str:
        return json.dumps({"messages": messages, "tools": tools})


def test_a_template_is_given_arguments_as_objects() -> None:
    given = json.loads(ChatTemplate(Tokenizer()).whole(TALK))  # pyright: ignore[reportArgumentType]
    assert given["tools"] == [WEATHER]
    assert given["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}
    assert json.loads(ChatTemplate(Tokenizer()).whole(TALK[1:2]))["tools"] is None  # pyright: ignore[reportArgumentType]
