"""KTO: good and bad answers are needed, more than one in a batch, and other prompts beside each."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from cai.recipe.read import load_recipe
from constitution.source import InputError

DATA = Path(__file__).resolve().parents[1] / "data"


def test_a_batch_of_one_is_a_sentence(write: Callable[[str, str], Path]) -> None:
    text = (DATA / "scored.yaml").read_text().replace("script.yaml", str(DATA / "script.yaml"))
    stage = "  - kto: {base: HuggingFaceTB/SmolLM2-135M, per_device_train_batch_size: 1KEYS}\n"
    with pytest.raises(InputError, match=r"kto\.per_device_train_batch_size: must be 2 or more"):
        load_recipe(write("r.yaml", text + stage.replace("KEYS", "")))
    load_recipe(write("r.yaml", text + stage.replace("KEYS", ", loss_type: apo_zero_unpaired")))


@pytest.mark.filterwarnings("ignore")
def test_without_bad_answers_there_is_nothing_to_learn(
    sets: Path, tmp_path: Path, job: Callable[..., Path], train_here: Callable[[str, Path], dict[str, Any]]
) -> None:
    table = parquet.read_table(sets / "unpaired" / "train.parquet")
    only = table.filter(table["label"])
    assert 0 < len(only) < len(table)
    (tmp_path / "data").mkdir()
    parquet.write_table(only, tmp_path / "data" / "train.parquet")
    with pytest.raises(ValueError, match="no answer is marked as bad"):
        train_here("kto", job("kto", tmp_path / "data", tmp_path / "out"))


@pytest.mark.filterwarnings("ignore")
def test_answers_to_one_prompt_do_not_stand_together(
    sets: Path,
    tmp_path: Path,
    job: Callable[..., Path],
    train_here: Callable[[str, Path], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TRL takes rows in order and measures the divergence on a batch's other answers: they must be to other prompts."""
    from cai.train import kto

    seen: list[list[str]] = []

    class Watched(kto.KTOTrainer):
        def __init__(self, **kwargs: Any) -> None:
            seen.append([row["prompt"][-1]["content"] for row in kwargs["train_dataset"]])
            super().__init__(**kwargs)

    monkeypatch.setattr(kto, "KTOTrainer", Watched)
    train_here("kto", job("kto", sets / "unpaired", tmp_path / "out", max_steps=1))
    stored = [
        row["prompt"][-1]["content"] for row in parquet.read_table(sets / "unpaired" / "train.parquet").to_pylist()
    ]

    def together(prompts: list[str]) -> int:
        return sum(one == other for one, other in pairwise(prompts))

    assert sorted(seen[0]) == sorted(stored)
    assert together(seen[0]) < together(stored)
