"""What Inspect's and lm-eval's own logs say, read from their forms."""

import math
from pathlib import Path
from typing import Any

import pytest

from cai.errors import RunError
from cai.flow.gateway import Gateway
from cai.run.harnesses import Attempt, inspect_figures, lm_eval_figures
from cai.stages.benchmarks import Benchmarks, BenchmarkTask


def header(**results: Any) -> dict[str, Any]:
    about = {"task_version": "3-B", "config": {"epochs": 2}, "dataset": {"sample_ids": [1, 2, 3]}}
    return {"status": "success", "eval": about, "results": results}


def score(name: str, values: dict[str, float], **more: Any) -> dict[str, Any]:
    return {"name": name, "metrics": {key: {"name": key, "value": value} for key, value in values.items()}, **more}


def test_scores_have_their_errors_and_what_failed_or_got_no_score_is_counted() -> None:
    scores = [
        score("rate", {"refusal_rate": math.nan}, unscored_samples=4),
        score("match", {"accuracy": 0.5, "stderr": 0.1, "std": 0.2}),
        score("level", {"stderr": 0.3}),
    ]
    headline = {"score": "match", "metric": "accuracy"}
    reading = inspect_figures(header(completed_samples=4, total_samples=4, scores=scores, headline=headline))
    assert (reading["samples"], reading["failed"], reading["version"]) == (4, 2, "3-B")
    assert reading["headline"] == "match/accuracy"
    assert reading["scores"] == {
        "rate/refusal_rate": {"value": None, "unscored": 4},
        "match/accuracy": {"value": 0.5, "stderr": 0.1},
        "match/std": {"value": 0.2},
        "level/stderr": {"value": 0.3},
    }


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({**header(), "status": "error", "error": {"message": "out of cards"}}, "out of cards"),
        ({**header(), "status": "cancelled"}, "it ended as cancelled"),
        ({**header(), "results": None}, "it scored nothing: 6 samples failed"),
        (
            header(completed_samples=-1, total_samples=1, scores=[score("m", {"a": 1.0})]),
            "not of the form that is known",
        ),
        (header(completed_samples=1, scores=[score("m", {"a": 1e300})]), "not of the form that is known"),
    ],
)
def test_a_log_without_scores_is_a_sentence(log: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        inspect_figures(log)


def test_a_group_of_lm_eval_has_its_own_figures_first() -> None:
    results = {
        "results": {
            "algebra": {"alias": "algebra", "acc,none": 0.25, "acc_stderr,none": 0.01},
            "mmlu": {"alias": "mmlu", "acc,none": 0.5, "acc_stderr,none": "N/A", "name": "mmlu"},
        },
        "versions": {"mmlu": 2},
        "n-samples": {"algebra": {"original": 90, "effective": 40}, "law": {"original": 90, "effective": 60}},
    }
    reading = lm_eval_figures(results, "mmlu")
    assert (reading["headline"], reading["samples"], reading["version"]) == ("mmlu/acc", 100, "2")
    assert reading["scores"]["mmlu/acc"] == {"value": 0.5, "stderr": None}
    assert reading["scores"]["algebra/acc"] == {"value": 0.25, "stderr": 0.01}


def test_tasks_of_one_s_own_are_found_from_where_lm_eval_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = BenchmarkTask("lm_eval/mine", "mine", {"include_path": "tasks", "num_fewshot": 2})
    attempt = Attempt("policy", task, Benchmarks(("policy",), (task,)), tmp_path / "policy" / "mine", 0)
    line = attempt.line(Gateway({}, 1), 1)
    assert line[line.index("--include_path") + 1] == str(tmp_path / "tasks")
    assert line[line.index("--num_fewshot") + 1] == "2"


def test_what_programs_left_where_they_worked_is_in_nobody_s_way(tmp_path: Path) -> None:
    task = BenchmarkTask("lm_eval/mine", "mine")
    attempt = Attempt("policy", task, Benchmarks(("policy",), (task,)), tmp_path / "policy" / "mine", 0)
    (attempt.data / "folder").mkdir(parents=True)
    (attempt.data / "file").touch()
    (attempt.data / "link").symlink_to(tmp_path)
    attempt.lay_out()
    assert not [*attempt.data.iterdir()] and tmp_path.is_dir()
