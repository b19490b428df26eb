"""A reference that is another model than the base: what DPO and KTO weigh their policy against."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cai.recipe.read import load_recipe
from constitution.source import InputError

Job = Callable[..., Path]
TrainHere = Callable[[str, Path], dict[str, Any]]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def other(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, its weights moved a little."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("other")
    model = AutoModelForCausalLM.from_pretrained(tiny)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    return folder


def first_step(out: Path) -> dict[str, float]:
    return json.loads((out / "metrics.jsonl").read_text().splitlines()[0])


@pytest.mark.parametrize("more", [{}, {"lora": 2}, {"precompute_ref_log_probs": True}])
def test_dpo_weighs_the_policy_against_the_reference_it_is_given(
    sets: Path, tiny: Path, other: Path, tmp_path: Path, job: Job, train_here: TrainHere, more: dict[str, Any]
) -> None:
    """Before the first step the policy is its base, so base and reference exchanged turn the signs of the rewards."""
    rewards = {}
    for name, base, reference in (("there", tiny, other), ("back", other, tiny)):
        file = job("dpo", sets / "prefs", tmp_path / name, max_steps=1, per_device_train_batch_size=12, **more)
        given = json.loads(file.read_text())
        given["block"] |= {"base": str(base), "reference": str(reference)}
        file.write_text(json.dumps(given))
        train_here("dpo", file)
        rewards[name] = first_step(tmp_path / name)["rewards/chosen"]
    assert abs(rewards["there"]) > 0.01
    assert rewards["there"] == pytest.approx(-rewards["back"], rel=1e-3)


def test_kto_weighs_the_policy_against_the_reference_it_is_given(
    sets: Path, other: Path, tmp_path: Path, job: Job, train_here: TrainHere
) -> None:
    for name, reference in (("own", ""), ("given", str(other))):
        train_here("kto", job("kto", sets / "unpaired", tmp_path / name, max_steps=1, reference=reference))
    assert first_step(tmp_path / "own")["logps/chosen"] == first_step(tmp_path / "given")["logps/chosen"]
    assert first_step(tmp_path / "own")["rewards/chosen"] == pytest.approx(0, abs=1e-6)
    assert abs(first_step(tmp_path / "given")["rewards/chosen"]) > 0.001


def test_a_reference_that_is_not_there_is_a_sentence(write: Callable[[str, str], Path], tiny: Path) -> None:
    recipe = """\
name: held
constitution: principles/harmless.yaml
models:
  policy: {local: MODEL}
  judge: {endpoints: ["http://localhost:1/v1"], model: big}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - sample: {model: policy}
  - label: {model: judge}
  - prefs: {}
  - dpo: {base: policy, reference: REFERENCE}
""".replace("MODEL", str(tiny))
    for reference, words in (("./nowhere", "there is no model at ./nowhere"), ("judge", "has no weights")):
        with pytest.raises(InputError, match=rf"dpo\.reference: .*{words}"):
            load_recipe(write("r.yaml", recipe.replace("REFERENCE", reference)))
    assert load_recipe(write("r.yaml", recipe.replace("REFERENCE", str(tiny)))).block("dpo").want.reference == str(tiny)
