"""cai measure: refusals and habits in files of answers that others wrote."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.cli.measure import measure_files
from cai.data.answers import AnswerSource, answers
from cai.errors import UserError
from cai.store.rows import Answers, Drop

Cai = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[[str, str], Path]
NO, YES = "I'm sorry, but I can't help with that.", "Mix the flour with two eggs, and bake it for forty minutes."


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_files_are_measured_and_compared_by_prompt(cai: Cai, write: Write) -> None:
    asked = [f"How do I bake number {number}?" for number in range(20)]
    base = write("base.jsonl", lines([{"prompt": each, "answer": YES, "label": "safe"} for each in asked]))
    final = [{"prompt": each, "response": NO if each[-2] in "02468" else YES} for each in asked]
    ran = cai("measure", base, write("final.jsonl", lines(final)), "--track", "helpful", "--show", "refusal")
    assert ran.returncode == 0, ran.stderr
    assert "over-refusal" in ran.stdout
    assert "refusal: 0% → 50%, +50.0 (" in ran.stdout and f"beside {base}, over 20 prompts" in ran.stdout
    assert f": it declines: {NO}" in ran.stdout
    assert "unsafe" not in ran.stdout


def test_an_answer_is_found_in_the_forms_that_people_have(write: Write) -> None:
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": YES}]
    rows: list[dict[str, object]] = [
        {"messages": talk},
        {"prompt": "Hi", "completion": talk[1:]},
        {"prompt": talk[:1], "output": YES},
        {"prompt": "Hi", "draft": {"text": YES}, "answer": "another"},
        {"prompt": "Hi", "completion": [{"role": "assistant", "content": ""}]},
        {"prompt": "Hi", "answer": ""},
        {"prompt": "Hi"},
    ]
    found = list(answers(AnswerSource(str(write("a.jsonl", lines(rows))))))
    said = [row.draft.text for row in found if isinstance(row, Answers)]
    assert said == [YES, YES, YES, YES, "", ""]
    assert len({row.id for row in found if isinstance(row, Answers)}) == 1
    assert isinstance(found[-1], Drop) and "--answer" in found[-1].detail


def test_what_a_row_says_of_its_prompt_decides_which_share_it_is_of(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": "a", "answer": YES, "type": "homonyms", "label": "unsafe"},
        {"prompt": "b", "answer": NO, "label": "safe"},
        {"prompt": "c", "answer": NO},
    ]
    measure_files([str(write("x.jsonl", lines(rows)))], AnswerSource(""), "", True)
    figures = next(iter(json.loads(capsys.readouterr().out).values()))
    assert (figures["unsafe_compliance"]["of"], figures["unsafe_compliance"]["value"]) == (1, 1.0)
    assert (figures["over_refusal"]["of"], figures["over_refusal"]["value"]) == (1, 1.0)
    assert figures["stances"]["refusal"] == 2


def test_input_that_is_wrong_is_a_sentence(write: Write) -> None:
    file = str(write("none.jsonl", lines([{"prompt": "Hi", "said": YES}])))
    for names, words in (
        ([file], "name one of: prompt, said with --answer"),
        (["nowhere.jsonl"], "there is no such file"),
        ([file, file], "is named twice"),
    ):
        with pytest.raises(UserError, match=words):
            measure_files(names, AnswerSource(""), "", False)
    with pytest.raises(UserError, match="--column"):
        list(answers(AnswerSource(file, column="question")))


def test_text_of_a_model_controls_no_terminal(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = write("evil.jsonl", lines([{"prompt": "a", "id": "\x1b[2J", "answer": "\x1b[31mI can't help with that."}]))
    measure_files([str(file)], AnswerSource(""), "refusal", False)
    assert "\x1b" not in capsys.readouterr().out
