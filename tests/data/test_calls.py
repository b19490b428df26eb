"""Tools in the conversations of public sets: read whole, whatever the form, or left out with a reason."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cai.data.comparisons import comparisons
from cai.data.conversations import Unusable, read
from cai.data.questions import question
from cai.data.survey import survey
from constitution.tools import definitions, wire

WEATHER = {"name": "weather", "description": "Of a city.", "parameters": {"type": "object", "properties": {"city": {}}}}
QUESTION = {"role": "user", "content": "Rain in Oslo?"}
OPENAI = [
    QUESTION,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c9", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c9", "content": "rain"},
]
FORMS: Mapping[str, Any] = {
    "openai": OPENAI,
    "transformers": [
        QUESTION,
        {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
        {"role": "tool", "name": "weather", "content": "rain"},
    ],
    "openai of 2023": [
        QUESTION,
        {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
        {"role": "function", "name": "weather", "content": "rain"},
    ],
    "anthropic": [
        QUESTION,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "c9", "name": "weather", "input": {"city": "Oslo"}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c9", "content": [{"type": "text", "text": "rain"}]}],
        },
    ],
    "sharegpt": [
        {"from": "human", "value": "Rain in Oslo?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Oslo"}}'},
        {"from": "observation", "value": "rain"},
    ],
    "hermes": [
        {"from": "human", "value": "Rain in Oslo?"},
        {"from": "gpt", "value": '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'},
        {"from": "tool", "value": "<tool_response>\nrain\n</tool_response>"},
    ],
    "a response that the user is said to say": [
        QUESTION,
        {"role": "assistant", "content": '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>'},
        {"role": "user", "content": "<tool_response>\nrain\n</tool_response>"},
    ],
    "json kept as text": json.dumps(OPENAI),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_call_and_its_result_are_read(name: str) -> None:
    question, call, result = wire(read(FORMS[name]).messages, as_objects=True)
    assert question == QUESTION
    [made] = call["tool_calls"]
    assert (call["role"], call["content"]) == ("assistant", "")
    assert made["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}
    assert result == {"role": "tool", "content": "rain", "name": "weather", "tool_call_id": made["id"]}
    assert made["id"]


def test_several_calls_are_answered_in_their_order() -> None:
    twice = [{"name": "weather", "arguments": {"city": city}} for city in ("Oslo", "Rome")]
    turns = [QUESTION, {"role": "assistant", "content": "I look.", "tool_calls": twice}]
    said = read([*turns, *({"role": "tool", "content": each} for each in ("rain", "sun"))]).messages
    first, second = json.loads(said[1]["tool_calls"])
    assert said[1]["content"] == "I look."
    assert [each["tool_call_id"] for each in said[2:]] == [first["id"], second["id"]] == ["call_1", "call_2"]


TOOLS: Mapping[str, Any] = {
    "openai": [{"type": "function", "function": WEATHER}],
    "bare": [WEATHER],
    "json": json.dumps([WEATHER]),
    "anthropic": [{"name": "weather", "description": "Of a city.", "input_schema": WEATHER["parameters"]}],
    "without json schema": [{"name": "weather", "description": "Of a city.", "parameters": {"city": {}}}],
}


@pytest.mark.parametrize("name", TOOLS)
def test_definitions_beside_a_conversation_stand_first(name: str) -> None:
    talk = question({"messages": OPENAI, "tools": TOOLS[name]}, "messages")
    assert definitions(talk.messages) == [{"type": "function", "function": WEATHER}]
    assert "tools" in talk.columns
    assert talk.messages[1:] == read(OPENAI).messages


BROKEN: Mapping[str, Any] = {
    "arguments that are no JSON": [
        QUESTION,
        {"role": "assistant", "tool_calls": [{"name": "weather", "arguments": "{city"}]},
    ],
    "arguments that are no object": [
        QUESTION,
        {"role": "assistant", "tool_calls": [{"name": "weather", "arguments": "[1]"}]},
    ],
    "a call without a name": [QUESTION, {"role": "assistant", "tool_calls": [{"id": "1"}]}],
    "a call that is no object": [QUESTION, {"role": "assistant", "tool_calls": ["weather"]}],
    "a result of no call": [QUESTION, {"role": "tool", "content": "7"}, QUESTION],
    "a result of another call": [*OPENAI[:2], {"role": "tool", "tool_call_id": "c8", "content": "rain"}],
    "a call in a text that is no JSON": [QUESTION, {"role": "assistant", "content": "<tool_call>weather</tool_call>"}],
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_leaves_its_row_out(name: str) -> None:
    with pytest.raises(Unusable) as error:
        read(BROKEN[name])
    assert error.value.reason == "unreadable_tools"


@pytest.mark.parametrize("tools", ["[", "weather", [], [{"description": "no name"}], [7], {"a": 1}])
def test_definitions_that_cannot_be_read_do_so_too(tools: Any) -> None:
    data = {"messages": OPENAI, "tools": tools}
    if tools == []:
        assert not definitions(question(data, "messages").messages)
        return
    with pytest.raises(Unusable) as error:
        question(data, "messages")
    assert error.value.reason == "unreadable_tools"


def test_two_answers_after_a_result_are_a_pair_and_a_call_is_no_answer() -> None:
    said = [{"role": "assistant", "content": "Yes."}], [{"role": "assistant", "content": "No."}]
    row = {"prompt": OPENAI, "chosen": said[0], "rejected": said[1], "tools": [WEATHER]}
    [pair] = comparisons(row, survey([row], {}, "f"))
    assert [each["role"] for each in pair.messages] == ["tools", "user", "assistant", "tool"]
    assert (pair.first, pair.second) == ("Yes.", "No.")
    with pytest.raises(Unusable) as error:
        list(comparisons({**row, "rejected": [OPENAI[1]]}, survey([row], {}, "f")))
    assert error.value.reason == "tool_call"
