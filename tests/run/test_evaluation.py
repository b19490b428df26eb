"""Several models compared by several judges, and judged again without a new answer."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cai.errors import UserError
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.summary import evaluated, judged, ledger_line
from cai.run.walk import judge_again, start
from cai.store.rows import Preference
from cai.store.stage import Stage
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[str, str], Path]
Go = Callable[..., Path]

RECIPE = """\
name: rated
constitution: principles/harmless.yaml
models:
  base: {scripted: base.yaml}
  tuned: {scripted: tuned.yaml}
  best: {scripted: best.yaml}
  judge: {scripted: judge.yaml}
  second: {scripted: second.yaml}
stages:
  - prompts: {redteam: redteam.jsonl, helpful: helpful.jsonl, heldout: 0.9}
  - evaluate: {models: [base, tuned, best], judge: judge}
"""


def likes(*better: tuple[str, str]) -> str:
    """A judge's script: for each word the answers it likes, by their last digit; the first that fits decides."""
    lines = []
    for word, digits in better:
        for sign, other in ("AB", "BA"):
            start = f"Answer .{sign}.: {word}"
            lines.append(f'- {{when: "{start}[^\\\\n]*[{digits}]\\\\.", choose: {{{sign}: 0.9, {other}: 0.1}}}}')
            lines.append(f'- {{when: "{start}", choose: {{{sign}: 0.1, {other}: 0.9}}}}')
    return "\n".join([*lines, "- {choose: {A: 0.5, B: 0.5}}"]) + "\n"


def prompts(track: str, count: int = 40) -> str:
    rows = ({"prompt": f"{track} {number}?", "category": ("even", "odd")[number % 2]} for number in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def recipe(write: Write) -> Path:
    for name in ("Base", "Tuned", "Best"):
        write(f"{name.lower()}.yaml", f'- {{say: ["{name} {{seed}}."]}}\n')
    # Best wins 9 of 10 whoever stands beside it, tuned 7 of 10 from base.
    write("judge.yaml", likes(("Best", "0-8"), ("Tuned", "0-6")))
    write("second.yaml", likes(("Best", "0-4"), ("Tuned", "0-4")))
    write("redteam.jsonl", prompts("red"))
    write("helpful.jsonl", prompts("kind"))
    return write("rated.yaml", RECIPE)


@pytest.fixture
def go(recipe: Path, tmp_path: Path) -> Go:
    """Runs the recipe, or judges its answers again; returns the run's folder."""

    def run(*overrides: str, again: bool = False, screen: Screen | None = None) -> Path:
        loaded, folder = load_recipe(recipe, overrides), tmp_path / "out"
        (judge_again if again else start)(loaded, folder, screen or Screen(Console(quiet=True)))
        return folder

    return run


def figures(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "evaluate" / "metrics.json").read_text())


def files(folder: Path, *patterns: str) -> dict[str, tuple[bytes, int]]:
    paths = [path for pattern in patterns for path in (folder / "evaluate").glob(pattern)]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def share(folder: Path, role: str, digits: str) -> float:
    """The share of a model's answers that end so."""
    texts = [row["draft"]["text"] for row in Stage(folder / "evaluate" / f"answers-{role}").all_rows(dict)]
    return sum(re.search(f"[{digits}]\\.$", text) is not None for text in texts) / len(texts)


def test_all_are_compared_with_all_and_the_ratings_are_the_judge_s(go: Go) -> None:
    folder = go("evaluate.against=all")
    found = evaluated(folder / "evaluate")
    assert {role: [*of.get("versus", {})] for role, of in found.items()} == {
        "base": [],
        "tuned": ["base"],
        "best": ["base", "tuned"],
    }
    tuned, best = share(folder, "tuned", "0-6"), share(folder, "best", "0-8")
    wins = figures(folder)["best"]["versus"]["tuned"]
    assert wins["all"]["win_rate"] == pytest.approx(best)
    assert wins["redteam"]["compared"] + wins["helpful"]["compared"] == wins["all"]["compared"]
    assert {*wins["all"]["categories"]} == {"even", "odd"}
    assert sum(of["compared"] for of in wins["all"]["principles"].values()) == wins["all"]["compared"]
    assert figures(folder)["tuned"]["compared"] == figures(folder)["tuned"]["versus"]["base"]
    rating = figures(folder)["tuned"]["rating"]["all"]
    # Best beats both alike, so that it says nothing of these two but for the pull of one curve.
    assert rating["elo"] == pytest.approx(400 * math.log10(tuned / (1 - tuned)), abs=40)
    assert rating["low"] < rating["elo"] < rating["high"]
    assert {"all", "redteam", "helpful"} == {*figures(folder)["best"]["rating"]}


def test_any_model_can_be_the_one_that_others_are_compared_with(go: Go) -> None:
    found = figures(go("evaluate.against=tuned"))
    assert (found["base"]["against"], found["best"]["against"]) == ("tuned", "tuned")
    assert "compared" not in found["tuned"]
    assert found["tuned"]["rating"]["all"]["elo"] == 0 and found["base"]["rating"]["all"]["elo"] < 0


def test_a_panel_s_votes_are_settled_together_and_each_stays(go: Go) -> None:
    folder = go("evaluate.judge=[judge, second]")
    [row, *_] = Stage(folder / "evaluate" / "votes-tuned").all_rows(Preference)
    assert {vote.model for vote in row.votes} == {"scripted:judge.yaml", "scripted:second.yaml"}
    wins = figures(folder)["tuned"]["compared"]["all"]
    # They differ on 5 and 6 alone, where 0.9 and 0.1 are even.
    assert wins["agreement"]["rate"] == pytest.approx(1 - share(folder, "tuned", "56"))
    assert wins["undecided"]["tie"] == round(share(folder, "tuned", "56") * wins["compared"])
    note = judged(folder / "evaluate")
    assert note is not None and [*note["judges"]] == ["judge", "second"]
    assert any("the same winner in" in line for line in note["says"])


def test_named_principles_alone_are_judged_under(go: Go) -> None:
    folder = go("evaluate.principles=[overall-harm, privacy]", "evaluate.choice=all")
    votes = [vote for row in Stage(folder / "evaluate" / "votes-best").all_rows(Preference) for vote in row.votes]
    assert {vote.principle for vote in votes} == {"overall-harm", "privacy"}
    assert {*figures(folder)["best"]["compared"]["redteam"]["principles"]} == {"overall-harm", "privacy"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "evaluate.principles=[overal-harm]",
            r'evaluate\.principles: harmless has no principle "overal-harm"; did you',
        ),
        ("evaluate.against=tunned", r'evaluate\.against: "tunned" is none of its models; did you mean "tuned"'),
        ("evaluate.judge=[judge, nobody]", r'evaluate\.judge: there is no model "nobody"'),
        ("evaluate.exam=nowhere.jsonl", r"evaluate\.exam: there is no file nowhere\.jsonl"),
        ("evaluate.constitution=nowhere.yaml", r"evaluate\.constitution: there is no file nowhere\.yaml"),
        ("evaluate.exam_limit=3", r"evaluate\.exam_limit: is for pairs that the judges are examined on"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(go: Go, more: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        go(more)


def test_two_judges_of_one_name_cannot_be_told_apart(go: Go) -> None:
    with pytest.raises(InputError, match="two judges are both called"):
        go("models.second={scripted: judge.yaml}", "evaluate.judge=[judge, second]")


def test_a_model_that_judges_itself_is_flagged(go: Go) -> None:
    folder = go("models.best={scripted: judge.yaml}", "evaluate.judge=judge")
    assert figures(folder)["best"]["self_judged"] is True and "self_judged" not in figures(folder)["tuned"]
    note = judged(folder / "evaluate")
    assert note is not None and note["judges"]["judge"]["self"] == ["best"]
    seal = Stage(folder / "evaluate").seal
    assert seal is not None and "best is judged by judge, which has its weights" in ledger_line(seal)


PEOPLE = [{"prompt": f"Ask {n}?", "chosen": f"{n} Best 1.", "rejected": f"{n} worst 9."} for n in range(30)]
KNOWS = '- {when: "Answer .A.: [0-9]+ Best", choose: {A: 0.9, B: 0.1}}\n- {choose: {A: 0.1, B: 0.9}}\n'


def test_the_judge_sits_an_exam_and_its_accuracy_stands_beside_its_numbers(go: Go, write: Write) -> None:
    data = write("people.jsonl", "".join(json.dumps(row) + "\n" for row in PEOPLE))
    write("judge.yaml", KNOWS)
    folder = go(f"evaluate.exam={data}", "evaluate.exam_limit=25")
    note = judged(folder / "evaluate")
    assert note is not None and "exam" in note
    assert (note["exam"]["pairs"], note["exam"]["accuracy"]["value"], note["exam"]["where"]) == (25, 1.0, "here")
    assert note["says"][0].startswith("the judge agreed with people in 100%")


def stored(**more: object) -> str:
    """What ``cai judge-eval --json`` prints, as far as it is read."""
    part = {"value": 0.66, "low": 0.6, "high": 0.71, "of": 300}
    method = {"model": "scripted:judge.yaml", "pairs": 300, "accuracy": part, "by_track": {"redteam": part}, **more}
    return json.dumps({"data": "hh.jsonl", "constitution": "harmless", "methods": {"logprob": method}})


def test_an_exam_that_was_sat_before_is_read(go: Go, write: Write) -> None:
    folder = go(f"evaluate.exam={write('exam.json', stored())}")
    note = judged(folder / "evaluate")
    assert note is not None and "exam" in note and note["exam"]["accuracy"]["value"] == 0.66
    assert note["says"][0].startswith("the judge agreed with people in 66% (60% to 71%) of 300 pairs of hh.jsonl")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": "another"}, "is an exam of another, and the judge is"),
        ({"accuracy": {"value": 7, "low": 0, "high": 1, "of": 3}}, "is no result of cai judge-eval --json"),
    ],
)
def test_an_exam_of_another_judge_or_out_of_bounds_is_refused(
    go: Go, write: Write, more: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        go(f"evaluate.exam={write('exam.json', stored(**more))}")


def test_another_judge_reads_the_same_answers_and_no_model_answers_again(go: Go, write: Write) -> None:
    before = files(go(), "answers-*/part-*")
    folder = go("evaluate.judge=second", again=True)
    assert files(folder, "answers-*/part-*") == before
    votes = [vote.model for row in Stage(folder / "evaluate" / "votes-best").all_rows(Preference) for vote in row.votes]
    assert {*votes} == {"scripted:second.yaml"}
    assert figures(folder)["best"]["compared"]["all"]["win_rate"] == pytest.approx(share(folder, "best", "0-4"))
    assert list((folder / ".aside" / "evaluate").glob("votes-best-*")), "what the other judge said is kept"
    assert go("evaluate.judge=second") == folder, "the same command without the option finds all done"
    with pytest.raises(UserError, match=r"made under other settings .* to judge them anew: --rejudge"):
        go()


def test_another_constitution_judges_the_same_answers(go: Go, write: Write) -> None:
    before = files(go(), "answers-*/part-*")
    text = (ROOT / "principles" / "harmless.yaml").read_text(encoding="utf-8").replace("name: harmless", "name: other")
    own = f"evaluate.constitution={write('other.yaml', text)}"
    folder = go(own, again=True)
    assert files(folder, "answers-*/part-*") == before
    note = judged(folder / "evaluate")
    assert note is not None and note["constitution"] == "other"
    assert go(own) == folder


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("evaluate.temperature=0.5", r"other answers \(block\.temperature: 1\.0 → 0\.5\); .*--redo evaluate"),
        ("seed=9", r"other answers \(seed: 0 → 9"),
        ("evaluate.models=[base, tuned, best, second]", r"other answers \(second has not answered\)"),
        ("models.best={scripted: tuned.yaml}", r"other answers \(models\.best"),
    ],
)
def test_answers_that_would_differ_are_not_kept(go: Go, more: str, says: str) -> None:
    before = files(go(), "**/part-*", "seal.json")
    with pytest.raises(UserError, match=says):
        go(more, again=True)
    assert files(go(), "**/part-*", "seal.json") == before


def test_the_same_judge_may_be_asked_again(go: Go) -> None:
    whole = files(go(), "votes-*/part-*", "metrics.json")
    again = files(go(again=True), "votes-*/part-*", "metrics.json")
    assert {name: data for name, (data, _) in again.items()} == {name: data for name, (data, _) in whole.items()}
    assert all(again[name][1] > when for name, (_, when) in whole.items())


def test_judging_again_is_killed_and_goes_on(recipe: Path, write: Write, tmp_path: Path) -> None:
    write("slow.yaml", "- {choose: {A: 0.6, B: 0.4}, delay: 0.02}\n")
    line = [sys.executable, "-m", "cai.cli", "run", str(recipe), "--out", str(tmp_path)]
    more = ["models.second={scripted: slow.yaml, concurrency: 2}", "evaluate.judge=second", "--rejudge"]
    subprocess.run(line, check=True, cwd=ROOT, capture_output=True)
    folder = tmp_path / "rated"
    answers = files(folder, "answers-*/part-*")
    process = subprocess.Popen([*line, *more], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = folder / "evaluate" / "votes-tuned" / "part-00000.jsonl.open"
    while not (part.exists() and part.read_bytes().count(b"\n") > 5):
        assert process.poll() is None, "the judging ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {row["in"] for row in map(json.loads, part.read_text().splitlines()[:-1])}
    assert not (folder / "evaluate" / "seal.json").exists()
    subprocess.run([*line, *more], check=True, cwd=ROOT, capture_output=True)
    assert files(folder, "answers-*/part-*") == answers
    votes = list(Stage(folder / "evaluate" / "votes-tuned").all_rows(Preference))
    assert kept <= {row.id for row in votes} and len(list((folder / ".aside" / "evaluate").glob("votes-tuned-*"))) == 1
    assert {vote.model for row in votes for vote in row.votes} == {"scripted:slow.yaml"}


def test_figures_of_before_still_open(go: Go) -> None:
    folder = go()
    path = folder / "evaluate" / "metrics.json"
    old = figures(folder)
    new = ("versus", "rating", "self_judged")
    for of in old.values():
        for key in new:
            of.pop(key, None)
        for wins in of.get("compared", {}).values():
            for key in ("principles", "categories", "length_controlled", "agreement"):
                wins.pop(key, None)
    path.write_text(json.dumps(old))
    (folder / "evaluate" / "judge.json").unlink()
    assert evaluated(folder / "evaluate").keys() == {"base", "tuned", "best"}
    assert judged(folder / "evaluate") is None
