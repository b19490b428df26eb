"""Reward roles of a recipe: an ensemble is several steps, a combination several roles."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.context import Run
from constitution.source import InputError

Write = Callable[[str, str], Path]
RECIPE = """\
name: good
constitution: principles/harmless.yaml
models:
  policy: {local: bundled/smollm2-135m}
  judge: {endpoints: ["http://localhost:1/v1"], model: big}
  there: {endpoints: ["http://localhost:2/v1"], model: rm, scores: true}
  both: {rewards: {reward: 1.0, there: 0.5}, combine: safety_first, safety: there}
  careful: {rewards: {reward: 1.0}, combine: mean, spread: 1.0}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - sample: {model: policy}
  - label: {model: judge}
  - prefs: {}
  - reward: {base: policy, ensemble: 3}
  - label: {as: again, from: sample, model: both, method: reward}
  - label: {as: third, from: sample, model: careful, method: reward}
  - label: {as: fourth, from: sample, model: reward-2, method: reward}
"""


def run(write: Write, text: str = RECIPE, *overrides: str) -> Run:
    path = write("r.yaml", text)
    return Run(load_recipe(path, overrides), path.parent / "good", Screen(Console(quiet=True)))


def test_an_ensemble_is_steps_that_differ_in_their_seeds(write: Write) -> None:
    made = run(write)
    names = ["reward", "reward-2", "reward-3"]
    assert [block.name for block in made.recipe.blocks if block.kind == "reward"] == names
    settings = [made.settings(name) for name in names]
    assert [each.seed for each in settings] == [0, 1, 2]
    assert len({replace(each, stage="", seed=0).digest() for each in settings}) == 1


def test_a_larger_ensemble_keeps_the_models_that_are_there(write: Write) -> None:
    three, four = run(write), run(write, RECIPE, "reward.ensemble=4")
    for name in ("reward", "reward-2", "reward-3"):
        assert three.settings(name).digest() == four.settings(name).digest()
    assert three.settings("again").digest() != four.settings("again").digest()


def test_the_role_of_an_ensemble_means_all_its_models(write: Write) -> None:
    made = run(write)
    names = ["reward", "reward-2", "reward-3"]
    whole = made.spec("reward")
    assert [Path(each.reward).parent.name for each in whole.members] == names
    assert whole.combine == "mean"
    assert Path(made.spec("reward-2").reward).parent.name == "reward-2"
    both = made.spec("both")
    assert [each.role for each in both.members] == ["reward", "there"]
    assert [each.role for each in both.members[0].members] == names
    careful = made.spec("careful")
    assert [each.role for each in careful.members] == names
    assert careful.spread == 1.0
    assert made.settings("again").inputs.keys() == {"sample", *names}
    assert made.settings("fourth").inputs.keys() == {"sample", "reward-2"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("there: 0.5", "ther: 0.5", 'models.both.rewards.ther: there is no reward model "ther"; did you mean "there"?'),
        ("there: 0.5", "judge: 0.5", 'there is no reward model "judge"'),
        (", safety: there", "", "models.both.safety: safety_first needs to know the safety model"),
        ("model: rm, scores: true", "model: rm", 'models.both.rewards.there: there is no reward model "there"'),
        ("model: big", "model: big, backend: vllm", "models.judge.backend: is for `reward`"),
        (
            "{local: bundled/smollm2-135m}",
            "{local: bundled/smollm2-135m, spread: 1}",
            "policy.spread: is for `rewards`",
        ),
        ("model: judge}", "model: both, method: reward}", '"both" needs reward, which is trained after this step'),
        ("as: fourth", "as: reward-3", 'there is already a stage "reward-3"'),
        ("ensemble: 3", "margin: true", "reward.margin: is for hard labels"),
    ],
)
def test_a_mistake_is_one_clear_sentence(write: Write, old: str, new: str, words: str) -> None:
    assert old in RECIPE
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", RECIPE.replace(old, new, 1)))
    assert words in str(error.value)
