"""What a machine lacks for a recipe is a sentence before anything starts, whatever the machine that says so has."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cai.models.machine import PACKAGES, Machine
from cai.recipe.read import load_recipe
from constitution.source import InputError

Write = Callable[[str, str], Path]
RECIPE = """\
name: lacking
constitution: principles/harmless.yaml
hardware: zero3
models:
  policy: {vllm: {model: bundled/smollm2-135m, tensor_parallel: 1}}
  small: {local: bundled/smollm2-135m}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl, helpful: {hub: owner/name, limit: 10}}
  - sample: {model: small}
  - revise: {model: policy}
  - sft_set: {hygiene: [wrong_language], dedupe: near}
  - sft: {base: policy, packing: true}
"""
GPU = ("0",)


def machine(*missing: str) -> Machine:
    return Machine(GPU, frozenset(PACKAGES) - {*missing})


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("vllm", "models.policy: vLLM is not installed; use `local:` or `endpoints:` instead, or run: make install"),
        ("transformers", "models.small.local: is loaded by the package transformers, which is not here; run: make"),
        ("trl", "stages[4].sft: training needs the package trl; run: make install"),
        ("py3langid", "stages[3].sft_set.hygiene: wrong_language needs the package py3langid; run: make install"),
        ("datasketch", "stages[3].sft_set.dedupe: near needs the package datasketch; take exact, or run: make install"),
        ("datasets", "stages[0].prompts: reading a Hub dataset needs the package datasets; give a file, or run: make"),
        ("flash_attn", "stages[4].sft.packing: needs FlashAttention, and the package flash-attn is not installed"),
        ("deepspeed", "hardware: zero3 needs the package deepspeed; run: pip install deepspeed"),
        ("tensorboard", "logs: tensorboard needs the package tensorboard; run: pip install tensorboard"),
    ],
)
def test_a_package_that_is_missing_is_one_sentence(write: Write, missing: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", RECIPE), machine=machine(missing))
    [problem] = error.value.problems
    assert words in str(problem)


def test_a_machine_that_has_all_of_it_runs_the_recipe(write: Write) -> None:
    assert load_recipe(write("r.yaml", RECIPE), machine=machine()).name == "lacking"


def test_what_other_machines_do_this_one_need_not_have(write: Write) -> None:
    other = Machine((), frozenset(PACKAGES) - {"transformers", "flash_attn", "deepspeed"}, serves_here=False)
    assert load_recipe(write("r.yaml", RECIPE), machine=other).hardware.kind == "zero3"


OVER_A_CLUSTER = """\
name: clustered
constitution: principles/harmless.yaml
budget: 5
models:
  policy: {endpoints: ["http://a/v1"], model: m, batch: true, price: {in: 1, out: 2}}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - revise: {model: policy}
"""


def test_what_one_machine_alone_can_keep_is_refused_over_a_cluster_before_it_is_joined(write: Write) -> None:
    path = write("r.yaml", OVER_A_CLUSTER)
    assert load_recipe(path, machine=Machine()).budget == 5
    with pytest.raises(InputError) as error:
        load_recipe(path, machine=Machine(serves_here=False))
    assert [str(each).partition("r.yaml:")[2] for each in error.value.problems] == [
        "3: budget: is not kept over a cluster, whose machines ask each for itself; take it out, or run without --ray",
        "5: models.policy.batch: batches are handed in by one machine; take it out, or run without --ray",
    ]
