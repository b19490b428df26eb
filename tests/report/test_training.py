"""Training on the page: what its curves, bounds, alarms and sentences say, from the lines that a trainer leaves."""

import json
from pathlib import Path
from typing import Any

import pytest

from cai.report import training


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A trainer's folder with guards; the reward rises throughout, the judge's score until step 2."""
    lines: list[dict[str, Any]] = []
    for step, (reward, judge, words) in enumerate([(0.1, 4.0, 20), (0.5, 6.0, 30), (0.9, 3.0, 60)], 1):
        line = {"step": step, "steps": 3, "reward": reward, "kl": float(step), "entropy": 2.0 / step}
        line |= {"guard/reward": reward, "guard/judge": judge, "guard/words": words, "guard/repetition": 0.1}
        lines.append({**line, "alarms": ["length 3 is above 2 (mean words)"]} if step > 1 else line)
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {"guards": {"length": {"stop": [0.2, 4.0]}}}
    (tmp_path / "manifest.json").write_text(json.dumps({"config": config, "metrics": {}, "rows": {}, "seconds": 1}))
    return tmp_path


def test_over_optimisation_is_told_with_the_step_from_which_it_shows(stage: Path) -> None:
    says = training.of_stage(stage)["optimised"]["says"]
    assert "the judge's mean score went from 4 to 3 while the reward went from 0.1 to 0.9" in says
    assert "liked the policy best at step 2 (6): after it, the reward may be over-optimised" in says


def test_a_judge_that_likes_the_last_policy_best_raises_no_suspicion(stage: Path) -> None:
    lines = [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["guard/judge"] = line["guard/reward"]
    (stage / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "over-optimised" not in training.of_stage(stage)["optimised"]["says"]


def test_bounds_stand_with_the_curve_that_they_bound(stage: Path) -> None:
    guarded = {each["title"].partition(":")[0]: each for each in training.of_stage(stage)["guarded"]}
    assert (guarded["length"]["low"], guarded["length"]["high"]) == (1.0, 3.0)  # over the first answers' 20 words
    bounds = {(each["kind"], each["at"]) for each in guarded["length"]["bounds"]}
    assert bounds == {("warn", 0.5), ("warn", 2.0), ("stop", 0.2), ("stop", 4.0)}


def test_the_reward_and_the_judge_share_a_frame_each_with_its_own_axis(stage: Path) -> None:
    [both] = training.of_stage(stage)["optimised"]["curves"]
    series = {each["label"]: (each["axis"], [value for _, value in each["points"]]) for each in both["series"]}
    assert series == {
        "the reward it learns from": ("left", [0.1, 0.5, 0.9]),
        "the held-out judge": ("right", [4.0, 6.0, 3.0]),
    }


def test_an_alarm_that_is_raised_again_is_said_once(stage: Path) -> None:
    assert training.of_stage(stage)["alarms"] == ["step 2: length 3 is above 2 (mean words), and once more"]


def test_a_trainer_without_guards_or_figures_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"config": {}, "metrics": {}, "rows": {}, "seconds": 1}))
    found = training.of_stage(tmp_path)
    assert (found["curves"], found["guarded"], found["alarms"], found["optimised"]) == ([], [], [], {})
