"""A changed constitution: which rows it touches, and that a run does again those and no others."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cai.errors import RunError, UserError
from cai.flow.screen import Screen
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request
from cai.recipe.read import load_recipe
from cai.run.effects import effects
from cai.run.walk import start
from constitution.load import load
from constitution.model import Constitution
from constitution.save import dump
from constitution.templates import Templates

ROOT = Path(__file__).resolve().parents[2]
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


def edit(constitution: Path) -> None:
    """One principle's judgment question in other words, and another one's critique request."""
    text = constitution.read_text(encoding="utf-8")
    text = text.replace("Which of the two answers", "Which one of the two answers", 1)
    constitution.write_text(text.replace("Say where the assistant's", "Say plainly where the assistant's"), "utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    """What a run made, but for what tells of time and of tokens."""
    names = ("part-*.jsonl", "drops.jsonl", "metrics.json", "*.parquet")
    paths = [path for name in names for path in folder.rglob(name) if ".aside" not in path.parts]
    return {
        str(path.relative_to(folder)): re.sub(rb'"tokens":\[[^]]*\]', b"", path.read_bytes()) for path in sorted(paths)
    }


def effects_on(folder: Path, new: Constitution) -> dict[str, set[str]]:
    return {each.stage: set(each.ids) for each in effects(folder, new)}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Reply]]:
    """Every reply that scripted models give, with its row."""
    seen: list[tuple[str, Reply]] = []
    real = Scripted.ask

    async def seeing(self: Scripted, request: Request, row_id: str) -> Reply:
        seen.append((row_id, await real(self, request, row_id)))
        return seen[-1][1]

    monkeypatch.setattr(Scripted, "ask", seeing)
    return seen


def test_redone_rows_are_those_of_a_fresh_run(
    scripted_run: Run, constitution: Path, tmp_path: Path, asked: list[tuple[str, Reply]]
) -> None:
    folder = scripted_run(f"constitution={constitution}")
    spent = {stage: json.loads((folder / stage / "seal.json").read_text()) for stage in ("revise", "label")}
    edit(constitution)
    touched = effects_on(folder, load(constitution))
    assert 0 < len(touched["revise"]) < len(rows(folder, "revise"))
    assert drawn(folder, "self-harm-and-crisis") <= touched["revise"]
    assert touched["label"]

    asked.clear()
    scripted_run(f"constitution={constitution}", only_changed=True)
    again = list(asked)
    assert {row for row, _ in again} == touched["revise"] | touched["label"] | touched["evaluate"]
    for stage in ("revise", "label"):
        seal = json.loads((folder / stage / "seal.json").read_text())
        mine = [reply for row, reply in again if row in touched[stage] and ("/" in row) == (stage == "label")]
        assert seal["tokens_in"] == spent[stage]["tokens_in"] + sum(reply.tokens_in for reply in mine)
        assert seal["tokens_out"] == spent[stage]["tokens_out"] + sum(reply.tokens_out for reply in mine)
        assert seal["rows_in"] == seal["rows_kept"] + sum(seal["dropped"].values()) == spent[stage]["rows_in"]
        assert list((folder / ".aside").glob(f"{stage}-*"))
    assert not list(folder.rglob("*.open"))
    assert contents(folder) == contents(scripted_run(f"constitution={constitution}", out=tmp_path / "fresh"))


@pytest.mark.parametrize("calls", [7, 60, 150, 185, 230])
def test_an_unfinished_run_goes_on_under_the_changed_constitution(
    scripted_run: Run, constitution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """The label rows of an open sample part, too, which stream while the part is not complete."""
    recipe = f"constitution={constitution}", "label.method=cot"  # reasons tell what was asked
    left = iter(range(calls))
    real = Scripted.ask

    async def failing(self: Scripted, request: Request, row_id: str) -> Reply:
        if next(left, None) is None:
            raise RunError("the model went away")
        return await real(self, request, row_id)

    with monkeypatch.context() as patched:
        patched.setattr(Scripted, "ask", failing)
        with pytest.raises(RunError, match="went away"):
            # Few slots, so that rows go through both stages one after another.
            scripted_run(*recipe, "models.policy.concurrency=2")
    edit(constitution)
    folder = scripted_run(*recipe, only_changed=True)
    assert contents(folder) == contents(scripted_run(*recipe, out=tmp_path / "fresh"))


def test_an_evaluation_keeps_its_answers(scripted_run: Run, constitution: Path, asked: list[tuple[str, Reply]]) -> None:
    folder = scripted_run(f"constitution={constitution}", "prompts.heldout=0.5")
    answers = next(folder.glob("evaluate/answers-*/part-*.jsonl"))
    before = answers.stat().st_mtime_ns
    edit(constitution)
    touched = effects_on(folder, load(constitution))["evaluate"]
    votes = (folder / "evaluate" / "votes-other" / "part-00000.jsonl").read_text().count("\n")
    assert 0 < len(touched) < votes
    asked.clear()
    scripted_run(f"constitution={constitution}", "prompts.heldout=0.5", only_changed=True)
    assert answers.stat().st_mtime_ns == before
    compared = {row for row, reply in asked if reply.choice_logprobs and "/" not in row}
    assert compared == touched
    assert json.loads((folder / "evaluate" / "seal.json").read_text())


def test_rows_that_are_gone_are_noticed_before_anything_is_done(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    (folder / "prompts" / "part-00001.jsonl").unlink()
    before = contents(folder)
    edit(constitution)
    with pytest.raises(RunError, match=r"part-00001\.jsonl is gone, though prompts was done"):
        list(effects(folder, load(constitution)))
    with pytest.raises(RunError, match="is gone, though prompts was done"):
        scripted_run(f"constitution={constitution}", only_changed=True)
    assert contents(folder) == before


def test_a_ledger_that_is_gone_is_a_sentence(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    (folder / "revise" / "parts.jsonl").unlink()
    edit(constitution)
    with pytest.raises(RunError, match=r"parts\.jsonl has no line for part 0, .* do it again with: --redo revise"):
        scripted_run(f"constitution={constitution}", only_changed=True)


def test_what_is_damaged_can_be_done_again(scripted_run: Run) -> None:
    folder = scripted_run()
    (folder / "evaluate" / "begun.json").write_text("[]")
    with pytest.raises(RunError, match=r"--redo evaluate$"):
        scripted_run()
    scripted_run(redo="evaluate")
    assert (folder / "evaluate" / "seal.json").exists()


def test_a_change_that_no_model_sees_leaves_every_row(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    parts = {stage: (folder / stage / "part-00000.jsonl").stat().st_mtime_ns for stage in ("revise", "label")}
    old = digest(folder, "label")
    text = constitution.read_text(encoding="utf-8").replace("  - id: privacy\n", "  - id: privacy\n    weight: 3\n")
    constitution.write_text(text, encoding="utf-8")
    scripted_run(f"constitution={constitution}", only_changed=True)
    assert {stage: (folder / stage / "part-00000.jsonl").stat().st_mtime_ns for stage in parts} == parts
    assert digest(folder, "label") != old
    assert [path.name.partition("-")[0] for path in (folder / ".aside").iterdir()] == ["report"]


def test_more_than_the_constitution_changed_is_refused(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    before = rows(folder, "revise")
    with pytest.raises(UserError, match=r"more than the constitution changed \(block.rounds: 2 → 1\)"):
        scripted_run(f"constitution={constitution}", "revise.rounds=1", only_changed=True)
    assert rows(folder, "revise") == before


def test_a_stage_built_on_another_stage_than_before_never_stands(scripted_run: Run, write: Write) -> None:
    text = (ROOT / "tests" / "data" / "scripted.yaml").read_text(encoding="utf-8")
    for name in ("script.yaml", "other.yaml"):
        write(name, (ROOT / "tests" / "data" / name).read_text(encoding="utf-8"))
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


def test_a_changed_question_touches_chains_whose_revisions_a_judge_accepts(
    scripted_run: Run, constitution: Path, tmp_path: Path
) -> None:
    recipe = f"constitution={constitution}", "revise.judge=policy"
    folder = scripted_run(*recipe)
    text = constitution.read_text(encoding="utf-8")
    constitution.write_text(text.replace("Which of the two answers", "Which one of the two answers", 1), "utf-8")
    assert effects_on(folder, load(constitution))["revise"]
    scripted_run(*recipe, only_changed=True)
    assert contents(folder) == contents(scripted_run(*recipe, out=tmp_path / "fresh"))


def test_a_letter_that_becomes_a_placeholder_touches_the_rows(scripted_run: Run, constitution: Path) -> None:
    bare = replace(load(constitution), critique_revision=(), judgment=())
    judgment = f"{Templates().judgment}\n\nIs a or b better?"
    bare = replace(bare, templates=replace(bare.templates, judgment=judgment))
    constitution.write_text(dump(bare), encoding="utf-8")
    folder = scripted_run(f"constitution={constitution}")
    changed = judgment.replace("Is a or b", "Is {a} or {b}")
    assert effects_on(folder, replace(bare, templates=replace(bare.templates, judgment=changed)))["label"]


@pytest.mark.parametrize("use", ["critique", "judgment"])
def test_a_changed_word_around_the_answers_touches_the_rows(scripted_run: Run, constitution: Path, use: str) -> None:
    bare = replace(load(constitution), critique_revision=(), judgment=())  # else every row shows it in an exemplar
    constitution.write_text(dump(bare), encoding="utf-8")
    folder = scripted_run(f"constitution={constitution}")
    changed = getattr(Templates(), use).replace("{conversation}", "Said so far: {conversation}")
    touched = effects_on(folder, replace(bare, templates=replace(bare.templates, **{use: changed})))
    assert touched["revise" if use == "critique" else "label"]
    assert not touched["label" if use == "critique" else "revise"]


def test_a_constitution_that_is_not_kept_is_a_sentence(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    for path in (folder / "constitutions").iterdir():
        path.unlink()
    constitution.write_text(constitution.read_text(encoding="utf-8").replace("Point out", "Show"), encoding="utf-8")
    with pytest.raises(UserError, match="again with: --redo revise"):
        scripted_run(f"constitution={constitution}", only_changed=True)


def test_a_run_keeps_the_constitution_it_used(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    [kept] = (folder / "constitutions").iterdir()
    assert load(kept) == load(constitution)


class Killed(BaseException):
    """Stands for ``kill -9``: nothing of ours catches it."""


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("moment", range(4))
def test_a_redo_that_is_killed_between_two_renames_goes_on(
    scripted_run: Run,
    constitution: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: int,
    again: bool,
    asked: list[tuple[str, Reply]],
) -> None:
    """Before a reopened folder takes its place, or after; of the first stage that is reopened, or of a later one.

    It goes on by the same command, and by a plain one.
    """
    folder = scripted_run(f"constitution={constitution}", "prompts.heldout=0.4")
    edit(constitution)
    touched = effects_on(folder, load(constitution))
    real, left = Path.rename, iter(range(moment // 2))

    def rename(self: Path, target: Path) -> Path:
        if not self.name.endswith(".reopening") or next(left, None) is not None:
            return real(self, target)
        if moment % 2:
            real(self, target)
        raise Killed

    asked.clear()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(Killed):
            scripted_run(f"constitution={constitution}", "prompts.heldout=0.4", only_changed=True)
    scripted_run(f"constitution={constitution}", "prompts.heldout=0.4", only_changed=again)
    assert {row for row, _ in asked} == set.union(*touched.values())
    assert not (folder / "redo.json").exists()
    fresh = scripted_run(f"constitution={constitution}", "prompts.heldout=0.4", out=tmp_path / "fresh")
    assert contents(folder) == contents(fresh)


def test_the_ledger_keeps_what_every_session_spent(
    scripted_run: Run, constitution: Path, asked: list[tuple[str, Reply]]
) -> None:
    """Changed, redone, changed back, redone; with an open file that a kill left beside its finished part."""
    text = constitution.read_text(encoding="utf-8")
    folder = scripted_run(f"constitution={constitution}")
    for edited in (edit, lambda path: path.write_text(text, encoding="utf-8")):
        finished = (folder / "revise" / "part-00000.jsonl").read_text(encoding="utf-8").splitlines()
        left = "".join(
            f'{{"in": "{json.loads(row)["id"]}", "tokens": [1, 0, 1], "out": [{row}]}}\n' for row in finished
        )
        (folder / "revise" / "part-00000.jsonl.open").write_text(left, encoding="utf-8")
        edited(constitution)
        scripted_run(f"constitution={constitution}", only_changed=True)
    seals = [json.loads(path.read_text()) for path in folder.glob("*/seal.json")]
    assert sum(seal["tokens_in"] for seal in seals) == sum(reply.tokens_in for _, reply in asked)
    assert sum(seal["tokens_out"] for seal in seals) == sum(reply.tokens_out for _, reply in asked)


def test_a_redo_that_was_killed_and_edited_again_goes_on(
    scripted_run: Run, constitution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scripted_run(f"constitution={constitution}")
    edit(constitution)
    with monkeypatch.context() as patched:
        patched.setattr("cai.run.walk.walk", lambda run, more: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            scripted_run(f"constitution={constitution}", only_changed=True)
    text = constitution.read_text(encoding="utf-8").replace("Say plainly where", "Say bluntly where")
    constitution.write_text(text, encoding="utf-8")
    scripted_run(f"constitution={constitution}", only_changed=True)
    assert contents(folder) == contents(scripted_run(f"constitution={constitution}", out=tmp_path / "fresh"))


def test_the_report_is_of_the_new_constitution(scripted_run: Run, constitution: Path) -> None:
    folder = scripted_run(f"constitution={constitution}")
    text = constitution.read_text(encoding="utf-8")
    text = re.sub(r'version: ".*"', 'version: "9.7"', text).replace(
        "  - id: privacy\n", "  - id: privacy\n    weight: 3\n"
    )
    constitution.write_text(text, encoding="utf-8")
    scripted_run(f"constitution={constitution}", only_changed=True)
    assert "9.7" in (folder / "report" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "change", [{"verdict_line": "It is ({choice})"}, {"last_line": "End so:\n{forms}"}, {"none_word": "Neither"}]
)
def test_other_words_of_a_verdict_touch_what_is_judged_and_nothing_else(
    scripted_run: Run, constitution: Path, change: dict[str, str]
) -> None:
    folder, mine = scripted_run(f"constitution={constitution}"), load(constitution)
    touched = effects_on(folder, replace(mine, templates=replace(mine.templates, **change)))
    assert len(touched["label"]) == 36
    assert not touched["revise"]
