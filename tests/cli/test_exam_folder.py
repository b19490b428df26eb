"""An exam that comes to nothing costs no earlier one: that is put back, as long as no row was asked anew."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from cai.cli.judge_eval import JudgeEval, examine_judge, judge_eval
from cai.errors import CaiError, UserError
from cai.flow.screen import Screen
from cai.recipe.models import command_model
from cai.store.stage import Stage

CONSTITUTION = """\
name: small
principles:
  - {id: kind, critique: Say which words are unkind., revision: Say it kindly., judgment: Which answer is kinder?}
"""
KNOWS = "- {choose: {A: 0.7, B: 0.2}, say: [One is kinder.]}\n"
FIRST = '- {when: "Question [0-4][?]", choose: {A: 0.6, B: 0.2}}\n'
"""Knows the first five questions, and stops at the others."""
SILENT = "- {choose: {A: 0.7, B: 0.2}}\n"
"""Can choose, and stops where it is to reason."""
GONE = "{endpoints: ['http://127.0.0.1:9/v1'], model: m, patience: 0}"
Write = Callable[[str, str], Path]


class Exams:
    """Exams of one folder."""

    def __init__(self, write: Write) -> None:
        rows = [{"prompt": f"Question {n}?", "chosen": f"GOOD {n}", "rejected": f"BAD {n} by far"} for n in range(9)]
        self.data = write("people.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
        self.small = write("small.yaml", CONSTITUTION)
        self.out, self.write = self.data.parent / "exam", write

    def sit(self, model: str, limit: int = 9, *methods: str) -> str:
        """Sit it; returns what the screen said, and at its end the error."""
        told, spec = StringIO(), command_model(model if model == GONE else str(self.write("judge.yaml", model)))
        pairs = (("limit", limit),)
        exam = JudgeEval(str(self.data), self.small, methods or ("logprob",), (), pairs)
        try:
            judge_eval(exam, spec, None, self.out, Screen(Console(file=told, width=500)))
        except CaiError as error:
            told.write(f"error: {error}")
        return told.getvalue()

    def rows(self, stage: str = "logprob") -> list[str]:
        return [row["id"] for row in Stage(self.out / stage).all_rows(dict)]


@pytest.fixture
def exams(write: Write) -> Exams:
    return Exams(write)


@pytest.mark.parametrize("limit", [9, 5])
def test_an_exam_that_never_begins_leaves_the_earlier_one_as_it_was(exams: Exams, limit: int) -> None:
    assert "error" not in exams.sit(KNOWS)
    figures, made_by = (exams.out / "exam.json").read_text(), (exams.out / "made-by.json").read_text()
    said = exams.sit(GONE, limit)
    assert "logprob: something changed" in said or "pairs: something changed" in said
    assert "what was done before is put back, as nothing came of asking anew" in said and "error: " in said
    assert len(exams.rows()) == 9
    assert (exams.out / "exam.json").read_text() == figures
    assert json.loads((exams.out / "made-by.json").read_text()) == json.loads(made_by)
    again = exams.sit(KNOWS)
    assert "done before" in again and "something changed" not in again


def test_an_exam_that_began_well_stays_and_the_earlier_one_is_aside(exams: Exams) -> None:
    assert "error" not in exams.sit(KNOWS)
    said = exams.sit(FIRST)
    assert "something changed" in said and "error: " in said and "put back" not in said
    assert not (exams.out / "logprob" / "seal.json").exists() and Stage(exams.out / "logprob").count_done()
    assert len(list((exams.out / ".aside").glob("logprob-*"))) == 1


def test_the_exam_of_another_method_is_put_back_with_its_pairs(exams: Exams) -> None:
    exams.sit(KNOWS)
    exams.sit(KNOWS, 9, "cot")
    exams.sit(GONE, limit=4)
    assert len(exams.rows()) == len(exams.rows("cot")) == len(exams.rows("pairs")) == 9


def test_pairs_of_which_another_method_has_rows_stay(exams: Exams) -> None:
    exams.sit(KNOWS, 5, "cot")
    said = exams.sit(SILENT, 9, "logprob", "cot")
    assert "error: " in said and "put back" not in said
    assert len(exams.rows("pairs")) == len(exams.rows()) == 9
    again = exams.sit(SILENT, 9, "logprob", "cot")
    assert "pairs: done before" in again and "logprob: done before" in again and "something changed" not in again


@pytest.mark.parametrize(
    ("row", "columns", "settings", "words"),
    [
        ({}, {"foo": "x"}, (), "--columns foo: unknown key; known: a, b, "),
        ({}, {"scale": "big"}, (), '--columns scale: expected one of signed, share, found "big"'),
        ({}, {"a": "x"}, (), "--columns: names one answer's column alone; name both, a and b"),
        ({}, {"system": "x"}, (), '"x"; name one of: prompt, chosen, rejected (--columns system=COLUMN)'),
        ({}, {}, ("choice=some",), 'choice: expected one of uniform, weighted, by_tag, all, found "some"'),
        (
            {"prompt": None},
            {},
            (),
            "columns: prompt, chosen, rejected (--columns WHAT=COLUMN, in a recipe the key `columns`)",
        ),
        (
            {"chosen": None, "rejected": None, "response_a": "x", "response_b": "y", "label": 1},
            {},
            (),
            "say `--columns label=label --columns first=1`, in a recipe `columns: {label: label, first: 1}`",
        ),
        (
            {"chosen": None, "rejected": None},
            {},
            (),
            "name other columns with --columns WHAT=COLUMN, in a recipe under `columns`",
        ),
    ],
)
def test_what_is_wrong_is_said_of_what_was_typed(
    row: dict[str, object], columns: dict[str, str], settings: tuple[str, ...], words: str, write: Write, tmp_path: Path
) -> None:
    whole = {"prompt": "Why?", "chosen": "a", "rejected": "b", **row}
    rows = [{key: value for key, value in whole.items() if value is not None or key == "prompt"}] * 2
    data = write("people.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
    exam = JudgeEval(
        str(data),
        write("small.yaml", CONSTITUTION),
        settings=settings,
        pairs=(("columns", columns),) if columns else (),
    )
    with pytest.raises(UserError) as error:
        examine_judge(exam, (str(write("judge.yaml", KNOWS)), None), tmp_path / "exam", True)
    assert words in str(error.value) and "exam:" not in str(error.value) and "stages[" not in str(error.value)
