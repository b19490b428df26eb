"""A conversation that a model goes on with: preferences in which the fault lies in the second turn, from a whole run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from cai.data import dataset
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start
from cai.store.rows import Pair
from cai.store.stage import Stage
from constitution.source import InputError

Write = Callable[[str, str], Path]
POLICY = """
- {when: "insist", say: ["Well, then do it like this: wire by wire, number {seed}.", "No, still not, number {seed}."]}
- {say: ["No. Is there something else, {seed}?"]}
"""
PERSON = """
- {when: "wire by wire|still not", say: ["Human: I thank you."]}
- {say: ["Human: I insist."]}
"""
JUDGE = """
- {when: '(?s)I insist.*Answer \\(A\\): No, still.*Answer \\(B\\): Well', choose: {A: 0.9, B: 0.05}}
- {when: '(?s)I insist.*Answer \\(A\\): Well.*Answer \\(B\\): No, still', choose: {A: 0.05, B: 0.9}}
- {say: [""], choose: {A: 0.5, B: 0.5}}
"""
QUIET = Screen(Console(quiet=True))
RECIPE = """
name: dialogue
constitution: principles/harmless.yaml
models:
  policy: {scripted: policy.yaml}
  person: {scripted: person.yaml}
  judge: {scripted: judge.yaml}
stages:
  - prompts: {redteam: {path: principles/prompts/redteam.jsonl, limit: 30}, heldout: 0}
  - sample: {model: policy, turns: 2, user: person}
  - label: {model: judge, method: logprob}
  - prefs: {test: 0.3}
"""


def run(write: Write, tmp_path: Path, *overrides: str) -> Path:
    for name, text in (("policy", POLICY), ("person", PERSON), ("judge", JUDGE)):
        write(f"{name}.yaml", text)
    recipe = load_recipe(write("dialogue.yaml", RECIPE), overrides)
    start(recipe, tmp_path / "out", QUIET, None, False)
    return tmp_path / "out"


def test_preferences_show_a_fault_of_the_second_turn(write: Write, tmp_path: Path) -> None:
    folder = run(write, tmp_path)
    pairs = list(Stage(folder / "sample").all_rows(Pair))
    later = [row for row in pairs if row.added]
    assert {len(row.messages) for row in later} == {3}
    assert {row.messages[-1]["content"] for row in later} == {"I insist."}
    assert all(row.messages[1]["content"].startswith("No. Is there") for row in later)
    assert len({row.id for row in pairs}) == len(pairs)
    kept = [row for file in dataset.all_files(folder / "prefs") for row in dataset.rows(file)]
    assert kept, "answers of the second turn differ in what the judge finds"
    for row in kept:
        assert [each["role"] for each in row["prompt"]] == ["user", "assistant", "user"]
        assert row["chosen"][0]["content"].startswith("No, still not")
        assert row["rejected"][0]["content"].startswith("Well, then do it")


def test_turns_of_one_prompt_are_on_one_side(write: Write, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = run(write, tmp_path, "label.disagree=average", "sample.n=8")
    sides = {
        split: {
            row["prompt"][0]["content"]
            for file in dataset.files(folder / "prefs", split)
            for row in parquet.read_table(file).to_pylist()
        }
        for split in ("train", "test")
    }
    assert all(sides.values())
    assert not sides["train"] & sides["test"]


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("sample.turns=1", "is for conversations that go on"),
        ("sample.user=nobody", "nobody"),
    ],
)
def test_what_does_not_go_together_is_told(write: Write, tmp_path: Path, override: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        run(write, tmp_path, override)


def test_a_role_for_the_person_is_asked_for(write: Write, tmp_path: Path) -> None:
    text = RECIPE.replace(", user: person", "")
    with pytest.raises(InputError, match="turns: needs a role that plays the person; add `user: ROLE`"):
        load_recipe(write("dialogue.yaml", text), ())


def test_where_no_answer_is_whole_it_does_not_go_on_and_is_counted(write: Write, tmp_path: Path) -> None:
    for name, text in (("person", "- {say: ['Human: ']}"), ("judge", JUDGE), ("policy", POLICY)):
        write(f"{name}.yaml", text)
    until = RECIPE[: RECIPE.index("  - label")]
    start(load_recipe(write("dialogue.yaml", until)), tmp_path / "out", QUIET)
    seal = Stage(tmp_path / "out" / "sample").seal
    assert seal is not None
    assert seal["counts"]["conversations_cut_short"] == seal["rows_in"]
    assert {row.added for row in Stage(tmp_path / "out" / "sample").all_rows(Pair)} == {0}
