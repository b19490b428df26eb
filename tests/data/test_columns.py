"""What a conversation has besides words stands in the datasets, as TRL and chat templates take it."""

import json
from pathlib import Path

import pytest

from cai.data import dataset
from cai.data.columns import extras

TOOL = {"type": "function", "function": {"name": "weather", "description": "", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
SAID = [{"role": "assistant", "content": "Yes."}]
PLAIN = {"prompt": [{"role": "user", "content": "Hi"}], "completion": SAID, "prompt_id": 1}
TALK = {
    "prompt": [
        {"role": "tools", "content": json.dumps([TOOL])},
        {"role": "user", "content": "Rain in Oslo?"},
        {"role": "assistant", "content": "", "tool_calls": json.dumps([CALL])},
        {"role": "tool", "content": "rain", "tool_call_id": "c1", "name": "weather"},
    ],
    "completion": SAID,
    "prompt_id": 2,
}


def test_tools_come_back_as_objects(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    dataset.write(tmp_path, [PLAIN, TALK], set(), extras(TALK))
    plain, talk = datasets.Dataset.from_parquet(str(tmp_path / "train.parquet"), cache_dir=str(tmp_path / "cache"))
    assert talk["tools"] == [TOOL]
    assert [each["role"] for each in talk["prompt"]] == ["user", "assistant", "tool"]
    assert talk["prompt"][1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"city": "Oslo"}}
    assert talk["prompt"][2]["tool_call_id"] == "c1"
    assert plain["tools"] is None
    assert plain["prompt"][0]["content"] == "Hi"


def test_a_set_without_tools_has_no_columns_for_them(tmp_path: Path) -> None:
    dataset.write(tmp_path, [PLAIN], set())
    [row] = dataset.rows(tmp_path / "train.parquet")
    assert row == {"prompt": PLAIN["prompt"], "completion": SAID}


def test_what_was_not_foreseen_is_not_left_out_unsaid(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="told beforehand"):
        dataset.write(tmp_path, [PLAIN, TALK], set())
