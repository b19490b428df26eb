"""Rounds in a recipe: the steps they stand for, the bounds they keep, and the sentence for each mistake."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.summary import sentence
from cai.run.context import Run
from cai.run.rounds import broken
from cai.stages.evaluate import Evaluate, half
from cai.stages.rounds import Bounds
from cai.store.rows import Prompt
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[str, str], Path]
RECIPE = """\
name: good
constitution: principles/harmless.yaml
models:
  start: {local: bundled/smollm2-135m}
  judge: {endpoints: ["http://localhost:1/v1"], model: big}
  labeller: {endpoints: ["http://localhost:2/v1"], model: other}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - rounds:
      times: 3
      init: start
      stages:
        - sample: {model: newest, n: 4}
        - label: {model: labeller}
        - prefs: {}
        - dpo: {base: newest, reference: initial}
      evaluate: {judge: judge, limit: 64}
      until: {kl: 20}
  - evaluate: {models: [start, rounds], judge: judge}
  - report: {}
"""


def run(write: Write, text: str = RECIPE, *overrides: str) -> Run:
    path = write("r.yaml", text)
    return Run(load_recipe(path, overrides), path.parent / "good", Screen(Console(quiet=True)))


def test_a_round_is_steps_of_its_own(write: Write) -> None:
    recipe = run(write).recipe
    assert [block.name for block in recipe.blocks[1:8]] == [
        "round-1/sample",
        "round-1/label",
        "round-1/prefs",
        "round-1/dpo",
        "round-1/evaluate",
        "round-1/verdict",
        "round-2/sample",
    ]
    assert recipe.block("round-2/prefs").reads == "round-2/label"
    assert recipe.block("round-3/sample").reads == recipe.block("round-3/evaluate").reads == "prompts"
    assert [recipe.block(f"round-{number}/sample").want.model for number in (1, 2, 3)] == [
        "start",
        "round-1",
        "round-2",
    ]
    assert [recipe.block(f"round-{number}/dpo").want.base for number in (1, 2, 3)] == ["start", "round-1", "round-2"]
    assert recipe.block("round-3/dpo").want.reference == "start"
    assert recipe.block("round-3/evaluate").want.models == ("round-2", "round-3")
    assert recipe.block("round-3/evaluate").want.limit == 64
    assert recipe.block("round-3/verdict").want.until == Bounds(kl=20)


def test_the_reference_may_be_the_policy_before(write: Write) -> None:
    recipe = run(write, RECIPE.replace("reference: initial", "reference: previous")).recipe
    assert recipe.block("round-3/dpo").want.reference == "round-2"


def test_each_round_trains_with_a_seed_of_its_own_and_where_its_name_says(write: Write) -> None:
    made = run(write)
    assert [made.settings(f"round-{number}/dpo").seed for number in (1, 2, 3)] == [0, 1, 2]
    assert made.weights("round-2").endswith("good/round-2/dpo/model")
    assert made.weights("rounds").endswith("good/rounds/model")


def test_more_rounds_keep_those_that_are_there(write: Write) -> None:
    three, four = run(write), run(write, RECIPE, "rounds.times=4")
    for block in three.recipe.blocks:
        if block.round:
            assert three.settings(block.name).digest() == four.settings(block.name).digest(), block.name
    assert three.settings("rounds").digest() != four.settings("rounds").digest()


def test_other_bounds_change_verdicts_and_no_rows(write: Write) -> None:
    made, other = run(write), run(write, RECIPE, "rounds.until.kl=30")
    changed = {
        block.name
        for block in made.recipe.blocks
        if made.settings(block.name).digest() != other.settings(block.name).digest()
    }
    assert changed == {"round-1/verdict", "round-2/verdict", "round-3/verdict", "rounds", "evaluate", "report"}


def test_an_override_reaches_the_steps_of_all_rounds(write: Write) -> None:
    recipe = run(write, RECIPE, "dpo.beta=0.5", "evaluate.limit=3").recipe
    assert [recipe.block(f"round-{number}/dpo").want.beta for number in (1, 2, 3)] == [0.5] * 3
    assert recipe.block("evaluate").want.limit == 3
    assert recipe.block("round-1/evaluate").want.limit == 64


@pytest.mark.parametrize(
    "steps",
    [
        ["score: {model: labeller}", "unpaired: {good: 4, bad: 2}", "kto: {base: newest, reference: previous}"],
        ["score: {model: labeller}", "best: {}", "sft: {base: newest}"],
        ["label: {model: labeller}", "prefs: {}", "reward: {base: initial}", "ppo: {base: newest, reward: reward}"],
    ],
)
def test_other_trainers_go_round_as_well(write: Write, steps: list[str]) -> None:
    start, end = RECIPE.index("        - label"), RECIPE.index("      evaluate")
    recipe = run(write, RECIPE[:start] + "".join(f"        - {step}\n" for step in steps) + RECIPE[end:]).recipe
    trainer = steps[-1].partition(":")[0]
    assert recipe.block(f"round-2/{trainer}").role == "round-2"
    if trainer == "ppo":
        assert recipe.block("round-2/ppo").want.reward == "round-2/reward"
        assert recipe.block("round-2/ppo").reads == "prompts"


def test_two_blocks_of_rounds_go_by_their_names(write: Write) -> None:
    start, end = RECIPE.index("  - rounds"), RECIPE.index("  - evaluate")
    second = RECIPE[start:end].replace("rounds:\n", "rounds:\n      as: late\n").replace("init: start", "init: rounds")
    recipe = run(write, RECIPE[:end] + second + RECIPE[end:]).recipe
    assert recipe.block("late-1/sample").want.model == "rounds"
    assert recipe.block("late-2/sample").want.model == "late-1"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("init: start", "init: strat", 'stages[1].rounds.init: there is no model "strat"; did you mean "start"?'),
        ("init: start", "init: judge", 'rounds.init: "judge" has no weights to train'),
        ("times: 3", "times: 0", "rounds.times: must be at least 1"),
        ("times: 3", "time: 3", 'rounds.time: unknown key; did you mean "times"?'),
        ("judge: judge, ", "", '"judge" is missing: the role that compares'),
        ("{judge: judge, limit", "{judge: labeller, limit", 'evaluate.judge: "labeller" labels, too, in label'),
        (
            "{judge: judge, limit",
            "{judge: jugde, limit",
            'evaluate.judge: there is no model "jugde"; did you mean "judge"?',
        ),
        ("limit: 64", "models: [start]", "evaluate.models: unknown key"),
        ("model: newest", "model: newset", 'rounds.stages[0].sample.model: there is no model "newset"'),
        (", reference: initial", "", "rounds.stages[3].dpo: does not say what its policy is held to"),
        (
            "reference: initial",
            "referenc: initial",
            'rounds.stages[3].dpo.referenc: unknown key; did you mean "reference"?',
        ),
        ("        - prefs: {}\n", "", "rounds.stages[2].dpo: needs a prefs stage before it"),
        ("- prefs: {}", "- prompts: {}", "rounds.stages[2].prompts: is no step of a round; put it before the rounds"),
        ("- prefs: {}", "- evaluate: {models: [start], judge: judge}", "evaluate: is no step of a round; each round"),
        ("- prefs: {}", "- orpo: {base: newest}", "rounds.stages[2].orpo: trains a policy before the round's end"),
        (
            "        - dpo: {base: newest, reference: initial}\n",
            "",
            "rounds.stages[2].prefs: ends a round without a policy",
        ),
        ("- prefs: {}", "- label: {model: labeller}", 'there is already a stage "round-1/label"'),
        ("until: {kl: 20}", "until: {length: [2, 1]}", "rounds.until.length: must rise"),
        ("until: {kl: 20}", "until: {kl: 0}", "rounds.until.kl: must be more than 0"),
        ("redteam.jsonl}", "redteam.jsonl, heldout: 0}", "rounds.evaluate: compares on held-out prompts, and prompts"),
        ("  - prompts: {redteam: principles/prompts/redteam.jsonl}\n", "", "rounds: needs a prompts stage before it"),
        ("[start, rounds]", "[start, round-2]", 'there is no model "round-2"'),
        ("[start, rounds]", "[start, newest]", 'there is no model "newest"'),
        ("  start: {", "  newest: {local: bundled/smollm2-135m}\n  start: {", 'gives the name "newest" to a policy'),
        ("- report: {}", "- report: {as: round-2}", 'there is already a stage "round-2"'),
        ("redteam.jsonl}", "redteam.jsonl, as: round-2}", 'gives the name "round-2" to a policy, and a stage has it'),
    ],
)
def test_a_mistake_is_one_clear_sentence(write: Write, old: str, new: str, words: str) -> None:
    assert old in RECIPE
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", RECIPE.replace(old, new, 1)))
    assert words in str(error.value)
    assert str(error.value).count("\n") <= 1, "it is said once, not for every round"


def test_rounds_that_never_take_up_the_newest_policy_are_a_sentence(write: Write) -> None:
    with pytest.raises(InputError, match=r"rounds\.stages: never name the newest policy"):
        load_recipe(write("r.yaml", RECIPE.replace("newest", "initial")))


def test_the_same_judge_is_allowed_where_it_is_said(write: Write) -> None:
    text = RECIPE.replace("{judge: judge, limit", "{judge: labeller, limit")
    recipe = load_recipe(write("r.yaml", text.replace("times: 3", "same_judge: true")))
    assert recipe.block("round-1/evaluate").want.judge == recipe.block("round-1/label").want.model == "labeller"


def held_out(count: int) -> list[Prompt]:
    asked = [({"role": "user", "content": f"Question {number}?"},) for number in range(count)]
    return [
        Prompt(f"p{number}", each, "f", "helpful" if number % 3 else "redteam") for number, each in enumerate(asked)
    ]


def test_rounds_accept_on_other_prompts_than_those_that_are_reported_on(write: Write) -> None:
    made = run(write)
    assert [made.half(made.recipe.block(f"round-{number}/evaluate")) for number in (1, 2, 3)] == ["accept"] * 3
    assert made.half(made.recipe.block("evaluate")) == "report"
    rows = held_out(101)
    accepted, reported = half(rows, "accept"), half(rows[::-1], "report")
    assert {row.id for row in accepted} | {row.id for row in reported} == {row.id for row in rows}
    assert not {row.id for row in accepted} & {row.id for row in reported}
    for track in ("redteam", "helpful"):
        both = [sum(row.track == track for row in part) for part in (accepted, reported)]
        assert abs(both[0] - both[1]) <= 1
    kept = run(write, RECIPE, "evaluate.heldout=all")
    assert kept.half(kept.recipe.block("evaluate")) == "all"


def test_a_run_that_was_begun_on_the_same_prompts_goes_on_so(write: Write) -> None:
    made = run(write)
    begun = made.settings("round-1/evaluate").plain()
    assert begun["block"].pop("heldout") == "accept"
    (folder := made.folder / "round-1" / "evaluate").mkdir(parents=True)
    (folder / "begun.json").write_text(json.dumps(begun))
    again = run(write)
    assert {again.half(each) for each in again.recipe.blocks if each.kind == "evaluate"} == {""}
    assert again.settings("round-1/evaluate").plain() == begun


def test_a_recipe_without_rounds_reports_on_all_and_its_settings_are_as_before(write: Write) -> None:
    start, end = RECIPE.index("  - rounds"), RECIPE.index("  - evaluate")
    text = RECIPE[:start] + RECIPE[end:].replace("models: [start, rounds]", "models: [start]")
    made = run(write, text)
    assert made.half(made.recipe.block("evaluate")) == ""
    assert "heldout" not in made.settings("evaluate").block


def test_the_comparison_takes_the_keys_of_evaluate() -> None:
    schema = json.loads((ROOT / "cai" / "recipe.schema.json").read_text())
    block = schema["properties"]["stages"]["items"]["properties"]["rounds"]["properties"]
    assert set(block["evaluate"]["properties"]) == {each.name for each in fields(Evaluate)} - {"models", "against"}
    assert set(block["until"]["properties"]) == {each.name for each in fields(Bounds)}
    assert all(each["description"] for each in block["until"]["properties"].values())


def figures(**other: Any) -> dict[str, Any]:
    compared = {"won": 6, "decided": 10, "win_rate": 0.6, "low": 0.31, "high": 0.83}
    return {"compared": compared, "kl": 3.0, "length": 1.2} | other


UNDECIDED = {"won": 0, "decided": 0, "win_rate": None, "low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    ("until", "seen", "words"),
    [
        (Bounds(), figures(), []),
        (Bounds(win_rate=0.6), figures(), ["its win rate of 60% is not above 60%"]),
        (Bounds(), figures(compared=UNDECIDED), ["the judge decided no comparison"]),
        (Bounds(win_rate=None), figures(compared=UNDECIDED), []),
        (
            Bounds(),
            figures(compared={**figures()["compared"], "left_out": {"empty_answer": 3, "equal_answers": 9}}),
            ["its win rate of 46%, its 3 empty answers counted as lost, is not above 50%"],
        ),
        (Bounds(kl=3.0), figures(), []),
        (Bounds(kl=2.0), figures(), ["its KL of 3 nats an answer is above 2"]),
        (Bounds(kl=2.0), figures(kl=float("nan")), ["its KL of nan nats an answer is above 2"]),
        (Bounds(), figures(length=2.5), ["its answers' length ratio of 2.50 is outside 0.5 to 2"]),
        (Bounds(), figures(length=0.4), ["its answers' length ratio of 0.40 is outside 0.5 to 2"]),
        (Bounds(), figures(length=None), ["the initial policy's answers have no word to measure its length by"]),
        (Bounds(length=None), figures(length=None), []),
    ],
)
def test_a_round_is_accepted_where_all_bounds_hold(until: Bounds, seen: dict[str, Any], words: list[str]) -> None:
    assert broken(until, seen) == words


def test_a_verdict_says_its_numbers() -> None:
    named = {"policy": "round-2", "against": "round-1", "initial": "sft"}
    said = sentence({**named, **figures(), "why": ["its KL of 3 nats an answer is above 2"]})
    assert said == (
        "not accepted, as its KL of 3 nats an answer is above 2; it won 6 of 10 decided comparisons with round-1 (60%; "
        "95%: 31% to 83%); against sft its KL is 3 nats an answer and its length ratio 1.20"
    )
