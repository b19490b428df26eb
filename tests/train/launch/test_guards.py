"""Guards: what answers tell, and when it is too much."""

import pytest

from cai.train.launch import guards


def test_a_loop_is_repetition_and_plain_prose_is_none() -> None:
    assert guards.text_measures(["yes yes yes yes yes yes yes yes"])["repetition"] > 0.8
    assert guards.text_measures(["The map room is on the second floor, past the stairs."])["repetition"] == 0


def test_common_openings_and_closers_are_seen_and_single_ones_are_not() -> None:
    alike = [f"I hear you, friend, and {word}. I'm here to listen." for word in ("one", "two", "three", "four")]
    found = guards.text_measures(alike)
    assert (found["opening"], found["closer"], found["boilerplate"]) == (1.0, 1.0, 1.0)
    apart = ["Turn left at the desk.", "Maps are upstairs.", "Ask Mrs. Kovač about it."]
    found = guards.text_measures(apart)
    assert (found["opening"], found["closer"], found["boilerplate"]) == (0.0, 0.0, 0.0)


def test_measures_are_taken_against_the_answers_before() -> None:
    before = {"words": 20.0, "entropy": 2.0, "logps": -50.0}
    found = guards.measures({"words": 50.0, "entropy": 0.5, "logps": -75.0, "kl": 3.0}, before)
    assert found == {"kl": 3.0, "length": 2.5, "entropy": 0.25, "chosen": -0.5}


def test_a_stop_comes_before_a_warning_and_numbers_bound_the_side_that_matters() -> None:
    wanted = guards.parse({"kl": {"stop": 10}, "length": {"warn": [0.8, 1.2]}, "entropy": {"stop": 0.3}, "every": 5})
    assert wanted.every == 5
    found = guards.alarms({"kl": 40.0, "length": 1.5, "entropy": 0.2, "repetition": 0.1}, wanted)
    assert [(each.text.split(" (")[0], each.stops) for each in found] == [
        ("kl 40 is above 10", True),
        ("length 1.5 is above 1.2", False),
        ("entropy 0.2 is below 0.3", True),
    ]


def test_what_nobody_set_still_warns() -> None:
    [alarm] = guards.alarms({"closer": 0.9, "kl": 1.0}, guards.parse({}))
    assert "closer 0.9 is above 0.3" in alarm.text and not alarm.stops


def test_a_model_whose_figures_are_no_numbers_is_stopped_by_any_bound() -> None:
    [alarm] = guards.alarms({"entropy": float("nan")}, guards.parse({"entropy": {"stop": 0.3}}))
    assert alarm.stops and "entropy nan is no number" in alarm.text


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_answers_without_words_are_no_crash(texts: list[str]) -> None:
    assert guards.text_measures(texts) == {"words": 0.0}
