"""Recipes: what they resolve to, and the sentence for each mistake."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from rich.console import Console

from cai.data.prompts import TRACKS, PromptSource
from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.recipe.checks.stages import unanswered
from cai.recipe.read import load_recipe
from cai.run.context import Run
from cai.stages import STAGES
from cai.stages.grpo import Grpo
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[str, str], Path]
GOOD = """\
name: good
constitution: principles/harmless.yaml
models:
  policy: {local: bundled/smollm2-135m}
  judge: {endpoints: ["http://localhost:1/v1"], model: big}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - revise: {model: policy, rounds: 4}
  - sft_set: {}
  - sft: {base: policy, learning_rate: 1e-5}
  - sample: {model: sft}
  - label: {model: judge}
  - label: {as: second, model: judge, method: logprob}
  - prefs: {from: label}
  - dpo: {base: sft}
"""


def test_a_good_recipe_resolves(write: Write) -> None:
    recipe = load_recipe(write("r.yaml", GOOD))
    assert recipe.block("sft").want.learning_rate == 1e-5
    assert recipe.block("prefs").reads == "label"
    assert recipe.block("second").reads == "sample"
    assert recipe.models["judge"].endpoints == ("http://localhost:1/v1",)


def test_the_shipped_recipe_is_right() -> None:
    assert [block.name for block in load_recipe(ROOT / "runs" / "quickstart.yaml").blocks][-1] == "report"


def test_overrides_reach_stages_models_and_the_top(write: Write) -> None:
    changes = ["stages.1.revise.rounds=2", "stages.2.sft_set.test=0.2", "models.judge.endpoints.0=http://b:1/v1"]
    changes += ["second.method=cot", "models.judge.model=other", "seed=3", "sft.learning_rate=2e-6"]
    recipe = load_recipe(write("r.yaml", GOOD), changes)
    assert recipe.block("revise").want.rounds == 2
    assert recipe.block("sft_set").want.test == 0.2
    assert recipe.models["judge"].endpoints == ("http://b:1/v1",)
    assert recipe.block("second").want.method == "cot"
    assert recipe.models["judge"].model == "other"
    assert recipe.seed == 3
    assert recipe.block("sft").want.learning_rate == 2e-6


PEOPLE = """\
name: r
constitution: principles/harmless.yaml
models: {{}}
stages:
  - pairs: {{path: p.jsonl, columns: {columns}}}
  - label: {{method: people}}
  - prefs: {{}}
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rounds: 4", "round: 4", 'r.yaml:8: stages[1].revise.round: unknown key; did you mean "rounds"?'),
        ("rounds: 4", "rounds: four", 'r.yaml:8: stages[1].revise.rounds: expected a whole number, found "four"'),
        ("rounds: 4", "rounds: 2.0", "expected a whole number, found 2.0; write one of at least 1 and at most 1000"),
        ("rounds: 4", "rounds: 1e308", "stages[1].revise.rounds: expected a whole number, found 1e+308"),
        ("rounds: 4", "rounds: true", "stages[1].revise.rounds: expected a whole number, found true"),
        ("rounds: 4", "rounds: 10000000", "must be at least 1 and at most 1000, found 10000000"),
        (
            "learning_rate: 1e-5",
            "learning_rate: 1e999",
            "expected a number, found inf; write one of more than 0 and at",
        ),
        ("learning_rate: 1e-5", "learning_rate: .nan", 'expected a number, found ".nan"'),
        (
            "  judge: {endpoints",
            "  ../../judge: {endpoints",
            "models: a role's name has letters, digits, . - and _ only",
        ),
        ("name: good", 'name: "good\\n"', "a name has letters, digits, . - and _ only"),
        ("- sft_set", "- sftset", 'stages[2].sftset: unknown key; did you mean "sft_set"?'),
        ("model: sft}", "model: stf}", 'stages[4].sample.model: there is no model "stf"; did you mean "sft"?'),
        ("harmless.yaml", "harmles.yaml", "r.yaml:2: constitution: there is no file principles/harmles.yaml"),
        (
            "principles/harmless.yaml",
            "harmless.yaml",
            'there is no file harmless.yaml beside the recipe or in this folder; did you mean "principles/harmless.yaml"?',
        ),
        ("redteam.jsonl", "none.jsonl", "stages[0].prompts.redteam: there is no file"),
        ("bundled/smollm2-135m", "./nowhere", "models.policy.local: there is no model at ./nowhere"),
        ("bundled/smollm2-135m", "bundled/big", 'there is no bundled model "big"'),
        ("local: bundled/smollm2-135m", "", "models.policy: needs at least 1 key, found none"),
        ("rounds: 4", "rounds: 4, judge: jugde", 'stages[1].revise.judge: there is no model "jugde"'),
        ("  - sft_set: {}\n", "", "stages[2].sft: needs a sft_set or best stage before it"),
        ("as: second, ", "", 'there is already a stage "label"'),
        ("from: label", "from: lable", 'no label stage before this one is called "lable"'),
        ("base: sft}", "base: judge}", '"judge" has no weights to train'),
        (", model: big", "", '"model" is missing: the name under which the endpoints know the model'),
        ("model: judge}\n", "model: judge, clamp: [0.6, 0.9]}\n", "must hold one half between two probabilities"),
        ("model: sft}", "model: sft, n: 3}", "stages[4].sample.n: must be a multiple of group (2), found 3"),
        ("model: sft}", "model: sft, n: 4, group: 4}", "stages[5].label.method: sample gives groups of 4 answers"),
        ("model: judge}\n", "method: cot}\n", "stages[5].label: names no judge"),
        ("model: judge}\n", "model: judge, panel: {judge: 2}}\n", "stages[5].label.panel: stands beside `model`"),
        ("model: judge}\n", "panel: {jugde: 2}}\n", 'stages[5].label.panel: there is no model "jugde"'),
        ("model: judge}\n", "panel: {policy: 1, sft: 1, judge: -1}}\n", "stages[5].label.panel.judge"),
        ("model: judge}\n", "model: judge, method: rules}\n", "label.model: the method rules asks no model"),
        ("model: judge}\n", "model: judge, method: reward}\n", 'label.model: "judge" is no reward model; name one'),
        ("model: judge}\n", "model: judge, combine: minimum}\n", "label.combine: is for several principles"),
        ("model: judge}\n", "model: judge, calibration: none-such}\n", 'there is no calibration "none-such"'),
        ("method: logprob}", "method: logprob, samples: 4}", "label.samples: is for the method cot"),
        (
            "method: logprob}",
            "method: logprob, temperature: 1}",
            "label.temperature: is for the method cot, or `verdict",
        ),
        ("method: logprob}", "method: logprob, verdict: sample}", "expected one of auto, logprobs, sampled"),
        ("method: logprob}", "method: logprob, verdicts: 0}", "label.verdicts: must be at least 1 and at most 64"),
        (
            "method: logprob}",
            "method: logprob, verdict: logprobs, verdicts: 9}",
            "label.verdicts: are for sampled verdicts, and these are read by log-probability",
        ),
        (
            "method: logprob}",
            "method: logprob, verdict: sampled, temperature: 0}",
            "label.verdict: is sampled at temperature 0, at which all samples are the same",
        ),
        ("method: logprob}", "method: score, ties: true}", "label.ties: are for sampled verdicts on two answers"),
        ("method: logprob}", "method: score, names: numbers}", "label.names: are for two answers beside each other"),
        ("rounds: 4", "rounds: 4, names: words", "revise.names: are for a judge that compares, and none is asked here"),
        ("rounds: 4", "rounds: 4, verdict: sampled", "revise.verdict: is for a judge that chooses among options"),
        ("method: logprob}", "method: logprob, rules: {length: 1}}", "label.rules: are for the method rules"),
        ("from: label}", "from: label, margins: [0.6, 0.8, 0.9]}", "prefs.margins: must fall"),
        ("name: good", "name: a/b", "r.yaml:1: name: a name has letters"),
        ("name: good", f"name: {'x' * 101}", "r.yaml:1: name: a name has letters, digits, . - and _ only, and 100"),
        ("name: good", "name: 2024", "r.yaml:1: name: expected text, found 2024; put it in quotes"),
        (
            "name: good",
            "n\u0430me: good",
            "r.yaml:1: n\u0430me: unknown key (written 'n\\u0430me'); did you mean \"name\"?",
        ),
        ("name: good", '"na\u200bme": good', "r.yaml:1: na\\u200bme: unknown key"),
        (
            "as: second",
            "as: constitutions",
            '"constitutions" is a folder that every run has; give the stage another name',
        ),
        ("as: second", "as: logs", '"logs" is a folder that every run has; give the stage another name'),
        (
            "http://localhost:1/v1",
            "http://",
            'models.judge.endpoints[0]: "http://" is no URL, such as http://host:8000/v1',
        ),
        ("http://localhost:1/v1", "http://a:99999/v1", '"http://a:99999/v1" is no URL'),
        ("http://localhost:1/v1", "http://[::1/v1", '"http://[::1/v1" is no URL'),
        ("http://localhost:1/v1", "http://a\\u202eb/v1", '"http://a\\u202eb/v1" is no URL'),
        ("bundled/smollm2-135m", '"a/b\\n"', "models.policy.local: there is no model at a/b"),
        ("bundled/smollm2-135m", "hf/..//x", "models.policy.local: there is no model at hf/..//x"),
        (
            "  - dpo: {base: sft}",
            "  - evaluate: {models: [sft, sft], judge: judge}",
            "stages[8].evaluate.models: names a model twice, which would be compared with itself; take one out",
        ),
        (
            "\n  - sft_set",
            "\n    sft_set",
            "stages[1]: an item holds one step; begin each with a - of its own, found revise",
        ),
    ],
)
def test_a_mistake_is_one_clear_sentence(write: Write, old: str, new: str, words: str) -> None:
    assert old in GOOD
    path = write("r.yaml", GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        load_recipe(path)
    assert words in str(error.value).replace(str(path), "r.yaml")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("{a: left}", "names one answer's column alone; name both, a and b"),
        (
            "{label: [x, y], first: 1}",
            "has several columns under label, of which a 1 says which answer is better; take first out",
        ),
        ("{scale: signed, first: 1}", "has a scale beside first; say either"),
        ("{scale: share, tie: 0.5}", "has a tie beside `scale: share`, where 0.5 is it; take tie out"),
        ("{scale: signed, tie: even}", "has a tie that is no number beside a scale"),
        ('{first: 1, second: "1.0"}', "has first and second of one value"),
        ("{label: [x]}", "stages[0].pairs.columns.label"),
        ("{scale: likert}", "stages[0].pairs.columns.scale"),
        ("{frist: 1}", 'unknown key; did you mean "first"?'),
    ],
)
def test_what_is_said_of_labels_has_to_go_together(write: Write, columns: str, words: str) -> None:
    write("p.jsonl", "{}")
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", PEOPLE.format(columns=columns)))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "columns", ["{first: 1, tie: 0}", "{first: true}", "{scale: signed, tie: 4, means: worse}", "{label: [x, y, z]}"]
)
def test_what_is_said_of_labels_is_taken(write: Write, columns: str) -> None:
    write("p.jsonl", "{}")
    assert load_recipe(write("r.yaml", PEOPLE.format(columns=columns))).block("pairs").want.columns


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("rounds", "is not of the form key=value"),
        ("revise.rounds=[", "not valid YAML"),
        ("revise.rounds=" + "[" * 1500, "nested more than 64 deep"),
        ("revize.rounds=2", 'did you mean "revise"?'),
        ("Seed=2", 'names no stage and no key of the recipe; did you mean "seed"?'),
        ("revise.round=2", 'did you mean "rounds"?'),
        ("prompts.redteam.0.limit=1", 'prompts.redteam is "principles/prompts/redteam.jsonl", with no keys'),
        ("revise.rounds.most=1", "would change nothing: revise.rounds is 4, with no keys; write revise.rounds=…"),
        ("stages.20.revise.rounds=1", 'stages is a list without a place "20"; its places are 0 to 8'),
        ("stages.one.revise.rounds=1", 'stages is a list without a place "one"'),
        ("stages.1.revise.round=1", 'stages[1].revise.round: unknown key; did you mean "rounds"?'),
        ("models.judge.endpoints.0.url=x", 'models.judge.endpoints.0 is "http://localhost:1/v1", with no keys'),
    ],
)
def test_a_wrong_override_is_a_sentence(write: Write, override: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", GOOD), [override])
    assert words in str(error.value)


def test_of_a_thousand_mistakes_the_first_are_told(write: Write) -> None:
    path = write("r.yaml", GOOD + "".join(f"key{number}: 1\n" for number in range(1000)))
    with pytest.raises(InputError) as error:
        load_recipe(path)
    *told, last = str(error.value).splitlines()
    assert len(told) == 50 and "key49" in told[-1] and last == "… and 950 more like these"
    assert len(error.value.problems) == 1000


def numbers(schema: object, keys: str = "") -> Iterator[tuple[str, dict]]:
    """Every entry of a schema that is a number, or may be one, with its keys."""
    for key, value in (
        schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
    ):
        kinds = value.get("type") if isinstance(value, dict) else None
        if {"integer", "number"} & {*([kinds] if isinstance(kinds, str) else kinds or ())}:
            yield f"{keys}/{key}", value
        yield from numbers(value, f"{keys}/{key}")


def test_every_number_has_bounds() -> None:
    schema = json.loads((ROOT / "cai" / "recipe.schema.json").read_text())
    # Where a number may stand for a list of two, the bounds of a guard, any that is finite has a meaning.
    free = [keys for keys, _ in numbers(schema) if "/guards/" in keys and {"warn", "stop"} & {*keys.split("/")}]
    for keys, entry in numbers(schema):
        assert keys in free or ("maximum" in entry and {"minimum", "exclusiveMinimum"} & entry.keys()), keys


def described(schema: dict, key: dict) -> str:
    """What a key's entry says of it, here or where it refers to."""
    found = key.get("description", "")
    for step in key.get("$ref", "").split("/")[1:]:
        schema = schema[step]
    return found or schema["description"]


def test_the_schema_has_the_very_keys_of_the_blocks() -> None:
    schema = json.loads((ROOT / "cai" / "recipe.schema.json").read_text())
    stages = schema["properties"]["stages"]["items"]["properties"]
    assert stages.keys() == STAGES.keys()
    for kind, table in STAGES.items():
        keys = set(stages[kind]["properties"]) - {"as", "from"}
        assert keys == {field.name for field in fields(table.want)}, kind
        required = {
            each.name for each in fields(table.want) if each.default is MISSING and each.default_factory is MISSING
        }
        assert set(stages[kind].get("required", ())) == required, kind
        assert all(described(schema, each) for each in stages[kind]["properties"].values()), kind
    known = {field.name for field in fields(ModelSpec)} - {"role", "members", "trained", "picked"}
    assert {key for name in ("model", "served") for key in schema["$defs"][name]["properties"]} == known
    assert all(each.get("description") for each in schema["$defs"]["served"]["properties"].values())
    assert set(schema["$defs"]["source"]["properties"]) == {field.name for field in fields(PromptSource)}


@pytest.mark.parametrize(
    ("there", "words"), [({"helpful"}, "answers redteam prompts, and p has helpful ones alone"), (TRACKS, "")]
)
def test_a_training_that_would_answer_no_prompt_is_said(there: Iterable[str], words: str) -> None:
    block = Block("grpo", "grpo", Grpo(base="sft", reward="judge", tracks=("redteam",)), "p", ())
    assert unanswered(block, set(there)).startswith(words)
    assert bool(unanswered(block, set(there))) == bool(words)


def test_verdicts_may_be_sampled_wherever_there_is_a_judge(write: Write) -> None:
    changes = ["revise.judge=judge", "revise.verdict=sampled", "second.verdict=sampled", "second.temperature=0.7"]
    changes += ["second.verdicts=9", "second.ties=true", "label.verdict=sampled", "label.temperature=0.7"]
    recipe = load_recipe(write("r.yaml", GOOD), changes)
    assert (recipe.block("revise").want.verdict, recipe.block("second").want.verdicts) == ("sampled", 9)


def test_keys_that_were_added_leave_the_settings_of_a_run_of_before_as_they_were(write: Write, tmp_path: Path) -> None:
    def settings(*changes: str) -> dict[str, object]:
        recipe = load_recipe(write("r.yaml", GOOD), changes)
        return dict(Run(recipe, tmp_path / "run", Screen(Console(quiet=True))).settings("second").block)

    added = {"verdict", "verdicts", "ties"}
    assert not added & settings().keys()
    assert settings("second.verdict=auto", "second.verdicts=5") == settings()
    assert settings("second.verdict=sampled") == settings() | {"verdict": "sampled"}
