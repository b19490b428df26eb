"""What cannot be learnt from is left out and counted, what is written is seen, and an answer that is cut costs what it costs."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from toy import END, by_text, loop, settings, tokenizer

from cai.stages.grpo import Grpo
from cai.stages.ppo import Ppo
from cai.stages.rloo import Rloo
from cai.train import ppo
from cai.train.rl import kl
from cai.train.rl.rewards import Scoring
from cai.train.rl.rollout import ChatTokens, Sample

CONSTITUTION = "principles/harmless.yaml"
ANSWERS = ([4, 5, END], [4, 5, 6])
"""One that ends, and one that is cut."""


class Written:
    """Answers that are given, one after the other and again."""

    def __init__(self, answers: Sequence[Sequence[int]]) -> None:
        self.answers = answers

    def write(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Sample]:
        return [Sample(self.answers[number % len(self.answers)]) for number in range(len(prompts))]

    def new_weights(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.filterwarnings("ignore")
def test_an_answer_that_is_cut_costs_the_same_everywhere(tmp_path: Path) -> None:
    from cai.train.shared.groups import GroupReward
    from cai.train.shared.job import Job

    trained = loop(settings(batch_size=2, missing_eos_penalty=0.7), by_text(lambda text: -float(len(text.split()))), 1)
    trained.writer = Written(ANSWERS)
    rollout = trained.rollout(trained.task.batch(1))
    scores = trained.experience(rollout).readable_scores()
    assert scores == pytest.approx([-2.0, -3.7])
    scoring = Scoring("rules", CONSTITUTION, "", rules={"length": -100.0})  # minus one for each word
    state: Any = SimpleNamespace(global_step=0, is_world_process_zero=False)
    for block in (Grpo, Rloo):
        job = Job(block.__name__.lower(), block("toy", missing_eos_penalty=0.7), tmp_path, tmp_path, 0, scoring)
        reward = GroupReward(job, trained.task.questions, trained.talk)
        assert asyncio.run(reward(ANSWERS, [0, 0], state)) == pytest.approx(scores)
        assert block("toy").missing_eos_penalty == Ppo("toy").missing_eos_penalty == 1.0


def test_special_tokens_are_seen_by_whoever_scores_an_answer() -> None:
    talk = ChatTokens(tokenizer())
    assert talk.words("", [4, 0, 5, END]) == "a <pad> b"
    assert talk.words("", [4, 0]) == "a <pad>"
    assert (talk.words("", [END]), talk.words("", [])) == ("", "")


def test_a_prompt_that_a_server_refuses_is_left_out_and_counted_and_nobody_is_asked_of_it() -> None:
    seen: list[str] = []

    def score(asked: Sequence[object], texts: Sequence[str]) -> list[float | None]:
        seen.extend(texts)
        return [float(len(text)) for text in texts]

    trained = loop(settings(batch_size=4), score, 1)
    trained.writer = Written([[4, 5, END], []])
    figures, _, experience = trained.step(1)
    assert figures["unread"] == 0.5
    assert figures["reward"] == 3.0  # no neutral score of the others is in it
    assert experience.readable_scores() == [3.0, None, 3.0, None]
    assert seen == ["a b", "a b"]
    trained.writer = Written([[]])
    assert trained.step(2)[0]["unread"] == 1.0


def test_a_kl_that_is_no_number_ends_a_training_whatever_its_limit() -> None:
    for limit in (None, 5.0):
        for broken in (math.nan, math.inf):
            assert "the policy is broken" in ppo._over(Ppo("b", kl_limit=limit), {"kl": broken})
        assert not ppo._over(Ppo("b", kl_limit=limit), {"kl": 4.0})
        assert not ppo._over(Ppo("b", kl_limit=limit), {"unread": 1.0})
    assert "over kl_limit (5)" in ppo._over(Ppo("b", kl_limit=5.0), {"kl": 6.0})


def test_a_token_that_cannot_come_makes_no_kl_a_nan() -> None:
    policy, reference = (torch.tensor([each]).log() for each in ([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]))
    expected = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    assert kl.over_all_tokens(policy, reference).item() == pytest.approx(expected)
    assert kl.over_all_tokens(policy, reference[:, [0, 2, 1]]).item() == math.inf
