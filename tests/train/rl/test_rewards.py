"""Scores of answers while a policy learns, by judges of any kind: counted in the run's file, and held to the budget."""

import asyncio
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai.errors import RunError
from cai.models.spec import ModelSpec
from cai.store.rows import Prompt, plain
from cai.store.spending import Spending
from cai.train.rl.rewards import Rewards, Scoring
from cai.train.rl.rollout import ChatTokens, SeededPrompt

PRICE = {"in": 1000.0, "out": 1000.0}
SCRIPT = """\
- {when: "a kind", say: ["The rating is: (9)"]}
- {say: ["The rating is: (2)", "Who knows?"]}
"""


def test_what_a_training_asks_a_judge_is_counted_and_bounded(tmp_path: Path) -> None:
    (script := tmp_path / "script.yaml").write_text("- {choose: {'4': 0.9, '1': 0.1}}\n")
    judge = ModelSpec("judge", scripted=str(script), price=PRICE)
    scoring = Scoring(
        "score", "principles/harmless.yaml", "", spec=judge, stage="grpo", spent=str(tmp_path / "spent.jsonl")
    )
    row = Prompt("p", ({"role": "user", "content": "Why is rye dark?"},), "f", "helpful")
    asked = [SeededPrompt(row, seed) for seed in range(4)]

    async def scored(given: Scoring) -> list[float | None]:
        rewards = Rewards(given)
        try:
            return await rewards.score(asked, ["Its bran."] * 4)
        finally:
            await rewards.close()

    assert all(asyncio.run(scored(scoring)))
    once = Spending(tmp_path / "spent.jsonl").of("grpo")["judge"]
    assert once[0] > 0
    with pytest.raises(RunError, match=r"of the budget of .* is spent \(judge "):
        asyncio.run(scored(replace(scoring, budget=sum(once) / 1000 + 0.0001)))
    assert Spending(tmp_path / "spent.jsonl").of("grpo")["judge"] == once
    assert all(asyncio.run(scored(replace(scoring, budget=1000.0))))
    assert Spending(tmp_path / "spent.jsonl").of("grpo")["judge"] == [2 * count for count in once]


def test_a_judge_without_log_probabilities_scores_answers_as_well(tmp_path: Path) -> None:
    script = tmp_path / "judge.yaml"
    script.write_text(SCRIPT)
    spec = plain(ModelSpec("judge", scripted=str(script)))
    given = {"method": "score", "constitution": "principles/harmless.yaml", "logs": str(tmp_path), "spec": spec}
    scoring = Scoring.read({**given, "verdicts": 3})
    assert (scoring.verdict, scoring.verdicts) == ("auto", 3)
    row = Prompt("p", ({"role": "user", "content": "Hi"},), "", "redteam")
    asked = [SeededPrompt(row, seed) for seed in range(16)]
    found = asyncio.run(Rewards(scoring).score(asked, ["a kind answer"] * 8 + ["an answer"] * 8))
    assert found[:8] == [9.0] * 8
    assert set(found[8:]) == {2.0, None}  # and none is guessed


@pytest.mark.parametrize(
    "said",
    [
        {"thinking": "off"},
        {"thinking": {"budget": 300}},
        {"price": PRICE, "batch": True, "api": "anthropic"},
        {"headers_env": {"X-Org": "ORG"}, "extra_body": {"a": {"b": [1, None]}}, "temperature": 0.5},
        {"members": (ModelSpec("one", reward="folder", thinking={"budget": 5}),)},
    ],
)
def test_a_job_file_brings_a_judge_over_as_the_recipe_has_it(said: dict[str, object]) -> None:
    judge = replace(ModelSpec("judge", endpoints=("http://a/v1",), model="big"), **said)
    data = {"method": "score", "constitution": "c", "logs": "", "spec": plain(judge)}
    assert Scoring.read(json.loads(json.dumps(data))).spec == judge


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("<think>\nHow would a kind one go?\n</think>\n\nGo away.", 2.0),
        ("How would a kind one go?\n</think>\n\nGo away.", 2.0),
        ("<think>\nGo away?\n</think>\n\nHere is a kind answer.", 9.0),
        ("<think>\nHow would a kind one go?", None),
        ("Here is a kind answer on <think> and </think>.", 9.0),
    ],
)
def test_what_a_policy_thought_is_shown_to_no_judge(answer: str, score: float | None, tmp_path: Path) -> None:
    (script := tmp_path / "script.yaml").write_text(SCRIPT.replace(', "Who knows?"', ""))
    judge = ModelSpec("judge", scripted=str(script))
    scoring = Scoring("score", "principles/harmless.yaml", "", spec=judge, verdict="sampled", verdicts=1)
    asked = SeededPrompt(Prompt("p", ({"role": "user", "content": "Hi"},), "", "redteam"), 1)
    assert asyncio.run(Rewards(scoring).score([asked], [answer])) == [score]


def test_a_thought_that_the_template_opens_is_one_in_what_is_scored(tokenizer: Any) -> None:
    own = copy.deepcopy(tokenizer)
    own.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}{{ 'Now: <think>\n' }}"
    asked = ({"role": "user", "content": "Hi"},)
    assert ChatTokens(own).said(asked, "Hm, and") == "<think>\nHm, and"
    assert ChatTokens(tokenizer).said(asked, "Hello! ") == "Hello!"
