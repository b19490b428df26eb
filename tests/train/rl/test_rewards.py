"""Scores of answers while a policy learns, by judges of any kind: counted in the run's file, and held to the budget."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cai.errors import RunError
from cai.models.spec import ModelSpec
from cai.store.rows import Prompt, plain
from cai.store.spending import Spending
from cai.train.rl.rewards import Rewards, Scoring
from cai.train.rl.rollout import SeededPrompt

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
    once = Spending(tmp_path / "spent.jsonl").of("grpo")["judge"].tokens
    assert once[0] > 0
    with pytest.raises(RunError, match=r"of the budget of .* is spent \(judge "):
        asyncio.run(scored(replace(scoring, budget=sum(once) / 1000 + 0.0001)))
    assert Spending(tmp_path / "spent.jsonl").of("grpo")["judge"].tokens == once
    (others := Spending(tmp_path / "spent.jsonl")).add(
        "label", "policy", (9, 0, 9), 5000.0
    )  # which are no matter of its share
    others.save()
    assert all(asyncio.run(scored(replace(scoring, budget=1000.0))))
    assert Spending(tmp_path / "spent.jsonl").of("grpo")["judge"].tokens == [2 * count for count in once]


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


def test_an_answer_of_nothing_is_judged_by_nobody(tmp_path: Path) -> None:
    """As where a policy was cut off while thinking: a judge may well find silence best."""
    (script := tmp_path / "script.yaml").write_text('- {say: ["The rating is: (9)"]}')
    judge = ModelSpec("judge", scripted=str(script))
    scoring = Scoring("score", "principles/harmless.yaml", "", spec=judge, verdict="sampled", verdicts=1)
    row = Prompt("p", ({"role": "user", "content": "Hi"},), "", "redteam")
    asked = [SeededPrompt(row, seed) for seed in range(2)]
    assert asyncio.run(Rewards(scoring).score(asked, ["Hello.", ""])) == [9.0, None]
