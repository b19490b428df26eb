"""Tools in a conversation are kept as they were, and told to whoever reads it as a text."""

import json

from constitution import tools
from constitution.turns import conversation

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather\nof a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "day": {"type": "string"}}},
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
TALK = (
    {"role": "tools", "content": json.dumps([WEATHER])},
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Rain in Oslo?"},
    {"role": "assistant", "content": "I look.", "tool_calls": json.dumps([CALL])},
    {"role": "tool", "content": "rain", "tool_call_id": "c1", "name": "weather"},
)


def test_a_critic_reads_what_could_be_called_what_was_and_what_came_of_it() -> None:
    assert conversation(TALK, "Yes.") == (
        "Tools: weather(city, day): The weather of a city.\n\nSystem: Be brief.\n\nHuman: Rain in Oslo?\n\n"
        'Assistant: I look.\n[calls weather({"city": "Oslo"})]\n\nTool weather: rain\n\nAssistant: Yes.'
    )


def test_a_call_without_words_is_told_alone() -> None:
    silent = {**TALK[3], "content": ""}
    assert tools.turn_text(silent) == '[calls weather({"city": "Oslo"})]'


def test_a_long_result_keeps_its_beginning_and_its_end_and_says_what_is_missing() -> None:
    long = "b" * 3000 + "m" * 9000 + "e" * 1000
    told = tools.turn_text({"role": "tool", "content": long})
    assert told.startswith("b" * 3000)
    assert told.endswith("e" * 1000)
    assert "[… 9,000 characters left out …]" in told
    assert tools.turn_text({"role": "user", "content": long}) == long


def test_servers_take_json_and_templates_objects() -> None:
    assert tools.definitions(TALK) == [WEATHER]
    assert tools.definitions(TALK[1:]) == []
    wired = tools.wire(TALK)
    assert [each["role"] for each in wired] == ["system", "user", "assistant", "tool"]
    assert wired[2]["tool_calls"] == [CALL]
    assert wired[3] == TALK[4]
    parsed = tools.wire(TALK, as_objects=True)
    assert parsed[2]["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}
    assert json.loads(TALK[3]["tool_calls"]) == [CALL]  # what is kept stays as it was
