"""The bundled model: found, converted once, with the right end of a turn."""

import json

import pytest

from cai.errors import UserError
from cai.models import bundled


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(UserError, match="the bundled models are: smollm2-135m"):
        bundled.ensure("llama")


def test_a_missing_package_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bundled.MODELS, "gone", ("no_such_package_anywhere", "x.gguf"))
    with pytest.raises(UserError, match="make install"):
        bundled.ensure("gone")


def test_the_turn_ends_with_the_end_of_turn_token() -> None:
    folder = bundled.ensure("smollm2-135m")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    assert tokenizer["eos_token"] == "<|im_end|>"
    assert tokenizer["pad_token"] != tokenizer["eos_token"]
    assert config["eos_token_id"] == 2
    assert (folder / "chat_template.jinja").exists()
