"""A verdict is never read from a part of a distribution that may be the smaller one."""

import math

import pytest

from cai.models.letters import logprobs_of, tokens_of


def shares(*tokens: tuple[str, float]) -> dict[str, float]:
    read = logprobs_of([(token, math.log(share)) for token, share in tokens], ("A", "B"))
    return {choice: round(math.exp(logprob), 3) for choice, logprob in read.items()}


@pytest.mark.parametrize(
    "tokens",
    [
        [("A", 0.5)],
        [("A", 0.3), ("It", 0.25), ("Both", 0.2)],
        [("A", 0.04), ("It", 0.04), ("Both", 0.03)],
    ],
)
def test_a_choice_beyond_the_list_that_may_weigh_as_much_makes_no_verdict(tokens: list[tuple[str, float]]) -> None:
    assert shares(*tokens) == {}


@pytest.mark.parametrize(
    "tokens",
    [
        [("A", 0.999)],
        [("A", 0.9), ("It", 0.05), ("Both", 0.01)],
        [("A", 0.6), ("It", 0.39)],
    ],
)
def test_one_that_can_weigh_little_is_not_missed(tokens: list[tuple[str, float]]) -> None:
    assert shares(*tokens) == {"A": tokens[0][1]}


def test_one_token_alone_is_no_distribution_but_where_it_holds_all() -> None:
    def page(logprob: float) -> object:
        return {"content": [{"top_logprobs": [{"token": "A", "logprob": logprob}]}]}

    assert tokens_of(page(-0.7)) is None
    assert tokens_of({"top_logprobs": [{"A": -0.7}]}) is None
    assert tokens_of(page(-0.001)) == [("A", -0.001)]
