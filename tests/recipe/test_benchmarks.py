"""A ``benchmarks`` block: what it resolves to, and the sentence for each mistake before anything starts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from cai.flow.screen import Screen
from cai.models.machine import Machine, this_machine
from cai.recipe.read import load_recipe
from cai.run.context import Run
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[str, str], Path]
MODELS = {
    "policy": {"local": "bundled/smollm2-135m"},
    "other": {"scripted": "s.yaml"},
    "judge": {"endpoints": ["http://localhost:1/v1"], "model": "big"},
}


@pytest.fixture(autouse=True)
def files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests" / "data" / "programs")
    write("s.yaml", '- {say: ["It is."]}')
    write("mine.py", "from inspect_ai import task\n\n@task\ndef one(a=1): ...\n\n@task\ndef two(): ...\n")
    write("empty.py", "")
    write("日本.py", "from inspect_ai import task\n\n@task\ndef one(): ...\n")
    write("rows.csv", "q\n1\n")


def recipe(write: Write, **block: Any) -> Path:
    whole = {"models": ["policy"], "tasks": ["inspect_evals/cards"], **block}
    data = {
        "name": "r",
        "constitution": "principles/harmless.yaml",
        "models": MODELS,
        "stages": [{"benchmarks": whole}],
    }
    return write("r.yaml", yaml.safe_dump(data))


def test_tasks_have_labels_and_their_files_are_found(write: Write, tmp_path: Path) -> None:
    tasks = [
        "inspect_evals/cards",
        "mine.py@one",
        {"task": "inspect_evals/cards", "as": "hearts", "args": {"suit": "h"}},
    ]
    data = {"owner/cards/deck": {"test": "rows.csv"}, "https://x.example/a.csv": "rows.csv"}
    want = load_recipe(recipe(write, tasks=[*tasks, "lm_eval/ifeval"], data=data)).blocks[0].want
    assert [each.label for each in want.tasks] == ["cards", "one", "hearts", "ifeval"]
    assert want.tasks[1].task == f"{(tmp_path / 'mine.py').resolve()}@one" and want.tasks[1].title == "mine.py@one"
    assert want.data["owner/cards/deck"] == {"test": str(tmp_path / "rows.csv")}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"tasks": ["inspect_evals/card"]}, 'inspect-evals has no task "card"; did you mean "cards"?'),
        ({"tasks": ["lm_eval/ifevl"]}, 'lm-eval has no task "ifevl"; did you mean "ifeval"?'),
        ({"tasks": ["cards"]}, "cards: is no task: write inspect_evals/NAME, lm_eval/NAME, or FILE.py@NAME"),
        ({"tasks": ["nobody_s/cards"]}, "is no task: write"),
        ({"tasks": ["gone.py@one"]}, "there is no file gone.py"),
        ({"tasks": ["empty.py"]}, "has no function with Inspect's decorator @task"),
        ({"tasks": ["mine.py"]}, "has several tasks; name one: mine.py@one, mine.py@two"),
        ({"tasks": ["日本.py"]}, "its name has no letter or digit for a folder; give it one with `as:`"),
        ({"tasks": ["mine.py@on"]}, 'has no task "on"; did you mean "one"?'),
        ({"tasks": ["inspect_evals/cards", "inspect_evals/cards"]}, 'there is already a task "cards"'),
        (
            {"tasks": [{"task": "inspect_evals/cards", "args": {"sui": 1}}]},
            'takes no setting "sui"; did you mean "suit"?',
        ),
        ({"tasks": [{"task": "mine.py@two", "args": {"a": 1}}]}, 'takes no setting "a"; take it out'),
        ({"tasks": [{"task": "lm_eval/ifeval", "args": {"num_fewshots": 1}}]}, 'did you mean "num_fewshot"?'),
        ({"tasks": ["inspect_evals/graded"]}, "asks a model to grade (judge_llm); name a role under `judge`"),
        ({"tasks": ["inspect_evals/graded"], "judge": "jugde"}, 'there is no model "jugde"; did you mean "judge"?'),
        ({"models": ["other"], "judge": "policy"}, ""),
        ({"data": {"cards": {"test": "rows.csv"}}}, "cards: is neither owner/name"),
        ({"data": {"../x/cards": {"test": "rows.csv"}}}, "is neither owner/name"),
        ({"data": {"owner/cards": "rows.csv"}}, "say of which split the file is, such as {test: rows.csv}"),
        ({"data": {"owner/cards": {"../test": "rows.csv"}}}, '"../test" cannot be the name of a split'),
        (
            {"data": {"owner/cards": ".", "owner/cards/a": {"test": "rows.csv"}}},
            "is a folder, and one of its configurations",
        ),
        ({"data": {"owner/cards": {"test": "gone.csv"}}}, "there is no file gone.csv"),
        ({"data": {"https://x.example/a.csv": {"test": "rows.csv"}}}, "is an address, which stands for one file"),
        ({"tasks": [{"task": "inspect_evals/cards", "arg": {}}]}, 'unknown key; did you mean "args"?'),
        ({"tasks": []}, "tasks"),
    ],
)
def test_each_mistake_is_a_sentence(write: Write, block: dict[str, Any], words: str) -> None:
    path = recipe(write, **block)
    if not words:
        load_recipe(path)
        return
    with pytest.raises(InputError) as error:
        load_recipe(path)
    assert words in str(error.value), str(error.value)


def test_a_judge_who_would_be_a_second_model_of_this_machine_is_said(write: Write) -> None:
    models = {**MODELS, "second": {"local": "somebody/else"}}
    data = yaml.safe_load(recipe(write, judge="second").read_text()) | {"models": models}
    with pytest.raises(InputError, match="would have to be up on this machine beside policy"):
        load_recipe(write("r.yaml", yaml.safe_dump(data)))


@pytest.mark.parametrize(
    ("task", "package", "pip"),
    [("lm_eval/ifeval", "lm_eval", "lm-eval"), ("inspect_evals/cards", "inspect_evals", "inspect-evals")],
)
def test_a_package_that_is_not_there_is_named(write: Write, task: str, package: str, pip: str) -> None:
    here = this_machine()
    machine: Machine = replace(here, packages=here.packages - {package})
    with pytest.raises(InputError, match=rf"needs the package {pip}; run: pip install 'cai-toolkit\[evals\]'"):
        load_recipe(recipe(write, tasks=[task]), machine=machine)


def test_data_and_task_files_decide_by_what_they_hold(write: Write, tmp_path: Path) -> None:
    def settings() -> dict[str, Any]:
        loaded = load_recipe(recipe(write, tasks=["mine.py@one"], data={"owner/cards": {"test": "rows.csv"}}))
        return dict(Run(loaded, tmp_path / "run", Screen(Console(quiet=True))).settings("benchmarks").block)

    before = settings()
    assert str(tmp_path) not in str(before)
    write("rows.csv", "q\n2\n")
    assert (changed := settings()) != before and changed["tasks"] == before["tasks"]
    write("mine.py", "from inspect_ai import task\n\n@task\ndef one(a=2): ...\n")
    assert settings()["tasks"] != before["tasks"]
