"""Chains and preferences into datasets: columns, splits, and TRL's eye on them."""

from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from rich.console import Console

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start
from cai.stages.prefs import margin
from cai.store.stage import Stage

DATA = Path(__file__).resolve().parents[1] / "data"
SFT = {"prompt", "completion", "id", "source", "track", "principles", "revision"}
PREFS = {
    "prompt",
    "chosen",
    "rejected",
    "chosen_prob",
    "chosen_prob_raw",
    "margin",
    "principles",
    "judge",
    "id",
    "track",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run, which no test changes."""
    recipe, out = load_recipe(DATA / "scripted.yaml"), tmp_path_factory.mktemp("sets")
    start(recipe, out / recipe.name, Screen(Console(quiet=True)))
    return out / recipe.name


def rows(folder: Path, split: str) -> list[dict]:
    return parquet.read_table(folder / f"{split}.parquet").to_pylist()


def test_columns_are_those_of_the_contract(run: Path) -> None:
    assert set(rows(run / "sft_set", "train")[0]) == SFT
    assert set(rows(run / "prefs", "train")[0]) == PREFS


@pytest.mark.parametrize("name", ["sft_set", "prefs"])
def test_no_prompt_is_on_both_sides(run: Path, name: str) -> None:
    sides = [{row["prompt"][-1]["content"] for row in rows(run / name, split)} for split in ("train", "test")]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_no_held_out_prompt_is_trained_on(run: Path) -> None:
    aside = {row["messages"][-1]["content"] for row in Stage(run / "prompts" / "heldout").all_rows(dict)}
    assert aside
    for name in ("sft_set", "prefs"):
        used = {row["prompt"][-1]["content"] for split in ("train", "test") for row in rows(run / name, split)}
        assert not used & aside


def test_revisions_of_all_rounds_and_helpful_answers_are_examples(run: Path) -> None:
    examples = rows(run / "sft_set", "train") + rows(run / "sft_set", "test")
    assert {row["revision"] for row in examples if row["track"] == "redteam"} == {1, 2}
    assert {row["revision"] for row in examples if row["track"] == "helpful"} == {0}
    assert all(len(row["principles"]) == row["revision"] for row in examples)


def test_the_chosen_answer_is_the_likelier_one(run: Path) -> None:
    preferences = {row["id"]: row for row in Stage(run / "label").all_rows(dict)}
    for row in rows(run / "prefs", "train"):
        label = preferences[row["id"]]
        better = label["pair"]["a" if label["p_a"] >= 0.5 else "b"]["text"]
        assert row["chosen"] == [{"role": "assistant", "content": better}]
        assert row["chosen_prob"] >= 0.5
        assert row["chosen_prob_raw"] == pytest.approx(max(label["p_a"], 1 - label["p_a"]))


def test_margins_come_in_steps() -> None:
    assert [margin(p) for p in (0.5, 0.65, 0.8, 0.99)] == [0.0, 1 / 3, 2 / 3, 1.0]


def test_datasets_load_by_folder_with_their_splits(run: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    loaded = load_dataset(str(run / "prefs"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train", "test"}
    assert loaded["train"][0]["chosen"][0]["role"] == "assistant"
    assert "seed 7" in (run / "prefs" / "README.md").read_text()
