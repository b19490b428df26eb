"""What the page says of an evaluation: of one as it is written now, and of those of before that say less."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import report_page

from cai.cli import app
from cai.errors import RunError, UserError
from cai.report.page import write_report, write_reports
from constitution.load import digest, load

ROWS = 40


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose evaluation says no more than those of before did."""
    folder = tmp_path_factory.mktemp("before") / "run"
    report_page.made(folder, ROWS, 12, report_page.Words([Path(report_page.__file__)]))
    return folder


@pytest.fixture
def run(before: Path, tmp_path: Path, without_digests: Callable[[Path], None]) -> Path:
    """A copy of it, to be changed."""
    import shutil

    shutil.copytree(before, tmp_path / "run")
    without_digests(tmp_path / "run")
    return tmp_path / "run"


def page_of(run: Path) -> str:
    write_report(run, run / "report.html")
    return (run / "report.html").read_text(encoding="utf-8")


def change(path: Path, alter: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    alter(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    return data


def lead(page: str) -> str:
    return page.partition("<h1>")[2].partition("</h1>")[0]


def test_an_evaluation_of_before_has_its_tracks_and_its_principles_counted_from_the_votes(run: Path) -> None:
    change(run / "evaluate" / "metrics.json", lambda figures: figures["dpo"]["compared"]["all"].pop("principles", None))
    page = page_of(run)
    assert "on red-team prompts" in lead(page) and "on helpful prompts" in lead(page)
    assert "the judge has not been examined" in lead(page)
    rows = page.partition("Wins by the principle")[2].partition("</table>")[0]
    assert "“Least harm”" in rows and "“Most care”" in rows
    wins = json.loads((run / "evaluate" / "metrics.json").read_text())["dpo"]["compared"]["all"]
    inner = [
        int(cell.partition(" of ")[2])
        for cell in rows.replace("</td>", "\n").split('data-label="won">')[1:]
        for cell in [cell.split("\n")[0]]
    ]
    assert sum(inner) == wins["decided"]


def test_what_an_evaluation_says_now_stands_on_the_page(run: Path) -> None:
    """Ratings, principles, categories, equal lengths, figures of any name, and the judge's exam, which the headline names."""

    def alter(figures: dict[str, Any]) -> None:
        dpo = figures["dpo"]
        whole = dpo["compared"]["all"]
        wins = {
            **{key: whole[key] for key in ("compared", "low", "high", "undecided")},
            "decided": 9,
            "won": 7,
            "win_rate": 7 / 9,
        }
        whole |= {"principles": {"harm": wins}, "categories": {"weapons & <b>": wins}}
        whole["length_controlled"] = {
            "win_rate": None,
            "low": 0.0,
            "high": 1.0,
            "of": 9,
            "longer": 0.5,
            "says": "only 9 decided",
        }
        dpo["versus"] = {"policy": dpo["compared"]}
        dpo["rating"] = {
            "all": {
                "elo": 74.1,
                "low": -12.0,
                "high": None,
                "comparisons": 9,
                "ties": 0,
                "undecided": 0,
                "prompts": 9,
                "says": "",
            }
        }
        dpo["all"]["candour"] = {"over_hedging": {"value": 0.31, "low": 0.2, "high": 0.44, "of": 50}}
        dpo["drift"] = {"all": {"emoji": {"first": 0.1, "value": 0.4, "change": 0.3, "low": 0.2, "high": 0.41}}}

    change(run / "evaluate" / "metrics.json", alter)
    accuracy = {"value": 0.66, "low": 0.6, "high": 0.71, "of": 300}
    judge = {
        "judges": {},
        "method": "cot",
        "constitution": "c",
        "principles": [],
        "against": "policy",
        "compared": 9,
        "undecided": 0.1,
    }
    exam = {"data": "hh.jsonl", "pairs": 300, "accuracy": accuracy, "by_track": {}, "where": "here"}
    says = ["it chose the same <i>position</i>"]
    change(run / "evaluate" / "judge.json", lambda note: note.update(judge | {"exam": exam, "says": says}))
    page = page_of(run)
    assert "the judge is better than a coin (66% (60–71) of 300 pairs right)" in lead(page)
    for words in (
        "+74",
        "-12 to open",
        "7 of 9",
        "weapons &amp; &lt;b&gt;",
        "not known, only 9 decided",
        "31% (20–44) of 50",
    ):
        assert words in page, words
    assert "drift: emoji" in page and "it chose the same &lt;i&gt;position&lt;/i&gt;" in page


def test_a_principle_s_words_are_those_of_the_constitution_that_the_evaluation_had(run: Path) -> None:
    text = "name: c\nprinciples:\n  - {id: harm, critique: C., revision: R., judgment: 'Which <does> least harm?'}\n"
    (run / "constitutions").mkdir()
    (run / "constitutions" / "own.yaml").write_text(text)
    key = digest(load(run / "constitutions" / "own.yaml"))
    (run / "constitutions" / "own.yaml").rename(run / "constitutions" / f"{key}.yaml")
    assert "least harm?" not in page_of(run)
    change(run / "evaluate" / "begun.json", lambda begun: begun.update({"constitution": key}))
    rows = page_of(run).partition("Wins by the principle")[2].partition("</table>")[0]
    assert "“Least harm”" in rows and "judging: Which &lt;does&gt; least harm?" in rows


def test_a_judge_that_is_one_of_the_models_is_told(run: Path) -> None:
    change(run / "run.json", lambda note: note["models"].update({"judge": "p"}))
    assert "the judge judged its own answers (policy)" in lead(page_of(run))


def test_figures_that_are_damaged_are_told_in_a_sentence(run: Path) -> None:
    change(run / "evaluate" / "metrics.json", lambda figures: figures["dpo"].update({"versus": {"policy": {"all": 5}}}))
    with pytest.raises(RunError, match=r"metrics.json is damaged \(dpo.versus.policy.all: expected an object\)"):
        page_of(run)


def test_figures_of_other_stages_stand_under_their_names(run: Path) -> None:
    """Also of kinds that this version does not know."""
    (run / "sets").mkdir()
    seal = json.loads((run / "evaluate" / "seal.json").read_text()) | {"stage": "sets"}
    (run / "sets" / "seal.json").write_text(json.dumps(seal))
    figures = {
        "policy": {"xstest": {"value": 0.9, "low": 0.85, "high": 0.94}},
        "dpo": {"xstest": {"value": 0.7, "low": 0.6, "high": 0.8}},
    }
    (run / "sets" / "metrics.json").write_text(json.dumps(figures))
    change(run / "run.json", lambda note: note["stages"].append({"name": "sets", "kind": "benchmarks", "reads": ""}))
    page = page_of(run)
    assert "Evaluation sets and other measures" in page
    assert "90% (85–94)" in page and "70% (60–80)" in page


def test_rows_without_a_search_are_as_many_as_asked(run: Path) -> None:
    write_report(run, run / "none.html", rows=0)
    assert '<details class="row"' not in (run / "none.html").read_text(encoding="utf-8")
    assert page_of(run).count('<details class="row"') >= 8


def test_two_runs_are_named_at_the_command_line_and_the_same_one_twice_is_refused(
    run: Path, before: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    app.app(["report", str(run), str(before), "--out", str(tmp_path / "both.html")], standalone_mode=False)
    assert capsys.readouterr().out.strip() == str(tmp_path / "both.html")
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert str(before) in page and str(run) in page  # both folders are called run
    assert page.count("What the runs were made of") > 0
    with pytest.raises(UserError, match="named twice"):
        write_reports([run, run], tmp_path / "x.html")
