"""Good and bad answers by two thresholds, with a dead band between them."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from rich.console import Console

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start
from cai.stages.unpaired import Unpaired, unpaired
from cai.store.rows import Drop, Scored
from cai.store.stage import Stage
from constitution.source import InputError

Group = Callable[..., Scored]

DATA = Path(__file__).resolve().parents[1] / "data"


def test_what_lies_between_is_left_out_and_counted(group: Group) -> None:
    counts: Counter[str] = Counter()
    rows = [group(2.0, 4.0, None, 5.0, 7.0, 3.9), group(4.5, 6.0, id="q/0"), group(8.0, 9.0, finish="ll", id="r/0")]
    first, second, third = unpaired(rows, Unpaired(good=7.0, bad=4.0), counts)
    assert isinstance(first, list)
    marks = {each["completion"][0]["content"]: each["label"] for each in first}
    assert marks == {"a0": False, "a1": False, "a4": True, "a5": False}
    assert isinstance(second, Drop)
    assert isinstance(third, Drop)
    assert (second.reason, third.reason) == ("dead_band", "truncated")
    assert counts == {"good": 1, "bad": 3, "dead_band": 3, "unparsed_answers": 1, "truncated_answers": 2}


def test_thresholds_the_wrong_way_round_are_a_sentence() -> None:
    with pytest.raises(InputError, match=r"unpaired\.bad: must be below good \(4\.5\), found 5"):
        load_recipe(DATA / "scored.yaml", ["unpaired.bad=5"])


@pytest.mark.parametrize(
    ("override", "words"),
    [("unpaired.good=20", "good: is above every rating"), ("unpaired.bad=0.5", "bad: is below every rating")],
)
def test_a_threshold_beyond_the_ratings_is_a_sentence(override: str, words: str, tmp_path: Path) -> None:
    text = (
        (DATA / "scored.yaml")
        .read_text()
        .replace("{method: rules, rules: {refusal: -1, length: 100}}", "{model: policy}")
    )
    rated = tmp_path / "rated.yaml"
    rated.write_text(text.replace("script.yaml", str(DATA / "script.yaml")))
    assert load_recipe(rated)
    with pytest.raises(InputError, match=rf"unpaired\.{words}: the method score gives 1 to 10, found"):
        load_recipe(rated, [override])


def test_the_dataset_is_split_by_prompt_its_labels_are_true_or_false_and_its_ledger_adds_up(tmp_path: Path) -> None:
    start(load_recipe(DATA / "scored.yaml"), tmp_path / "run", Screen(Console(quiet=True)))
    sides = [parquet.read_table(tmp_path / "run" / "unpaired" / f"{split}.parquet") for split in ("train", "test")]
    assert sides[0].column_names == ["prompt", "completion", "label", "id", "track"]
    prompts = [{row["prompt"][-1]["content"] for row in side.to_pylist()} for side in sides]
    assert prompts[0]
    assert prompts[1]
    assert not prompts[0] & prompts[1]
    scores = {
        f"{row['id']}/{number}": score
        for row in Stage(tmp_path / "run" / "score").all_rows(dict)
        for number, score in enumerate(row["scores"])
    }
    marked = [row for side in sides for row in side.to_pylist()]
    assert {row["label"] for row in marked} == {True, False}
    assert all((scores[row["id"]] >= 4.5) is row["label"] for row in marked)
    for name in ("score", "best", "unpaired", "ranked"):
        seal = Stage(tmp_path / "run" / name).seal or {}
        assert seal["rows_in"] == seal["rows_kept"] + sum(seal["dropped"].values()), name
    assert (Stage(tmp_path / "run" / "unpaired").seal or {})["counts"]["good"] == sum(row["label"] for row in marked)
