"""A conversation that a model goes on with: sets in which the fault lies in the second turn, from whole runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cai.data import dataset
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start
from cai.stages.dialogue import standing
from cai.store.rows import Chain, Draft, Pair
from cai.store.stage import Stage
from constitution.source import InputError

Write = Callable[[str, str], Path]
POLICY = """
- {when: "^Revision request", say: ["I will not say how, number {seed}."]}
- {when: "(?s)I insist.*Assistant: Well, then.*Critique request", say: ["It gives way at the second time of asking."]}
- {when: "Critique request", say: ["It is curt."]}
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
OTHER = """
name: other
principles:
  - {id: firm, critique: Does it give way?, revision: Stand firm., judgment: Which stands firmer?}
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


REVISED = (
    RECIPE[: RECIPE.index("  - sample")]
    + """
  - revise: {model: policy, turns: 2, user: person, rounds: 1}
  - sft_set: {test: 0.3}
"""
)


def run(write: Write, tmp_path: Path, *overrides: str, text: str = RECIPE, only_changed: bool = False) -> Path:
    for name, script in (("policy", POLICY), ("person", PERSON), ("judge", JUDGE)):
        write(f"{name}.yaml", script)
    recipe = load_recipe(write("dialogue.yaml", text), overrides)
    start(recipe, tmp_path / "out", QUIET, None, only_changed)
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


@pytest.mark.parametrize(
    ("text", "name", "overrides"),
    [(RECIPE, "prefs", ("label.disagree=average", "sample.n=8")), (REVISED, "sft_set", ())],
)
def test_turns_of_one_prompt_are_on_one_side(
    write: Write, tmp_path: Path, text: str, name: str, overrides: tuple[str, ...]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = run(write, tmp_path, *overrides, text=text)
    sides = {
        split: {
            row["prompt"][0]["content"]
            for file in dataset.files(folder / name, split)
            for row in parquet.read_table(file).to_pylist()
        }
        for split in ("train", "test")
    }
    assert all(sides.values())
    assert not sides["train"] & sides["test"]


def test_a_fault_of_the_second_turn_is_revised_in_its_place(write: Write, tmp_path: Path) -> None:
    folder = run(write, tmp_path, text=REVISED)
    chains = {row.id: row for row in Stage(folder / "revise").all_rows(Chain)}
    assert len(chains) == 60
    later = [row for row in chains.values() if row.added]
    for row in later:
        first = chains[row.id.removesuffix("1") + "0"]
        revision = {"role": "assistant", "content": first.drafts[-1].text}
        assert row.messages == (*first.messages, revision, {"role": "user", "content": "I insist."})
        gives_way = row.drafts[0].text.startswith("Well, then")
        assert row.drafts[1].critique == ("It gives way at the second time of asking." if gives_way else "It is curt.")
    assert {draft.text[:10] for row in later for draft in row.drafts} == {"Well, then", "No, still ", "I will not"}
    files = dataset.all_files(folder / "sft_set")
    kept: dict[object, Any] = {row["id"]: row for path in files for row in dataset.rows(path)}
    assert len(kept) == 60
    for row in later:
        assert kept[f"{row.id}/1"]["prompt"] == list(row.messages)
        assert kept[f"{row.id}/1"]["completion"] == [{"role": "assistant", "content": row.drafts[1].text}]
    assert not any(row["completion"][0]["content"].startswith("Well, then") for row in kept.values())


@pytest.mark.parametrize("stage", ["revise", "sample"])
def test_a_changed_constitution_leaves_no_turn_of_before(write: Write, tmp_path: Path, stage: str) -> None:
    text, other = (REVISED if stage == "revise" else RECIPE), write("other.yaml", OTHER)
    before = {row["id"]: row for row in Stage(run(write, tmp_path, text=text) / stage).all_rows(dict)}
    folder = run(write, tmp_path, f"constitution={other}", text=text, only_changed=True)
    after = {row["id"]: row for row in Stage(folder / stage).all_rows(dict)}
    assert after.keys() == before.keys()
    if stage == "revise":
        assert {row["drafts"][1]["principle"] for row in after.values()} == {"firm"}
    else:  # nobody's answers are asked for under a principle
        assert after == before


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


@pytest.mark.parametrize("text", [RECIPE, REVISED])
def test_a_role_for_the_person_is_asked_for(write: Write, text: str) -> None:
    text = text.replace(", user: person", "")
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


def test_no_conversation_goes_on_from_a_revision_that_repeats_what_was_shown() -> None:
    whole, leaked = (
        Draft("Better.", "m", "stop", 1),
        Draft("Keep it polite.", "m", "stop", 2, flags=("leaked_request",)),
    )
    assert standing([leaked, whole]) is whole
    assert standing([leaked]) is None
