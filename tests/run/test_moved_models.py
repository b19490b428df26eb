"""Runs and the models they were begun with: moved ones go on, other weights are refused, whatever is installed."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from rich.console import Console

from cai.errors import UserError
from cai.flow.screen import Screen
from cai.models.machine import Machine
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request
from cai.recipe.read import load_recipe
from cai.recipe.recipe import Recipe
from cai.run import redo
from cai.run.context import Run
from cai.run.walk import go
from cai.store.files import write_json
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
Write = Callable[[str, str], Path]
RECIPE = """\
name: moved
constitution: principles/harmless.yaml
models:
  policy: {{local: {policy}}}
stages:
  - prompts: {{redteam: principles/prompts/redteam.jsonl}}
  - revise: {{model: policy}}
  - sft_set: {{}}
  - sft: {{base: {base}}}
  - sample: {{model: sft}}
"""


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes what looks like a model's folder, of these weights."""

    def make(name: str, weights: str) -> Path:
        path = tmp_path / name
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
        (path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
        (path / "model.safetensors").write_text(weights)
        return path

    return make


@pytest.fixture
def recipe(write: Write) -> Callable[..., Recipe]:
    def load(policy: Path, base: str | Path) -> Recipe:
        return load_recipe(write("r.yaml", RECIPE.format(policy=policy, base=base)), machine=Machine(serves_here=False))

    return load


def settings(recipe: Recipe, folder: Path, former: bool = False) -> dict[str, dict]:
    run = Run(recipe, folder, Screen(Console(quiet=True)))
    return {block.name: run.settings(block.name, former).plain() for block in recipe.blocks}


def test_moved_weights_decide_the_same_rows(
    tmp_path: Path, model: Callable[[str, str], Path], recipe: Callable[..., Recipe]
) -> None:
    first, base = model("first", "w"), model("base", "b")
    before = settings(recipe(first, base), tmp_path / "run")
    moved = first.rename(tmp_path / "elsewhere"), base.rename(tmp_path / "another")
    assert settings(recipe(*moved), tmp_path / "run") == before
    model("elsewhere", "W")
    after = settings(recipe(*moved), tmp_path / "run")
    assert [name for name in after if after[name] != before[name]] == ["revise", "sft_set", "sft", "sample"]
    model("elsewhere", "w")
    model("another", "B")
    after = settings(recipe(*moved), tmp_path / "run")
    assert [name for name in after if after[name] != before[name]] == ["sft", "sample"]


def test_a_base_beside_the_recipe_is_found_from_anywhere(
    tmp_path: Path, model: Callable[[str, str], Path], recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = recipe(model("first", "w"), "./" + model("base", "b").name)
    monkeypatch.chdir(ROOT / "tests")
    assert Run(read, tmp_path / "run", Screen(Console(quiet=True))).weights("./base") == str(tmp_path / "base")


@pytest.mark.parametrize("base", ["owner/name", "base"])
def test_what_is_installed_decides_no_rows(
    tmp_path: Path,
    model: Callable[[str, str], Path],
    recipe: Callable[..., Recipe],
    monkeypatch: pytest.MonkeyPatch,
    base: str,
) -> None:
    read = recipe(model("first", "w"), model("base", "b") if base == "base" else base)
    found = []
    for installed in (True, False):
        have = {"vllm": find_spec("json") if installed else None}
        monkeypatch.setattr(
            "cai.run.context.importlib.util.find_spec", lambda name, have=have: have.get(name, find_spec(name))
        )
        found.append(settings(read, tmp_path / "run"))
    assert found[0] == found[1]


def test_a_trained_model_is_known_by_the_steps_that_train_it(
    tmp_path: Path, model: Callable[[str, str], Path], recipe: Callable[..., Recipe]
) -> None:
    read = recipe(model("first", "w"), "policy")
    before = settings(read, tmp_path / "run")
    model("run/sft/model", "trained")
    assert settings(read, tmp_path / "run") == before


def scripts(write: Write) -> Recipe:
    for name in ("script.yaml", "other.yaml"):
        write(name, (DATA / name).read_text(encoding="utf-8"))
    return load_recipe(write("mine.yaml", (DATA / "scripted.yaml").read_text(encoding="utf-8")))


def test_a_script_that_says_something_else_is_another_model(tmp_path: Path, write: Write) -> None:
    go(Run(scripts(write), tmp_path / "out", Screen(Console(quiet=True))))
    go(Run(scripts(write), tmp_path / "out", Screen(Console(quiet=True))))
    script = tmp_path / "other.yaml"
    script.write_text(script.read_text().replace('say: ["', 'say: ["Well. '), encoding="utf-8")
    with pytest.raises(UserError, match=r"evaluate holds rows made under other settings \(models\.other\.weights: "):
        go(Run(load_recipe(tmp_path / "mine.yaml"), tmp_path / "out", Screen(Console(quiet=True))))


@pytest.mark.parametrize("edited", [False, True])
def test_a_run_begun_when_models_were_known_by_their_names_goes_on(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    constitution = write("con.yaml", (ROOT / "principles" / "harmless.yaml").read_text(encoding="utf-8"))
    scripts(write)
    text = (tmp_path / "mine.yaml").read_text().replace("principles/harmless.yaml", "con.yaml")
    write("mine.yaml", text)
    run = Run(load_recipe(tmp_path / "mine.yaml"), tmp_path / "out", Screen(Console(quiet=True)))
    go(run)
    for block in run.recipe.blocks:
        redo.stamp(run.stage(block.name), run.settings(block.name, former=True))
    begun = json.loads((tmp_path / "out" / "revise" / "begun.json").read_text())
    assert begun["models"]["policy"]["model"] == str(tmp_path / "script.yaml")
    asked, real = [], Scripted.ask

    async def seeing(self: Scripted, request: Request, row_id: str) -> Reply:
        asked.append(row_id)
        return await real(self, request, row_id)

    monkeypatch.setattr(Scripted, "ask", seeing)
    if edited:
        constitution.write_text(
            constitution.read_text().replace("  - id: privacy\n", "  - id: privacy\n    weight: 3\n")
        )
    again = Run(load_recipe(tmp_path / "mine.yaml"), tmp_path / "out", Screen(Console(quiet=True)))
    if edited:
        redo.changed(again)
    go(again)
    assert not asked
    for path in (tmp_path / "out").glob("*/begun.json"):
        assert Stage(path.parent).begun == again.settings(path.parent.name).plain()
    inner = tmp_path / "out" / "evaluate" / "answers-policy" / "begun.json"
    assert "weights" in json.loads(inner.read_text())["models"]["policy"]


def test_what_else_changed_is_told_without_the_change_of_words(tmp_path: Path, write: Write) -> None:
    run = Run(scripts(write), tmp_path / "out", Screen(Console(quiet=True)))
    go(run)
    stage = run.stage("revise")
    write_json(stage.folder / "begun.json", run.settings("revise", former=True).plain())
    other = load_recipe(tmp_path / "mine.yaml", ["revise.rounds=1"])
    with pytest.raises(UserError) as error:
        go(Run(other, tmp_path / "out", Screen(Console(quiet=True))))
    assert "(block.rounds: 2 → 1)" in str(error.value)
