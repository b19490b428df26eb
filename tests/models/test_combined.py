"""Several reward models as one: what each rule gives, and that the members are really asked."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from cai.errors import RowError, UserError
from cai.judge.statistics import logit
from cai.models.combined import Combined, combine, problems
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request


def spec(rewards: Mapping[str, float], **more: Any) -> ModelSpec:
    members = tuple(ModelSpec(role, reward=role) for role in rewards)
    return ModelSpec("both", rewards=rewards, members=members, **more)


TWO = {"helpful": 0.5, "harmless": 1.0}


@pytest.mark.parametrize(
    ("more", "scores", "track", "wanted"),
    [
        ({}, {"helpful": 3.0, "harmless": 0.0}, "", 1.0),
        ({"combine": "mean"}, {"helpful": 3.0, "harmless": 0.0}, "", 1.5),
        ({"combine": "minimum"}, {"helpful": 3.0, "harmless": -2.0}, "", -2.0),
        ({"combine": "mean", "spread": 1.0}, {"helpful": 3.0, "harmless": 0.0}, "", 0.0),
        ({"combine": "mean", "spread": 2.0}, {"helpful": 3.0, "harmless": 3.0}, "", 3.0),
        ({"combine": "safety_first", "safety": "harmless"}, {"helpful": 3.0, "harmless": logit(0.16)}, "", 3.0),
        ({"combine": "safety_first", "safety": "harmless"}, {"helpful": 3.0, "harmless": -5.0}, "", -5.0),
        ({"combine": "safety_first", "safety": "harmless"}, {"helpful": 3.0, "harmless": 4.0}, "redteam", 4.0),
    ],
)
def test_each_rule(more: dict[str, Any], scores: dict[str, float], track: str, wanted: float) -> None:
    assert combine(spec(TWO, **more), scores, track) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ({"combine": "safety_first"}, "safety", "name one of: helpful, harmless"),
        ({"safety": "harmless"}, "safety", "is for combine: safety_first"),
        ({"combine": "minimum", "spread": 1.0}, "spread", "is for combine: weighted or mean, and this is minimum"),
    ],
)
def test_settings_that_do_not_go_together_are_a_sentence(more: dict[str, Any], key: str, words: str) -> None:
    [(found, text)] = problems(spec(TWO, **more))
    assert found == key
    assert words in text


class Length:
    """Scores by length; what is longer than its limit it cannot read."""

    name, format, continues, concurrency = "length", "chat", False, 8

    def __init__(self, sign: float, limit: int) -> None:
        self.sign, self.limit = sign, limit

    async def ask(self, request: Request, row_id: str) -> Reply:
        size = len(request.messages[-1]["content"])
        if size > self.limit:
            raise RowError("context_too_long")
        return Reply(tokens_in=1, score=self.sign * size)


def test_members_are_asked_and_one_that_cannot_answer_leaves_no_score() -> None:
    model = Combined(spec(TWO), [Length(1.0, 100), Length(-1.0, 10)])

    def ask(text: str, score: bool = True) -> Reply:
        return asyncio.run(model.ask(Request(({"role": "assistant", "content": text},), score=score), "row"))

    assert ask("abcdef").score == pytest.approx((0.5 * 6 - 6) / 1.5)
    assert ask("abcdef").tokens_in == 2
    with pytest.raises(RowError):
        ask("a" * 20)
    with pytest.raises(UserError, match="both is a reward model"):
        ask("a", score=False)
