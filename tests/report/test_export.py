"""``cai export``: tables for spreadsheets and programs, and transcripts as Inspect has them."""

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from rich.console import Console

from cai.errors import UserError
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report import inspect_logs, tables, transcripts
from cai.report.rows import drops_of
from cai.run.walk import start
from cai.store.rows import Answers, Chain, Draft, Pair, Preference, Scored, Vote, decode
from cai.store.stage import Stage

ASKED = ({"role": "user", "content": "Is rye sour?"},)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run on scripted models, made once."""
    recipe = load_recipe(ROOT / "tests" / "data" / "scripted.yaml")
    folder = tmp_path_factory.mktemp("export") / recipe.name
    start(recipe, folder, Screen(Console(quiet=True)))
    return folder


@pytest.mark.parametrize(
    ("stage", "table"), [("revise", "rows"), ("label", "rows"), ("revise", "drops"), ("prefs", "rows")]
)
def test_jsonl_has_every_row_as_the_run_has_it(run: Path, stage: str, table: str) -> None:
    lines = list(tables.jsonl(tables.table(run, stage, table)))
    if table == "drops":
        assert [json.loads(line) for line in lines] == list(Stage(run / stage).drops())
    elif stage != "prefs":
        stored = [line for part in sorted((run / stage).glob("part-*.jsonl")) for line in part.read_text().splitlines()]
        assert lines == stored
    assert lines


def test_csv_has_a_column_for_each_value(run: Path) -> None:
    text = "\n".join(tables.as_csv(tables.table(run, "label", "rows")))
    records = list(csv.DictReader(io.StringIO(text)))
    rows = list(Stage(run / "label").all_rows(Preference))
    assert len(records) == len(rows)
    assert [each["pair.a.text"] for each in records] == [row.pair.a.text for row in rows]
    assert [float(each["p_a"]) for each in records if each["p_a"]] == [row.p_a for row in rows if row.p_a is not None]
    assert json.loads(records[0]["pair.messages"]) == list(rows[0].pair.messages)


def test_no_value_of_a_row_is_lost_to_another_of_its_name() -> None:
    rows: list[dict[str, Any]] = [{"a": {"b": 1, "b.c": 2}, "a.b": 3, "a\\": {"b": 4}, "": 5, "x": {"": 6}}]
    cells = tables.flat(rows[0])
    assert cells == {"a.b": 1, "a.b\\.c": 2, "a\\.b": 3, "a\\\\.b": 4, "": 5, "x.": 6}
    [record] = csv.DictReader(io.StringIO("\n".join(tables.as_csv(lambda: iter(rows)))))
    assert list(record.values()) == ["1", "2", "3", "4", "5", "6"]


def test_votes_answers_metrics_and_the_ledger_are_tables(run: Path) -> None:
    votes = list(tables.table(run, "label", "votes")())
    assert len(votes) == sum(len(row.votes) for row in Stage(run / "label").all_rows(Preference))
    assert {"row", "row_p_a", "principle", "order", "p_a"} <= votes[0].keys()
    assert {each["role"] for each in tables.table(run, "evaluate", "answers")()} == {"policy", "other"}
    figures = {(each["model"], each["figure"]): each["value"] for each in tables.table(run, "evaluate", "metrics")()}
    assert figures["policy", "all.answers"] == 5
    assert [each["name"] for each in tables.table(run, "", "ledger")()][:2] == ["prompts", "revise"]


def test_tests_of_robustness_and_exams_and_harm_are_tables(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    (tmp_path / "s.yaml").write_text(
        '- {say: ["The rating is: 2", "No."], choose: {"0": 0.1, "2": 0.8, A: 0.7, B: 0.2}}'
    )
    recipe.write_text(RECIPE)
    folder = tmp_path / "r"
    start(load_recipe(recipe), folder, Screen(Console(quiet=True)))
    answers = [*tables.table(folder, "robustness", "answers")()]
    assert {(each["role"], each["variation"]) for each in answers} == {
        *((role, name) for role in ("m", "m-2") for name in ("plain", "persona"))
    }
    harm = [*tables.table(folder, "evaluate", "harm")()]
    assert {each["role"] for each in harm} == {"m", "m-2"} and all(each["scores"] for each in harm)
    for stage in ("robustness", "verify"):
        assert {each["model"] for each in tables.table(folder, stage, "metrics")()} == {"m", "m-2"}


RECIPE = """
name: r
constitution: principles/harmless.yaml
models: {m: {scripted: s.yaml, model: one}, m-2: {scripted: s.yaml, model: two}}
stages:
  - prompts: {redteam: {path: principles/prompts/redteam.jsonl, limit: 4}, heldout: 0.5}
  - evaluate: {models: [m, m-2], judge: m, harm: m}
  - robustness: {models: [m, m-2], variations: [persona]}
  - verify: {models: [m, m-2]}
"""


@pytest.mark.parametrize("recipe", ["../../x", "a/b", "/x"])
def test_logs_stand_in_their_folder_whatever_a_run_is_called(recipe: str, tmp_path: Path) -> None:
    subject = inspect_logs.Subject("label", "label", Stage(tmp_path / "label"))
    path = inspect_logs.path_of({"eval": {"eval_id": f"{recipe}-label-0"}}, subject, tmp_path, 0)
    assert path.parent == tmp_path and path.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\n=1", "'\n=1"),
        ("\tcmd", "'\tcmd"),
        ("＝1", "'＝1"),
        ("a=b", "a=b"),
        ("", ""),
        ('a "b",\nc', 'a "b",\nc'),
    ],
)
def test_no_text_is_a_formula_in_a_spreadsheet(text: str, cell: str) -> None:
    rows = [{"id": "1", "text": text, "p": -0.5, "ok": True, "none": None, "list": ["=1"]}]
    [record] = csv.DictReader(io.StringIO("\n".join(tables.as_csv(lambda: iter(rows)))))
    assert record == {"id": "1", "text": cell, "p": "-0.5", "ok": "true", "none": "", "list": '["=1"]'}


@pytest.mark.parametrize(
    ("stage", "table", "words"),
    [
        ("revize", "rows", 'the run has no stage "revize"; did you mean "revise"?'),
        ("", "rows", "--stage is missing: name one of prompts, revise"),
        ("revise", "votes", r"revise has no votes to export; it has: rows, drops \(--table\)"),
    ],
)
def test_what_is_not_there_is_said(run: Path, stage: str, table: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        tables.table(run, stage, table)


def test_the_command_writes_to_a_file_or_a_pipe(
    run: Path, tmp_path: Path, cai: Callable[..., CompletedProcess[str]]
) -> None:
    out = tmp_path / "votes.csv"
    assert cai("export", run, "--to", "csv", "--stage", "label", "--table", "votes", "--out", out).returncode == 0
    assert out.read_text().startswith("row,row_p_a,row_status,principle")
    piped = cai("export", run, "--to", "jsonl", "--stage", "revise", "--limit", "2")
    assert [json.loads(line)["id"] for line in piped.stdout.splitlines()] == ["rt-violence-02", "rt-violence-03"]
    wrong = cai("export", run, "--to", "xls")
    assert wrong.returncode == 2 and 'there is no "xls"' in wrong.stderr


def test_a_pipe_gets_what_a_file_would_whatever_the_terminal_s_encoding() -> None:
    line = [sys.executable, "-c", "from cai.cli.export import _write; _write(iter(['naïve 麦']), None)"]
    out = subprocess.run(line, env={**os.environ, "PYTHONIOENCODING": "ascii:backslashreplace"}, capture_output=True)
    assert out.stdout.decode() == "naïve 麦\n"


def draft(text: str, **more: Any) -> Draft:
    return Draft(text, "m-1", "stop", 7, **more)


def test_a_chain_is_a_conversation() -> None:
    drafts = (
        draft("Rude.", thinking="Hm."),
        draft("Kind.", principle="tone", critique="Too rude."),
        draft("Kind.", principle="care", critique="Fine.", flags=("fine",)),
    )
    sample = transcripts.of_chain(Chain("1", ASKED, drafts, "f.jsonl", "redteam"))
    assert [each["role"] for each in sample["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    first, second, last = sample["messages"][1], sample["messages"][2], sample["messages"][4]
    assert first["content"] == [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Rude."}]
    assert second["content"] == "[critique 1, under tone]\nToo rude."
    assert "no revision: the critique found nothing" in last["content"]
    assert (
        sample["output"]["choices"][0]["message"]["content"] == "Kind." and sample["scores"]["revisions"]["value"] == 1
    )


def test_a_preference_shows_both_answers_its_votes_and_who_is_better() -> None:
    votes = (
        Vote("tone", "ab", "cot", "j", 1, "ok", 0.2, 0.9, "B is kinder."),
        Vote("tone", "ba", "cot", "j", 1, "unparsed", None, 0.1),
    )
    pair = Pair("1", "1", ASKED, draft("Rude."), draft("Kind."), "redteam")
    sample = transcripts.of_preference(Preference("1", pair, votes, 0.2, 0.4, "ok"))
    assert (
        sample["choices"] == ["Rude.", "Kind."]
        and [each["role"] for each in sample["messages"]][1:] == ["assistant"] * 2
    )
    score = sample["scores"]["a_is_better"]
    assert (score["value"], score["answer"]) == (0.2, "b") and "B is kinder." in score["explanation"]
    assert math.isnan(sample["events"][1]["score"]["value"]) and sample["events"][1]["score"]["reason"] == "unparsed"


def test_answers_scores_and_rows_left_out_are_samples(run: Path) -> None:
    answers = transcripts.of_answers(Answers("1", ASKED, draft("Yes."), "helpful"))
    assert answers["messages"][-1]["content"] == "Yes." and answers["scores"] == {}
    scored = transcripts.of_scored(
        Scored("1", "1", ASKED, (draft("Yes."), draft("No.")), (3.0, None), "tone", "score", "j", "redteam")
    )
    assert scored["scores"]["score_a"] == {"value": 3.0} and scored["scores"]["score_b"]["reason"] == "unparsed"
    drop = transcripts.of_drop(next(iter(drops_of(Stage(run / "revise")))))
    assert drop["error"]["message"].startswith("left out: unreadable_critique")


def test_tool_calls_are_kept() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "rye"}'}}
    messages = [
        *ASKED,
        {"role": "assistant", "content": "", "tool_calls": json.dumps([call])},
        {"role": "tool", "content": "sour"},
    ]
    row = decode(
        Answers, {"id": "1", "messages": [*messages, *ASKED], "draft": {**vars_of(draft("Yes."))}, "track": "helpful"}
    )
    asked = transcripts.of_answers(row)["input"]
    assert asked[1]["tool_calls"] == [{"id": "c1", "function": "look", "arguments": {"at": "rye"}, "type": "function"}]
    assert asked[2] == {"role": "tool", "content": "sour", "source": "input"}


def vars_of(row: Draft) -> dict[str, Any]:
    return {"text": row.text, "model": row.model, "finish": row.finish, "seed": row.seed}


@pytest.mark.skipif(find_spec("inspect_ai") is not None, reason="it is installed")
def test_logs_for_inspect_name_the_package_that_they_need(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs the package inspect-ai; run: pip install 'cai-toolkit\[evals\]'"):
        inspect_logs.write_logs(run, tmp_path / "logs")
