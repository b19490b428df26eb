"""The keys of trainers' configs, read without an import: those of the configs themselves, and what a recipe is told of others."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.recipe.read import load_recipe
from cai.stages import STAGES
from cai.stages.train import Train
from cai.train.launch import configs
from constitution.source import InputError

FIELDS = """
import json, sys
from dataclasses import fields
from importlib import import_module
names = [name.rpartition(".") for name in json.loads(sys.argv[1])]
print(json.dumps([[each.name for each in fields(getattr(import_module(module), name))] for module, _, name in names]))
"""


def test_every_trainer_has_a_config() -> None:
    assert configs.CONFIGS.keys() == {kind for kind, stage in STAGES.items() if issubclass(stage.want, Train)}


def test_the_keys_read_from_the_source_are_the_fields_of_the_configs_themselves() -> None:
    line = [sys.executable, "-W", "ignore", "-c", FIELDS, json.dumps(list(configs.CONFIGS.values()))]
    ran = subprocess.run(line, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    real = dict(zip(configs.CONFIGS, json.loads(ran.stdout), strict=True))
    assert {kind: sorted(configs.keys(kind)) for kind in real} == {kind: sorted(names) for kind, names in real.items()}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("{weigth_decay: 0.1}", 'r.yaml:10: stages[4].dpo.trl.weigth_decay: unknown key; did you mean "weight_decay"?'),
        ("{zzz: 1}", "dpo.trl.zzz: unknown key; trl.DPOConfig has none like it; take it out"),
        ("{learning_rate: 1.0}", "stages[4].dpo.trl: learning_rate is a key of the block itself; write it there"),
    ],
)
def test_a_key_that_is_none_of_the_config_s_is_a_sentence(
    preference_recipe: Callable[[str], Path], keys: str, words: str
) -> None:
    with pytest.raises(InputError) as error:
        load_recipe(preference_recipe(f"dpo: {{base: policy, trl: {keys}}}"))
    assert words in str(error.value)


def test_a_recipe_with_keys_for_a_trainer_is_checked_without_torch(preference_recipe: Callable[[str], Path]) -> None:
    path = preference_recipe("dpo: {base: policy, trl: {weight_decay: 0.1}}")
    code = f"import sys; from pathlib import Path; from cai.recipe.read import load_recipe; load_recipe(Path({str(path)!r})); "
    code += "print(sorted({'torch', 'trl', 'transformers'} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "[]\n", ran.stderr
