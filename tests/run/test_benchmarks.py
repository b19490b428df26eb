"""Whole ``benchmarks`` stages with programs that take the place of Inspect and lm-eval, and once with Inspect itself."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from cai.errors import RunError
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.summary import benchmarked
from cai.run.walk import start
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "tests" / "data" / "programs"
MORE = Path(sys.prefix) / "more" / "bin" / "python"
"""Has Inspect; ``make test`` makes it."""
SCRIPT = [{"when": "GRADE", "say": ["right"]}, {"when": "Q1", "say": ["right"]}, {"say": ["wrong"]}]
Go = Callable[..., Path]


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe of one ``benchmarks`` stage on two scripted models; its path."""

    def write(tasks: list[Any], **more: object) -> Path:
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(SCRIPT))
        models = {"policy": {"scripted": "s.yaml", "model": "m-1"}, "dpo": {"scripted": "s.yaml", "model": "m-2"}}
        block = {"models": ["policy", "dpo"], "tasks": tasks, **more}
        data = {"name": "marks", "constitution": "principles/harmless.yaml", "models": models}
        file = tmp_path / "r.yaml"
        file.write_text(yaml.safe_dump({**data, "stages": [{"benchmarks": block}]}))
        return file

    return write


@pytest.fixture
def go(recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Runs such a recipe here, with the stand-ins; the stage's folder."""
    monkeypatch.syspath_prepend(PROGRAMS)
    monkeypatch.setenv("PYTHONPATH", str(PROGRAMS))

    def run(tasks: list[Any], **more: object) -> Path:
        start(load_recipe(recipe(tasks, **more)), tmp_path / "marks", Screen(Console(quiet=True)))
        return tmp_path / "marks" / "benchmarks"

    return run


def test_models_do_tasks_and_their_scores_are_the_stage_s_figures(go: Go, tmp_path: Path) -> None:
    stage = go(["inspect_evals/cards", "lm_eval/ifeval"], limit=1)
    table = benchmarked(stage)
    assert list(table) == ["policy", "dpo"] and list(table["dpo"]) == ["cards", "ifeval"]
    cards, ifeval = table["dpo"]["cards"], table["dpo"]["ifeval"]
    assert cards["scores"] == {"match/accuracy": {"value": 1.0, "stderr": 0.25}}
    assert (cards["samples"], cards["failed"], cards["headline"]) == (1, 0, "match/accuracy")
    assert cards["made_by"]["task"] == "2-A" and "judge" not in cards
    assert ifeval["scores"]["exact"] == {"value": 1.0, "stderr": None}
    assert ifeval["scores"]["loose,strict"] == {"value": 0.5, "stderr": 0.1}
    assert (stage / ifeval["log"]).is_file() and cards["tokens"][2] == 1
    seal = Stage(stage).seal
    assert seal and (seal["rows_in"], seal["rows_kept"], seal["tokens_out"]) == (4, 4, 4)
    assert str(tmp_path) not in (stage / "metrics.json").read_text()


def test_a_judge_grades_and_one_that_is_the_model_itself_is_said(go: Go) -> None:
    table = benchmarked(go(["inspect_evals/graded"], judge="dpo"))
    # Both answers, then their grades: the judge says that all is right.
    assert table["policy"]["graded"]["scores"]["match/accuracy"]["value"] == 0.75
    assert table["policy"]["graded"].get("judge") == "m-2" and "self_judged" not in table["policy"]["graded"]
    assert table["dpo"]["graded"].get("self_judged") is True


def test_data_on_disk_stands_under_the_hub_s_name(go: Go, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"q": "Q1"}\n{"q": "Q1"}\n{"q": "no"}\n{"q": "no"}\n')
    (tmp_path / "deck.csv").write_text("card\nace\n")
    address = "https://cards.example/v1/cards.csv"
    stage = go(
        ["inspect_evals/cards"], models=["policy"], data={"owner/cards": {"test": "mine.jsonl"}, address: "deck.csv"}
    )
    assert benchmarked(stage)["policy"]["cards"]["scores"]["match/accuracy"]["value"] == 0.5
    card = (stage / "_data" / "owner" / "cards" / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["configs"] == [
        {"config_name": "default", "data_files": [{"split": "test", "path": "test.jsonl"}]}
    ]
    [cached] = (stage / "_data" / ".cache" / "inspect_evals" / "cards").iterdir()
    assert cached.name.startswith("deck_") and cached.read_text() == "card\nace\n"
    (tmp_path / "mine.jsonl").write_text('{"q": "Q1"}\n')
    with pytest.raises(Exception, match="data"):  # other data under the same name is another question
        go(
            ["inspect_evals/cards"],
            models=["policy"],
            data={"owner/cards": {"test": "mine.jsonl"}, address: "deck.csv"},
        )


def test_what_is_done_is_not_done_again(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[Any] = ["inspect_evals/cards", {"task": "inspect_evals/broken", "as": "second"}]
    with pytest.raises(RunError, match="policy could not do inspect_evals/broken: ValueError: the cards are marked"):
        go(tasks, models=["policy"])
    first = tmp_path / "marks" / "benchmarks" / "policy" / "cards"
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    monkeypatch.setenv("NEW_CARDS", "1")
    table = benchmarked(go(tasks, models=["policy"]))
    assert list(table["policy"]) == ["cards", "second"] and len(before) == 2
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("inspect_evals/offline", r"its data \(owner/cards\) is not on this machine, .* name files under `data`"),
        ("inspect_evals/keyless", "it asks another model to grade; name a role under `judge`"),
        ("inspect_evals/packageless", "it needs the package emoji; install that"),
        ("inspect_evals/scoreless", "it scored nothing"),
        ("inspect_evals/tooled", r"2 of its 2 requests were refused \(unfit_request 2\)"),
        ("lm_eval/formless", r"its log .*/results_.*\.json cannot be read"),
        ("lm_eval/hellaswag", "it compares likelihoods of given answers"),
    ],
)
def test_a_task_that_cannot_be_done_is_a_sentence(go: Go, task: str, words: str) -> None:
    with pytest.raises(RunError, match=words) as error:
        go([task], models=["policy"])
    assert "\n" not in str(error.value) and str(error.value).startswith(f"policy could not do {task}: ")


def test_a_stop_ends_the_program(recipe: Callable[..., Path], tmp_path: Path) -> None:
    file = recipe(["inspect_evals/cards", "inspect_evals/endless"])
    line = [sys.executable, "-m", "cai.cli", "run", str(file), "--out", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(PROGRAMS), str(ROOT)))}
    child = subprocess.Popen(line, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    stage = tmp_path / "marks" / "benchmarks"
    until = time.monotonic() + 60
    while not (stage / "policy" / "endless" / "begun").exists() and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1 and "stopped; run the same command again" in err
    assert not list((tmp_path / "marks" / "logs").glob("*.pid")), "the program was ended"
    assert (stage / "policy" / "cards" / "figures.json").exists()
    assert not (stage / "policy" / "endless" / "figures.json").exists() and not (stage / "metrics.json").exists()


@pytest.mark.skipif(not MORE.exists(), reason="make test installs Inspect there")
def test_inspect_itself_asks_a_run_s_models(recipe: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from inspect_ai import Task, task\n"
        "from inspect_ai.dataset import Sample\n"
        "from inspect_ai.scorer import model_graded_qa\n"
        "from inspect_ai.solver import generate, solver\n\n\n"
        "@solver\n"
        "def shaky():\n"
        "    async def solve(state, generate):\n"
        "        assert state.input_text != 'fails'\n"
        "        return await generate(state)\n"
        "    return solve\n\n\n"
        "@task\n"
        "def mine(first: str):\n"
        "    samples = [Sample(input=text, target='right') for text in (first, 'Q2', 'fails')]\n"
        "    return Task(dataset=samples, solver=shaky(), scorer=model_graded_qa())\n"
    )
    script = [{"when": "GRADE", "say": ["GRADE: C"]}, *SCRIPT]
    file = recipe([{"task": "mine.py@mine", "args": {"first": "Q1"}}], judge="policy")
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(script))
    line = [MORE, "-m", "cai.cli", "run", file, "benchmarks.models=[dpo]", "--out", tmp_path]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    figures = benchmarked(tmp_path / "marks" / "benchmarks")["dpo"]["mine"]
    assert figures["scores"]["model_graded_qa/accuracy"]["value"] == 1.0 and (
        figures["samples"],
        figures["failed"],
    ) == (2, 1)
    assert figures.get("judge") == "m-1" and figures["tokens"][2] > 2
    export = [MORE, "-c", READ, tmp_path / "marks", tmp_path / "logs"]
    told = subprocess.run(list(map(str, export)), capture_output=True, text=True, cwd=ROOT)
    assert json.loads(told.stdout) == [["mine", "success", 3]], told.stderr


READ = """
import json, sys
from pathlib import Path
from cai.report.inspect_logs import write_logs
from inspect_ai.log import read_eval_log
logs = [read_eval_log(str(each)) for each in write_logs(Path(sys.argv[1]), Path(sys.argv[2]))]
print(json.dumps([[each.eval.task, each.status, len(each.samples)] for each in logs]))
"""
