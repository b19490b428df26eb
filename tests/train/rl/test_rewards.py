"""Scores of answers while a policy learns, by judges of any kind."""

import asyncio
from pathlib import Path

from cai.models.types import ModelSpec
from cai.store.rows import Prompt, plain
from cai.train.rl.rewards import Rewards, Scoring
from cai.train.rl.rollout import SeededPrompt

SCRIPT = """\
- {when: "a kind", say: ["The rating is: (9)"]}
- {say: ["The rating is: (2)", "Who knows?"]}
"""


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
