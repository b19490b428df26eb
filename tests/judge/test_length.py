"""Wins at equal length: a liking for length is taken out, and what cannot be told is not."""

import math
import random
from collections.abc import Sequence

import pytest

from cai.judge.length import length_controlled
from cai.judge.statistics import Z95, logit, sigmoid
from cai.store.rows import Draft, Pair, Preference

ASKED = ({"role": "user", "content": "Hi"},)


def preference(number: int, longer: int, won: bool, status: str = "ok") -> Preference:
    """A comparison whose second answer is longer by so many characters, and won or not."""
    a, b = (Draft("x" * count, "m", "stop", 0) for count in (500, 500 + longer))
    pair = Pair(f"{number}", f"{number}", ASKED, a, b, "redteam")
    return Preference(f"{number}", pair, (), 0.1 if won else 0.9, None, status)  # type: ignore[arg-type]


def judged(theta: float, phi: float, count: int, shift: float = 120, seed: int = 0) -> list[Preference]:
    """A judge by the model of Dubois et al.: θ for the answers, φ for a standard deviation of length."""
    rng = random.Random(seed)
    longer = [round(rng.gauss(shift, 200)) for _ in range(count)]
    return [
        preference(number, each, rng.random() < sigmoid(theta + phi * math.tanh(each / 200)))
        for number, each in enumerate(longer)
    ]


def test_a_judge_that_likes_length_alone_finds_equal_answers_even() -> None:
    rows = judged(theta=0.0, phi=2.0, count=3000)
    of = length_controlled(rows)
    raw = sum(row.p_a == 0.1 for row in rows) / len(rows)
    assert raw > 0.6 and of["win_rate"] == pytest.approx(0.5, abs=0.04)
    assert of["low"] < 0.5 < of["high"] and of["longer"] is not None and of["longer"] > 0.6


def test_what_was_put_in_comes_out_and_the_interval_holds_it() -> None:
    held = []
    for seed in range(40):
        of = length_controlled(judged(theta=0.7, phi=1.0, count=200, seed=seed))
        held.append(of["low"] <= sigmoid(0.7) <= of["high"])
    assert sum(held) >= 34


def test_of_two_lengths_it_is_what_their_two_rates_say() -> None:
    """There the model fits both exactly: logit of each rate = θ + φ · tanh(d / s), on a line that crosses d = 0."""
    rows = pattern([-100] * 40 + [300] * 40, [True] * 10 + [False] * 30 + [True] * 28 + [False] * 12)
    (low, high), x, y = (logit(10 / 40), logit(28 / 40)), math.tanh(-100 / 200), math.tanh(300 / 200)
    theta = (y * low - x * high) / (y - x)
    error = math.sqrt((y / (y - x)) ** 2 / (40 / 4 * 3 / 4) + (x / (y - x)) ** 2 / (40 * 0.7 * 0.3))
    of = length_controlled(rows)
    assert of["win_rate"] == pytest.approx(sigmoid(theta))
    assert (of["low"], of["high"]) == pytest.approx((sigmoid(theta - Z95 * error), sigmoid(theta + Z95 * error)))


@pytest.mark.slow
def test_it_is_the_logistic_regression_of_a_library() -> None:
    from statsmodels.api import Logit, add_constant

    rows = judged(theta=0.4, phi=-0.8, count=150)
    longer = [len(row.pair.b.text) - len(row.pair.a.text) for row in rows]
    spread = math.sqrt(sum((each - sum(longer) / len(longer)) ** 2 for each in longer) / len(longer))
    xs = [math.tanh(each / spread) for each in longer]
    fit = Logit([float(row.p_a == 0.1) for row in rows], add_constant(xs)).fit(disp=0, tol=1e-10)
    theta, error = fit.params[0], fit.bse[0]
    of = length_controlled(rows)
    assert of["win_rate"] == pytest.approx(sigmoid(theta), abs=1e-6)
    assert (of["low"], of["high"]) == pytest.approx((sigmoid(theta - Z95 * error), sigmoid(theta + Z95 * error)))


def test_answers_of_one_length_keep_their_rate() -> None:
    of = length_controlled([preference(number, 0, number % 4 > 0) for number in range(40)])
    assert of["win_rate"] == pytest.approx(0.75) and of["longer"] == 0


def pattern(longer: Sequence[int], won: Sequence[bool]) -> list[Preference]:
    return [preference(number, each, good) for number, (each, good) in enumerate(zip(longer, won, strict=True))]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (pattern([-10, 20, 30], [True, False, True]), "too few to tell: 3 decided comparisons"),
        (pattern([-10, 20] * 20, [True] * 40), "it won all of them"),
        (pattern([-10, 20] * 20, [False] * 40), "it lost all of them"),
        (pattern([10, 20] * 20, [True, False, False, True] * 10), "its answer is always the longer one"),
        (pattern([-10, 20] * 20, [False, True] * 20), "length alone tells every winner"),
        (pattern([-10, 0, 20] * 20, [False, False, True] * 20), "length alone tells every winner"),
    ],
)
def test_what_cannot_be_told_is_a_sentence(rows: list[Preference], says: str) -> None:
    of = length_controlled(rows)
    assert (of["win_rate"], of["low"], of["high"]) == (None, 0.0, 1.0)
    assert of["says"].startswith(says)


def test_what_was_not_decided_is_not_counted() -> None:
    rows = [*pattern([-10, 20, 10, -20] * 10, [True, False, True, False] * 10), preference(99, 5, True, "inconsistent")]
    assert length_controlled(rows)["of"] == 40
