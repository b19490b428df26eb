"""DPO: each of TRL's losses runs, and settings that do not go together are one sentence."""

import inspect
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cai.recipe.read import load_recipe
from cai.stages.dpo import LOSSES
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.filterwarnings("ignore")
def test_each_of_trl_s_losses_takes_a_step(sets: Path, tiny: Path, tmp_path: Path, arguments: dict[str, Any]) -> None:
    import torch
    from datasets import load_dataset
    from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    files = str(sets / "prefs" / "train.parquet")
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    config = DPOConfig(**arguments, label_smoothing=0.1)
    trainer = DPOTrainer(str(tiny), args=config, train_dataset=rows.select(range(2)))
    for loss in LOSSES:
        trainer.loss_types, trainer.loss_weights = [loss], [1.0]
        before = torch.cat([weight.detach().clone().flatten() for weight in trainer.model.parameters()])
        assert math.isfinite(trainer.train().training_loss), loss
        after = torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])
        assert not torch.equal(before, after), loss
        assert after.isfinite().all(), loss


def test_the_losses_are_those_of_trl_and_of_the_schema() -> None:
    from trl.trainer import dpo_trainer

    schema = json.loads((ROOT / "cai" / "recipe.schema.json").read_text())
    stages = schema["properties"]["stages"]["items"]["properties"]
    assert stages["dpo"]["properties"]["loss_type"]["items"]["enum"] == list(LOSSES)
    # TRL lists them nowhere but in the sentence with which it refuses another.
    refusal = inspect.getsource(dpo_trainer).partition("Unknown loss type: ")[2].partition(")")[0]
    assert set(re.findall(r"'(\w+)'", refusal)) == set(LOSSES)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("loss_type: [sigmod]", "dpo.loss_type[0]: expected one of sigmoid, hinge, ipo, exo_pair"),
        ("loss_weights: [1]", "dpo.loss_weights: has 1 for 2 losses (sigmoid, sft); give each one"),
        ("loss_type: [exo_pair]", "dpo.label_smoothing: must be above 0 for the loss exo_pair"),
        ("loss_type: [robust], label_smoothing: 0.5", "dpo.label_smoothing: must be below 0.5 for the loss robust"),
        ("label_smoothing: 0.1", "dpo.label_smoothing: bears only on the losses robust, exo_pair"),
        ("loss_type: [ipo], soft_labels: true", "dpo.soft_labels: are for the loss sigmoid, found ipo"),
        ("soft_labels: true, trl: {use_weighting: true}", "dpo.soft_labels: do not go together with use_weighting"),
        ("ld_alpha: 2", "dpo.ld_alpha: "),
    ],
)
def test_a_mistake_is_one_clear_sentence(preference_recipe: Callable[[str], Path], keys: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe(preference_recipe(f"dpo: {{base: policy, {keys}}}"))
    assert words in str(error.value)


def test_unless_told_the_chosen_answer_s_likelihood_is_guarded(preference_recipe: Callable[[str], Path]) -> None:
    want = load_recipe(preference_recipe("dpo: {base: policy}")).block("dpo").want
    assert (want.loss_type, want.loss_weights) == (("sigmoid", "sft"), None)
