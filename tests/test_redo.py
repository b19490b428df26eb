"""A changed constitution: which rows it touches, and that a run does again those and no others."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cai.change import touched_in_run
from cai.errors import UserError
from cai.ledger import Settings
from cai.recipe import load_recipe
from cai.run import start
from cai.screen import Screen
from cai.store import Stage
from constitution.load import load
from constitution.templates import Templates

ROOT = Path(__file__).resolve().parent.parent
HARMLESS = ROOT / "principles" / "harmless.yaml"
Run = Callable[..., Path]
Write = Callable[[str, str], Path]


@pytest.fixture
def constitution(write: Write) -> Path:
    return write("mine.yaml", HARMLESS.read_text(encoding="utf-8"))


def rows(folder: Path, stage: str) -> dict[str, str]:
    part = (folder / stage / "part-00000.jsonl").read_text(encoding="utf-8")
    return {json.loads(line)["id"]: line for line in part.split("\n") if line}


def drawn(folder: Path, principle: str) -> set[str]:
    return {id for id, line in rows(folder, "revise").items() if f'"principle":"{principle}"' in line}


def digest(folder: Path, stage: str) -> str:
    return json.loads((folder / stage / "seal.json").read_text())["digest"]


def test_only_the_rows_of_a_changed_principle_are_done_again(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    before, labels = rows(folder, "revise"), rows(folder, "label")
    seal = json.loads((folder / "revise" / "seal.json").read_text())
    old = load(constitution)
    text = constitution.read_text(encoding="utf-8")
    constitution.write_text(
        text.replace("Which of the two answers", "Which one of the two answers", 1), encoding="utf-8"
    )
    constitution.write_text(
        constitution.read_text(encoding="utf-8").replace(
            "Say where the assistant's", "Say plainly where the assistant's"
        ),
        encoding="utf-8",
    )
    touched = {stage: set(ids) for stage, ids, _ in touched_in_run(folder, old, load(constitution))}
    assert 0 < len(touched["revise"]) < len(before)
    assert drawn(folder, "self-harm-and-crisis") <= touched["revise"]

    scripted_run(f"constitution={constitution}", only_changed=True)
    after = rows(folder, "revise")
    kept = before.keys() - touched["revise"]
    assert {id: after[id] for id in kept & after.keys()} == {id: before[id] for id in kept & before.keys()}
    # Scripted answers do not read their prompts, so rows that are done again come out as before.
    assert after == before
    assert rows(folder, "label").keys() == labels.keys()
    now = json.loads((folder / "revise" / "seal.json").read_text())
    assert now["rows_in"] == now["rows_kept"] + sum(now["dropped"].values()) == seal["rows_in"]
    assert now["digest"] != seal["digest"]
    assert now["tokens_out"] > seal["tokens_out"]
    assert list((folder / ".aside").glob("revise-*"))
    assert not list((folder / "revise").glob("*.open"))


def test_a_change_that_no_model_sees_leaves_every_row(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    parts = {stage: (folder / stage / "part-00000.jsonl").stat().st_mtime_ns for stage in ("revise", "label")}
    old = digest(folder, "label")
    text = constitution.read_text(encoding="utf-8").replace("  - id: privacy\n", "  - id: privacy\n    weight: 3\n")
    constitution.write_text(text, encoding="utf-8")
    scripted_run(f"constitution={constitution}", only_changed=True)
    assert {stage: (folder / stage / "part-00000.jsonl").stat().st_mtime_ns for stage in parts} == parts
    assert digest(folder, "label") != old
    assert not (folder / ".aside").exists()


def test_more_than_the_constitution_changed_is_refused(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    before = rows(folder, "revise")
    with pytest.raises(UserError, match=r"more than the constitution changed \(block.rounds: 2 → 1\)"):
        scripted_run(f"constitution={constitution}", "revise.rounds=1", only_changed=True)
    assert rows(folder, "revise") == before


def test_a_stage_built_on_another_stage_than_before_never_stands(scripted_run: Run, write: Write) -> None:
    text = (ROOT / "tests" / "data" / "scripted.yaml").read_text(encoding="utf-8")
    (write("script.yaml", (ROOT / "tests" / "data" / "script.yaml").read_text(encoding="utf-8")))
    block = re.search(r"  - label: \{(.*)\}", text)
    assert block is not None
    two = text.replace(block.group(), f"{block.group()}\n  - label: {{as: second, {block.group(1)}}}")
    two = re.sub(r"  - prefs: \{.*\}", "  - prefs: {from: label}", two)
    recipe = write("two.yaml", two)
    out = recipe.parent / "out"
    start(load_recipe(recipe), out, Screen(Console(quiet=True)))
    recipe.write_text(two.replace("from: label", "from: second"), encoding="utf-8")
    with pytest.raises(UserError, match="built on other stages than before; redo it with: --redo prefs"):
        start(load_recipe(recipe), out, Screen(Console(quiet=True)), None, True)


@pytest.mark.parametrize("use", ["critique", "judgment"])
def test_a_changed_word_around_the_answers_touches_the_rows(scripted_run: Run, constitution: Path, use: str) -> None:
    folder = scripted_run(f"constitution={constitution}")
    usual = getattr(Templates(), use)
    changed = usual.replace("{conversation}", "Said so far: {conversation}")
    old = load(constitution)
    new = replace(old, templates=replace(old.templates, **{use: changed}), critique_revision=(), judgment=())
    bare = replace(old, critique_revision=(), judgment=())
    touched = {stage: len(ids) for stage, ids, _ in touched_in_run(folder, bare, new)}
    assert touched["revise" if use == "critique" else "label"] > 0


def test_a_constitution_that_is_not_kept_is_a_sentence(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    for path in (folder / "constitutions").iterdir():
        path.unlink()
    constitution.write_text(constitution.read_text(encoding="utf-8").replace("Point out", "Show"), encoding="utf-8")
    with pytest.raises(UserError, match="redo it with: --redo revise"):
        scripted_run(f"constitution={constitution}", only_changed=True)


def test_a_run_keeps_the_constitution_it_used(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    [kept] = (folder / "constitutions").iterdir()
    assert load(kept) == load(constitution)


def test_reopening_keeps_what_stands_and_what_was_spent(tmp_path: Path) -> None:
    stage, settings = Stage(tmp_path / "label"), Settings("label", {}, 0, "new", {}, {})
    for number in (0, 1):
        stage.write_part(number, [{"id": f"{number}-{row}", "text": "é\u2028"} for row in range(3)])
    ledger = '{"part":%d,"rows_in":3,"rows_kept":3,"rows_out":3,"dropped":{},"tokens_in":9,"tokens_cached":0,'
    ledger += '"tokens_out":6,"seconds":1.0,"counts":{}}\n'
    (stage.folder / "parts.jsonl").write_text("".join(ledger % number for number in (0, 1)))
    stage.reopen(tmp_path, settings, {"1-1"})
    assert stage.finished(0)
    assert not stage.finished(1)
    lines = (stage.folder / "part-00001.jsonl.open").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line)["in"] for line in lines] == ["1-0", "1-2"]
    assert stage.earlier() == {"1": [9, 0, 6, 1.0]}
    assert stage.begun == settings.plain()
