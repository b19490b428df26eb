"""Ratings: the strengths that were put in come out, intervals cover them, and what has no rating is a sentence."""

import math
import random
from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest

from cai.judge.bouts import Bout, Rating
from cai.judge.ratings import ratings

STRENGTHS = {"base": 0.0, "tuned": 60.0, "best": 180.0}
"""Elo points."""


def chance(first: float, second: float) -> float:
    return 1 / (1 + 10 ** ((second - first) / 400))


def played(strengths: Mapping[str, float], prompts: int, seed: int, ties: float = 0.0) -> list[Bout]:
    """Each two models on each prompt, won by the chance that their strengths give."""
    rng, bouts = random.Random(seed), []
    for number in range(prompts):
        for first, second in combinations(strengths, 2):
            won = float(rng.random() < chance(strengths[first], strengths[second]))
            bouts.append(Bout(f"{number}", "redteam", first, second, 0.5 if rng.random() < ties else won))
    return bouts


def outcomes(first: str, second: str, won: Sequence[float | None]) -> list[Bout]:
    return [Bout(f"{number}", "redteam", first, second, each) for number, each in enumerate(won)]


def rated(bouts: Sequence[Bout], *models: str, resamples: int = 200) -> dict[str, Rating]:
    return ratings(bouts, models, models[0], resamples)


def coverage(strengths: Mapping[str, float], prompts: int, times: int, resamples: int = 1000) -> float:
    """The share of intervals that hold the strength that was put in."""
    held = []
    for seed in range(times):
        table = rated(played(strengths, prompts, seed), *strengths, resamples=resamples)
        for model, points in list(strengths.items())[1:]:
            low, high = table[model]["low"], table[model]["high"]
            assert low is not None and high is not None
            held.append(low <= points <= high)
    return sum(held) / len(held)


def test_strengths_that_were_put_in_come_out() -> None:
    table = rated(played(STRENGTHS, 3000, seed=1), *STRENGTHS, resamples=5)
    for model, points in STRENGTHS.items():
        assert table[model]["elo"] == pytest.approx(points, abs=16)  # three standard errors
    assert table["best"]["comparisons"] == 9000 and table["best"]["prompts"] == 3000
    assert (table["base"]["elo"], table["base"]["low"], table["base"]["high"]) == (0, 0, 0)


def test_intervals_hold_the_strength_about_as_often_as_they_say() -> None:
    assert coverage({"base": 0.0, "tuned": 70.0}, prompts=80, times=100, resamples=100) >= 0.87


@pytest.mark.slow
def test_intervals_of_three_models_hold_the_strength_as_often_as_they_say() -> None:
    assert 0.91 <= coverage(STRENGTHS, prompts=100, times=200, resamples=300) <= 0.98


def test_two_models_differ_by_their_odds_and_a_tie_is_half_a_win() -> None:
    of = rated(outcomes("a", "b", [0] * 60 + [1] * 20 + [0.5] * 20 + [None] * 7), "a", "b")["b"]
    assert of["elo"] == pytest.approx(400 * math.log10(70 / 30))
    assert (of["comparisons"], of["ties"], of["undecided"]) == (100, 20, 7)


def test_comparisons_of_one_prompt_are_no_independent_evidence() -> None:
    """Four verdicts on each prompt, all alike, leave as much doubt as one."""
    once = outcomes("a", "b", [0] * 60 + [1] * 40)
    one, four = (rated(bouts, "a", "b")["b"] for bouts in (once, once * 4))
    assert four["comparisons"] == 400
    assert (four["low"], four["high"]) == pytest.approx((one["low"], one["high"]))


def test_a_model_that_won_everything_has_no_rating() -> None:
    of = rated(outcomes("a", "b", [0] * 50), "a", "b")["b"]
    assert (of["elo"], of["low"], of["high"]) == (None, None, None)
    assert of["says"].startswith("it beat a, or those between them, in every decided comparison")
    assert rated(outcomes("a", "b", [1] * 50), "a", "b")["b"]["says"].startswith("it lost to a")


def test_models_that_nothing_connects_have_no_rating() -> None:
    bouts = [*outcomes("a", "b", [0, 1] * 20), *outcomes("c", "d", [0, 1] * 20)]
    table = rated(bouts, "a", "b", "c", "d")
    assert table["b"]["elo"] == 0
    assert table["d"]["elo"] is None and table["d"]["says"].startswith("no chain of decided comparisons leads to a")


def test_the_rating_of_others_stands_where_one_model_lost_everything() -> None:
    bouts = [*outcomes("a", "b", [0] * 30 + [1] * 10), *outcomes("a", "worst", [1] * 40)]
    table = rated(bouts, "a", "b", "worst")
    assert table["b"]["elo"] == pytest.approx(400 * math.log10(3)) and table["worst"]["elo"] is None


def test_one_lost_comparison_leaves_an_end_open() -> None:
    of = rated(outcomes("a", "b", [0] * 59 + [1]), "a", "b", resamples=1000)["b"]
    assert of["elo"] == pytest.approx(400 * math.log10(59)) and of["low"] is not None
    assert of["high"] is None and "no upper end" in of["says"]


def test_what_every_comparison_says_alike_is_no_certainty() -> None:
    tied = rated(outcomes("base", "same", [0.5] * 30), "base", "same")["same"]
    assert (tied["elo"], tied["low"], tied["high"]) == (0.0, None, None)
    assert "every comparison says the same" in tied["says"]
    three = played({"base": 0.0, "best": 180.0}, 40, 0)
    three += [Bout(each.prompt, "redteam", "same", each.second, each.won) for each in three]
    three += [Bout(f"{number}", "redteam", "base", "same", 0.5) for number in range(40)]
    found = rated(three, "base", "best", "same")
    assert math.copysign(1, found["same"]["elo"] or 0.0) == 1.0 and found["same"]["elo"] == 0.0
    assert (found["same"]["low"], found["same"]["high"]) == (None, None)
    assert found["best"]["low"] is not None


def test_few_prompts_have_no_interval() -> None:
    of = rated(outcomes("a", "b", [0, 1, 0, 1, 0]), "a", "b")["b"]
    assert of["elo"] == pytest.approx(400 * math.log10(3 / 2))
    assert (of["low"], of["high"]) == (None, None) and "too few for an interval: 5 prompts" in of["says"]


def test_nothing_decided_is_no_rating() -> None:
    of = rated(outcomes("a", "b", [None] * 30), "a", "b")["b"]
    assert of["elo"] is None and of["undecided"] == 30
