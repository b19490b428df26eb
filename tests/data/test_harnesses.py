"""What is known of Inspect's and lm-eval's tasks without importing them."""

import hashlib
from pathlib import Path

import pytest

from cai.data import harnesses

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PROGRAMS)
    return


@pytest.mark.parametrize(
    ("name", "place", "task", "program"),
    [
        ("inspect_evals/xstest", "inspect_evals", "xstest", "inspect_ai"),
        ("lm_eval/ifeval", "lm_eval", "ifeval", "lm_eval"),
        ("a/mine.py@sums", "a/mine.py", "sums", "inspect_ai"),
        ("mine.py", "mine.py", "", "inspect_ai"),
        ("lm_eval/a/b", "lm_eval", "a/b", "lm_eval"),
    ],
)
def test_a_name_says_where_a_task_is(name: str, place: str, task: str, program: str) -> None:
    assert (*harnesses.split(name), harnesses.program(name)) == (place, task, program)


def test_tasks_are_known_by_name() -> None:
    assert {"cards", "graded"} < set(harnesses.tasks("inspect_evals"))
    assert {"ifeval", "instructions", "hellaswag"} <= set(harnesses.tasks("lm_eval"))
    assert harnesses.tasks("no_such_package") == []


def test_a_signature_tells_settings_and_who_grades() -> None:
    graded = harnesses.signature("inspect_evals/graded")
    assert graded == harnesses.Signature(
        ("subset", "judge_llm", "critic_scorer"), ("judge_llm", "critic_scorer"), ("judge_llm",)
    )
    assert harnesses.signature("inspect_evals/cards") == harnesses.Signature(("suit", "tricks"), (), ())
    assert harnesses.signature("inspect_evals/none") is None


def test_a_file_of_one_s_own_is_read_and_one_that_cannot_be_has_no_task(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import inspect_ai\n\n@inspect_ai.task(name='second')\ndef f(a, *, b=1): ...\n\ndef g(): ...\n")
    assert harnesses.signatures(file) == {"second": harnesses.Signature(("a", "b"), (), ())}
    file.write_text("def (")
    assert harnesses.signatures(file) == {} and harnesses.signatures(tmp_path / "gone.py") == {}


def test_where_data_comes_from_and_where_a_file_of_the_web_is_kept() -> None:
    address = "https://cards.example/v1/cards.csv"
    assert harnesses.sources("inspect_evals/cards") == ["owner/cards"]
    key = hashlib.sha256(address.encode()).hexdigest()[:32]
    assert harnesses.cached_as("inspect_evals/cards", address) == [Path("cards") / f"deck_{key}.csv"]
    assert harnesses.cached_as("lm_eval/ifeval", address) == []
