"""``cai show``: rows where there are some, and otherwise where to look for what a stage made."""

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from cai.errors import UserError
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.page import write_report
from cai.report.rows import RowQuery, print_rows
from cai.report.summary import print_summary
from cai.run.walk import start

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on scripted models."""
    recipe = load_recipe(DATA / "scripted.yaml", [])
    folder = tmp_path_factory.mktemp("runs") / recipe.name
    start(recipe, folder, Screen(Console(quiet=True)))
    return folder


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    """The same with a trainer that it never had."""
    folder = tmp_path / "run"
    shutil.copytree(done, folder)
    known = json.loads((folder / "run.json").read_text())
    known["stages"] += [{"name": name, "kind": "dpo", "reads": "prefs"} for name in ("dpo", "later")]
    (folder / "run.json").write_text(json.dumps(known))
    (folder / "dpo").mkdir()
    shutil.copy(folder / "label" / "begun.json", folder / "dpo")
    return folder


def show(folder: Path, name: str, wanted: RowQuery | None = None) -> str:
    out = io.StringIO()
    print_rows(folder, name, wanted or RowQuery(), Console(file=out, width=200))
    return out.getvalue()


def test_an_evaluation_shows_its_comparisons_and_what_was_not_compared(run: Path) -> None:
    shown = show(run, "evaluate", RowQuery(count=1))
    assert (
        re.search(r"answer a, by \S*script.yaml:", shown)
        and re.search(r"answer b, by \S*other.yaml:", shown)
        and "P(a is better) =" in shown
    )
    (run / "evaluate" / "pairs-other" / "drops.jsonl").write_text(
        '{"part": 0, "in": "x", "id": "x", "reason": "empty_answer", "detail": "", "partial": null}\n'
    )
    assert '"reason": "empty_answer"' in show(run, "evaluate", RowQuery(drops=True))


def test_a_stage_without_rows_says_where_what_it_made_is(run: Path) -> None:
    for name, words in (
        ("dpo", f"it trains a model ({run / 'dpo' / 'model'}), whose curves are in: cai report {run}"),
        ("report", f"open {run / 'report' / 'report.html'}"),
        ("later", "has no rows to show, as it is not begun"),
    ):
        with pytest.raises(UserError) as error:
            show(run, name)
        assert words in str(error.value)
    for votes in run.glob("evaluate/votes-*"):
        shutil.rmtree(votes)
    with pytest.raises(UserError, match=r"its answers are in .*answers-\*, its figures in .*metrics.json"):
        show(run, "evaluate")


def test_rows_of_a_stage_that_is_not_done_are_shown(run: Path) -> None:
    part = run / "label" / "part-00000.jsonl"
    first, *_ = part.read_text(encoding="utf-8").splitlines()
    for each in run.glob("label/part-*"):
        each.unlink()
    line = f'{{"in": "x", "tokens": [1, 0, 1], "out": [{first}]}}\n'
    part.with_suffix(".jsonl.open").write_text(line + line[:40], encoding="utf-8")
    assert show(run, "label").count("P(a is better) =") == 1


@pytest.mark.parametrize("name", ["prompts", "label", "sft_set"])
def test_differences_of_what_was_never_revised_are_refused(run: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"--diff shows what revisions changed, and {name} has none; take it out"):
        show(run, name, RowQuery(diff=True))


def test_a_prompt_of_several_turns_is_shown_whole(run: Path, without_digests: Callable[[Path], None]) -> None:
    """In ``show`` and on the run's page; a question alone stands in its own words."""
    before = [
        {"role": "system", "content": "Answer in a line."},
        {"role": "user", "content": "Is <rye> sour?"},
        {"role": "assistant", "content": "A little."},
    ]
    without_digests(run)
    for name, among in (("revise", ()), ("label", ("pair",))):
        part = min((run / name).glob("part-*.jsonl"))
        first, *others = map(json.loads, part.read_text(encoding="utf-8").splitlines())
        (first[among[0]] if among else first)["messages"][:0] = before
        part.write_text("".join(json.dumps(each) + "\n" for each in (first, *others)), encoding="utf-8")
        several, one = show(run, name, RowQuery(count=2)).split("\nprompt:\n")[1:]
        assert "    System: Answer in a line.\n" in several
        assert "    Human: Is <rye> sour?\n" in several
        assert "    Assistant: A little.\n" in several
        assert "Human:" not in one
    write_report(run, run / "report.html", rows=1000)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("Human: Is &lt;rye&gt; sour?") == 2


def test_outputs_are_named_where_there_are_some(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(run, Console())
    assert re.search(r"\nOutputs\nsft_set +\S+/sft_set\n", capsys.readouterr().out)
    known = json.loads((run / "run.json").read_text())
    known["stages"] = [each for each in known["stages"] if each["kind"] in ("prompts", "revise")]
    (run / "run.json").write_text(json.dumps(known))
    print_summary(run, Console())
    said = capsys.readouterr().out
    assert "Ledger" in said
    assert "Outputs" not in said
