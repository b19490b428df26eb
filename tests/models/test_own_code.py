"""Code that a model brings along never runs: every loader is told so, and a person is told in one sentence."""

import ast
import importlib.util
import json
from pathlib import Path

import pytest

from cai.models import own_code
from cai.models.launch import command
from cai.models.spec import ModelSpec
from cai.recipe.models import command_model
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
LOADERS = ("from_pretrained", "from_config")


def forbids(call: ast.Call) -> bool:
    """Whether a call says that code of the model's own is not to run, unless a recipe's ``trl`` says otherwise."""
    given = [(each.arg, each.value) for each in call.keywords]
    for inner in (each.value for each in call.keywords if isinstance(each.value, ast.Dict)):
        given += [
            (key.value, value)
            for key, value in zip(inner.keys, inner.values, strict=True)
            if isinstance(key, ast.Constant)
        ]
    return any(key == "trust_remote_code" and getattr(value, "value", None) is False for key, value in given)


@pytest.mark.parametrize(
    "path", [path for path in (ROOT / "cai").rglob("*.py") if "from_" in path.read_text()], ids=str
)
def test_every_loader_is_told_to_run_no_code_of_a_model(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOADERS:
            harmless = ast.unparse(node.func.value) in (
                "PeftModel",
                "GenerationConfig",
            )  # numbers alone, settings alone
            assert harmless or forbids(node), f"{path}:{node.lineno}"


def test_a_server_of_ours_runs_no_code_of_a_model_unless_its_arguments_say_so() -> None:
    spec = ModelSpec("policy", vllm="owner/name")
    assert "--trust-remote-code" not in command(spec, "owner/name", 1, False)
    allowed = ModelSpec("policy", vllm="owner/name", args=("--trust-remote-code",))
    assert "--trust-remote-code" in command(allowed, "owner/name", 1, False)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_a_model_that_needs_its_own_code_is_refused_before_anything_starts(tmp_path: Path) -> None:
    for name, kind, mapped in (("own", "strange", True), ("part", "gemma3_text", True), ("plain", "strange", False)):
        (tmp_path / name).mkdir()
        said = {"model_type": kind} | ({"auto_map": {"AutoConfig": "own.Config"}} if mapped else {})
        (tmp_path / name / "config.json").write_text(json.dumps(said))
    (tmp_path / "own" / "own.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')")
    assert [own_code.needed(str(tmp_path / name)) for name in ("own", "part", "plain", "none")] == [
        True,
        False,
        False,
        False,
    ]
    with pytest.raises(InputError, match="own needs code of its own, which is not run here; name a model that"):
        command_model(f"{{local: {tmp_path / 'own'}}}")
    assert not (tmp_path / "RAN").exists()


def test_what_the_loader_says_of_its_switch_is_told_in_our_words() -> None:
    assert own_code.reason(ValueError("pass the argument `trust_remote_code=True` to allow")) == own_code.UNKNOWN
    assert own_code.reason(OSError("no such file\nmore")) == "cannot be loaded: no such file"
