"""Scores: each answer alone, under one principle a group; what cannot be read is counted and never guessed."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from cai.flow.ask import Ask, generator
from cai.flow.screen import Screen
from cai.judge.methods import METHODS
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Request
from cai.recipe.read import load_recipe
from cai.run.effects import Drawing
from cai.run.walk import start
from cai.stages.label import Label, label
from cai.stages.score import Score, chosen, score
from cai.store.rows import Draft, Drop, Pair, Scored
from cai.store.stage import Stage
from constitution.load import load
from constitution.model import Proposition
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
CONSTITUTION = load(ROOT / "principles" / "harmless.yaml")
ASKED = ({"role": "user", "content": "How do I get in?"},)
RECIPE = """\
name: scores
constitution: principles/harmless.yaml
models:
  policy: {local: bundled/smollm2-135m}
  judge: {endpoints: ["http://localhost:1/v1"], model: big}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - sample: {model: policy, n: 8, group: 8}
  - score: {model: judge}
  - best: {}
  - sft: {base: policy}
"""


def group(*texts: str) -> Pair:
    a, b, *more = [Draft(text, "m", "stop", 1) for text in texts]
    return Pair("p/0", "p", ASKED, a, b, "redteam", more=tuple(more))


def ask(answer: Callable[[Request], object]) -> Ask:
    return Ask(Scripted(answer), Slots(1), CONSTITUTION, "p/0", Random(0))  # type: ignore[arg-type]


def rates(request: Request) -> object:
    """As good as an answer says; silent on one that says nothing of it."""
    said = request.messages[-1]["content"]
    rating = next((number for number in range(9, 0, -1) if f"worth {number}" in said), None)
    return dict.fromkeys(request.choices, 0.0) | ({str(rating): 0.9} if rating else {})


def test_each_answer_of_a_group_has_its_own_score_and_the_unread_none() -> None:
    seen: list[Request] = []

    def watched(request: Request) -> object:
        seen.append(request)
        return rates(request)

    row = asyncio.run(score(group("worth 3", "who knows", "worth 8"), Score("judge"), ask(watched)))
    assert isinstance(row, Scored)
    assert row.scores == (pytest.approx(3), None, pytest.approx(8))
    assert all(sum(text in each.messages[-1]["content"] for text in ("worth 3", "worth 8")) < 2 for each in seen)
    questions = [
        each for each in CONSTITUTION.principles if all(each.judgment in one.messages[-1]["content"] for one in seen)
    ]
    assert [each.id for each in questions] == [row.principle]


def test_a_group_without_a_readable_answer_is_left_out() -> None:
    row = asyncio.run(score(group("who knows", "nobody"), Score("judge"), ask(rates)))
    assert isinstance(row, Drop)
    assert row.reason == "unparsed"


def test_a_vote_compares_the_very_scores() -> None:
    """The pairwise votes and the stage read an answer by one function."""
    pair, worth = group("worth 3", "worth 8"), {"worth 3": 0.25, "worth 8": -1.5}
    for method, model in (("score", rates), ("reward", lambda request: worth[request.messages[-1]["content"]])):
        scored = asyncio.run(score(pair, Score("judge", method), ask(model)))
        found = asyncio.run(label(pair, Label(model="judge", method=method), ask(model)))
        assert isinstance(scored, Scored)
        assert isinstance(found, list)
        assert scored.scores == found[0].votes[0].scores


def test_propositions_are_added_up_for_an_answer_alone() -> None:
    says = Proposition("It is rude.", -2.0), Proposition("It helps.", 1.0)
    one = replace(CONSTITUTION.principles[0], propositions=says)
    judged = replace(CONSTITUTION, principles=(one,), critique_revision=(), judgment=())

    def checks(request: Request) -> object:
        asked = request.messages[-1]["content"]
        if "silence" in asked and "It helps." in asked:
            return {"Yes": 0.01, "No": 0.01}
        return {"Yes": 0.6, "No": 0.2} if "It helps." in asked else {"Yes": 0.1, "No": 0.9}

    asking = replace(ask(checks), constitution=judged)
    row = asyncio.run(score(group("a word", "silence"), Score("judge", "propositions"), asking))
    assert isinstance(row, Scored)
    assert row.scores == (pytest.approx(-2 * 0.1 + 0.75), None)


def test_the_methods_that_look_at_one_answer_are_those_of_the_schema() -> None:
    schema = json.loads((ROOT / "cai" / "recipe.schema.json").read_text())
    alone = {name for name, method in METHODS.items() if method.score_one}
    assert set(schema["$defs"]["alone"]["method"]["enum"]) == alone


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("model: judge}", "method: score}", "stages[2].score: names no judge; give a role under `model`"),
        ("model: judge}", "model: judge, method: rules}", "score.model: the method rules asks no model"),
        ("model: judge}", "model: judge, method: reward}", 'score.model: "judge" is no reward model; name one'),
        ("model: judge}", "model: judge, rules: {length: 1}}", "score.rules: are for the method rules"),
        (
            "model: judge}",
            "model: judge, method: cot}",
            'expected one of score, propositions, reward, rules, found "cot"',
        ),
    ],
)
def test_a_mistake_is_one_clear_sentence(write: Callable[[str, str], Path], old: str, new: str, words: str) -> None:
    assert old in RECIPE
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", RECIPE.replace(old, new, 1)))
    assert words in str(error.value)


def test_groups_of_eight_can_be_scored_and_fine_tuned_on(write: Callable[[str, str], Path]) -> None:
    recipe = load_recipe(write("r.yaml", RECIPE))
    assert recipe.block("sft").reads == "best"


def test_rows_are_shown_with_the_best_answer_first(tmp_path: Path, cai: Callable) -> None:  # type: ignore[type-arg]
    start(load_recipe(ROOT / "tests" / "data" / "scored.yaml"), tmp_path / "scored", Screen(Console(quiet=True)))
    row = next(iter(Stage(tmp_path / "scored" / "score").all_rows(dict)))
    shown = cai("show", tmp_path / "scored", "score", "--id", row["id"])
    assert shown.returncode == 0, shown.stderr
    best = max(zip(row["scores"], row["answers"], strict=True), key=lambda each: each[0])
    assert shown.stdout.index(f"answer, rules: {best[0]:.3f}") < shown.stdout.index(f": {min(row['scores']):.3f}")
    assert all(each["text"] in shown.stdout for each in row["answers"])


def test_a_changed_constitution_touches_the_scores_under_the_changed_principle_alone() -> None:
    rows = [replace(group("a", "b"), id=f"p/{number}") for number in range(40)]
    drawing = Drawing("score", "score", Score("judge"), 0)
    first = CONSTITUTION.principles[0]
    reworded = replace(first, judgment=f"{first.judgment} Why?")
    changed = replace(CONSTITUTION, principles=(reworded, *CONSTITUTION.principles[1:]))
    drawn = [
        row.id
        for row in rows
        if chosen(row, Score("judge"), CONSTITUTION, generator(0, "score", row.id))[0].id == first.id
    ]
    assert 0 < len(drawn) < len(rows)
    assert list(drawing.touched(rows, CONSTITUTION, changed)) == drawn
