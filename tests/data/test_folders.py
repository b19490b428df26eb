"""Folders and splits: the files that are meant, all of them, or one sentence."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

from cai.data.prompts import PromptSource, read
from cai.errors import UserError
from cai.store.rows import Prompt

Write = Callable[[str, str], Path]


def texts(path: Path | str, **more: Any) -> list[str]:
    rows = read({"redteam": [PromptSource(str(path), **more)]})
    return [row.messages[-1]["content"] for row in rows if isinstance(row, Prompt)]


def row(text: str) -> str:
    return json.dumps({"prompt": text}) + "\n"


def test_configurations_may_be_folders(write: Write, tmp_path: Path) -> None:
    write("README.md", "---\nconfigs:\n- {config_name: en, data_dir: en}\n- {config_name: de, data_dir: ../de}\n---\n")
    write("en/train.jsonl", row("Rye?"))
    write("en/test.jsonl", row("Oats?"))
    write("fr/train.jsonl", row("Seigle ?"))
    assert texts(tmp_path, config="en") == ["Rye?"]
    assert texts(tmp_path, config="en", split="test") == ["Oats?"]
    with pytest.raises(UserError, match=r"should hold the folder \.\./de, and does not"):
        texts(tmp_path, config="de")


def test_missing_shards_are_told(write: Write, tmp_path: Path) -> None:
    for number in (0, 2):
        write(f"data/train-0000{number}-of-00003.jsonl", row(f"{number}?"))
    with pytest.raises(UserError, match=r"should hold 3 files train-…-of-…, and holds 2; fetch it whole"):
        texts(tmp_path / "data")
    assert texts(tmp_path / "data" / "train-0000[02]*.jsonl") == ["0?", "2?"]  # which says that some are meant
    write("data/train-00001-of-00003.jsonl", row("1?"))
    assert texts(tmp_path / "data") == ["0?", "1?", "2?"]


@pytest.mark.parametrize(
    ("name", "origin", "words"),
    [
        (
            "a.csv",
            {"split": "test"},
            "a.csv: is one file, of which there are no splits or configurations; take `split` out",
        ),
        ("a.csv", {"config": "en"}, "take `config` out"),
        ("*.csv", {"split": "test", "config": "en"}, "take `split` and `config` out"),
        ("", {"config": "en"}, "has no configurations, which its README.md would name; take `config` out"),
    ],
)
def test_a_split_or_configuration_of_what_has_none_is_said(
    write: Write, tmp_path: Path, name: str, origin: dict[str, str], words: str
) -> None:
    write("a.csv", "prompt\nRye?\n")
    assert texts(tmp_path / name) == ["Rye?"]
    with pytest.raises(UserError) as error:
        texts(tmp_path / name, **origin)
    assert words in str(error.value)


def test_a_stage_of_a_run_has_no_splits(write: Write, tmp_path: Path) -> None:
    write("sample/part-00000.jsonl", row("Rye?"))
    write("sample/seal.json", "{}")
    assert texts(tmp_path / "sample") == ["Rye?"]
    with pytest.raises(UserError, match="is a stage of a run, of which there are no splits"):
        texts(tmp_path / "sample", split="test")


class Session:
    """The Hub, which is there or not."""

    def __init__(self, there: bool) -> None:
        self.there = there

    def head(self, url: str, timeout: float) -> None:
        assert 0 < timeout <= 10
        if not self.there:
            raise ConnectionError(f"Max retries exceeded with url {url}")


def test_a_hub_that_cannot_be_reached_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    library, asked = ModuleType("datasets"), list[object]()

    def load_dataset(*what: object, **_: object) -> None:
        asked.append(what)
        raise ConnectionError("Couldn't reach 'a/b' on the Hub (LocalEntryNotFoundError)\nmore")

    vars(library)["load_dataset"] = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", library)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: Session(there=False))
    with pytest.raises(
        UserError, match=r"the Hub dataset a/b cannot be read: https://\S+ cannot be reached; check the net"
    ):
        list(read({"redteam": [PromptSource(hub="a/b")]}))
    assert not asked
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: Session(there=True))
    with pytest.raises(UserError, match=r"cannot be read: Couldn't reach 'a/b' on the Hub$"):
        list(read({"redteam": [PromptSource(hub="a/b")]}))
