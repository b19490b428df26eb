"""What a model thinks is kept beside what it says, read by nobody, and learnt only where a recipe says so: from a whole run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cai.data import dataset
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.page import write_report
from cai.report.rows import RowQuery, print_rows
from cai.run.context import Run
from cai.run.training import job_extras
from cai.run.walk import start
from cai.store.rows import Chain, Preference
from cai.store.stage import Stage

Write = Callable[[str, str], Path]
POLICY = """
- {when: "secret", say: ["It read a thought."]}
- {when: "Critique request", say: ["<think>a secret of the critic {seed}</think>It is careless {seed}."]}
- {say: ["<think>a secret of the writer {seed}</think>Answer {seed}."], choose: {A: 0.8, B: 0.1}}
"""
RECIPE = """
name: thoughts
constitution: principles/harmless.yaml
models: {policy: {scripted: policy.yaml}}
stages:
  - prompts: {redteam: {path: principles/prompts/redteam.jsonl, limit: 12}, heldout: 0}
  - revise: {model: policy, rounds: 1}
  - sft_set: {hygiene: []}
  - sample: {model: policy}
  - label: {model: policy, method: logprob, orders: one}
  - prefs: {}
"""


@pytest.fixture
def run(write: Write, tmp_path: Path) -> Callable[..., Path]:
    def done(*overrides: str) -> Path:
        write("policy.yaml", POLICY)
        start(load_recipe(write("r.yaml", RECIPE), overrides), tmp_path / "out", Screen(Console(quiet=True)))
        return tmp_path / "out"

    return done


def said(folder: Path, stage: str) -> list[dict[str, Any]]:
    return [row for file in dataset.all_files(folder / stage) for row in dataset.rows(file)]


def test_thoughts_stand_in_rows_and_in_no_dataset(run: Callable[..., Path]) -> None:
    folder = run()
    for row in Stage(folder / "revise").all_rows(Chain):
        first, revision = row.drafts
        assert first.thinking.startswith("a secret of the writer")
        assert revision.critique_thinking.startswith("a secret of the critic")
        assert revision.thinking.startswith("a secret of the writer")
        assert "secret" not in first.text + revision.text + revision.critique
        assert "It read" not in revision.critique
    seal = Stage(folder / "revise").seal
    assert seal is not None
    assert seal["counts"]["thoughts"] == 3 * 12
    assert seal["counts"]["tokens_thought"] > 0
    for stage in ("sft_set", "prefs"):
        rows = said(folder, stage)
        assert rows
        assert "secret" not in str(rows)


STRANGE = (
    *("<THINK>a secret {seed}</THINK>{}", "a secret {seed}</Think>{}", "{}\\n<think>a secret {seed}</think>"),
    *(
        "<think>a secret {seed}</think>{}\\n\\n<think>\\na secret\\n</think>",
        "{} <think>a secret that is left open, {seed}",
    ),
    "It says:\\n```\\n<think>none</think>\\n```\\n{}",
)
"""How a model may put its thought, and what it says at {}."""


def test_no_strange_form_of_a_thought_reaches_who_reads_or_learns_an_answer(write: Write, tmp_path: Path) -> None:
    def rule(when: str, said: str, more: str = "") -> str:
        says = ", ".join(f'"{form.replace("{}", said)}"' for form in STRANGE)
        return f"- {{{when}say: [{says}]{more}}}\n"

    seen = '- {when: "secret", say: ["It read a thought."], choose: {A: 0.01, B: 0.9}}\n'
    critic = rule('when: "Critique request", ', "It is careless {seed}.")
    write("policy.yaml", seen + critic + rule("", "Answer {seed}.", ", choose: {A: 0.8, B: 0.1}"))
    text = RECIPE.replace("limit: 12", "limit: 40").replace("{policy: {", "{policy: {format: chat, ")
    start(load_recipe(write("r.yaml", text)), tmp_path / "out", Screen(Console(quiet=True)))
    chains = list(Stage(tmp_path / "out" / "revise").all_rows(Chain))
    assert chains
    for draft in (draft for row in chains for draft in row.drafts):
        assert "secret" not in draft.text + draft.critique and "It read" not in draft.text + draft.critique
    assert any("```" in draft.text for row in chains for draft in row.drafts)
    votes = [vote for row in Stage(tmp_path / "out" / "label").all_rows(Preference) for vote in row.votes]
    assert votes and all(vote.p_a in (pytest.approx(8 / 9), pytest.approx(1 / 9)) for vote in votes)
    for stage in ("sft_set", "prefs"):
        assert "secret" not in str(said(tmp_path / "out", stage))
    seal = Stage(tmp_path / "out" / "revise").seal
    assert seal is not None and seal["dropped"]["cut_while_thinking"]


def test_a_set_keeps_them_where_it_is_told_to(run: Callable[..., Path]) -> None:
    rows = said(run("sft_set.thinking=keep"), "sft_set")
    assert rows
    for row in rows:
        [answer] = row["completion"]
        assert answer["reasoning_content"].startswith("a secret of the writer")
        assert "secret" not in answer["content"]
        assert "secret" not in str(row["prompt"])


def test_people_see_how_long_they_are_and_unfold_them(
    run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run()
    for stage in ("revise", "sample", "label"):
        print_rows(folder, stage, RowQuery(1), Console(width=100))
        folded = capsys.readouterr().out
        assert "secret" not in folded
        assert "words (shown by --thoughts)" in folded
        print_rows(folder, stage, RowQuery(1, thoughts=True), Console(width=100))
        assert "a secret of the writer" in capsys.readouterr().out
    write_report(folder, folder / "report.html")
    page = (folder / "report.html").read_text()
    assert "<summary>thought, 6 words</summary>" in page


@pytest.mark.parametrize(
    ("own", "template"),
    [
        ({}, None),
        ({"thinking": "off"}, {"enable_thinking": False, "thinking": False}),
        (
            {"extra_body": {"chat_template_kwargs": {"thinking": False, "date": "May"}}},
            {"thinking": False, "date": "May"},
        ),
        ({"extra_body": {"top_a": 1}}, None),
    ],
)
def test_a_training_tells_the_chat_template_what_its_role_does(
    write: Write, tmp_path: Path, own: dict[str, Any], template: dict[str, object] | None
) -> None:
    write("prompts.jsonl", '{"prompt": "Why is rye dark?"}\n')
    text = "name: r\nconstitution: principles/harmless.yaml\nmodels: {policy: {local: bundled/smollm2-135m}}\nstages:\n"
    text += (
        "  - prompts: {redteam: prompts.jsonl}\n  - revise: {model: policy}\n  - sft_set: {}\n  - sft: {base: policy}\n"
    )
    recipe = load_recipe(write("trained.yaml", text))
    recipe = replace(recipe, models={"policy": replace(recipe.models["policy"], **own)})
    run = Run(recipe, tmp_path / "run", Screen(Console(quiet=True)))
    assert job_extras(run, run.recipe.block("sft")).get("template") == template
