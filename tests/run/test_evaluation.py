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
from cai.run.context import Run
from cai.run.effects import effects
from cai.run.walk import judge_again, start
from cai.store.rows import Preference
from cai.store.stage import Stage
from constitution.load import load
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[str, str], Path]
Go = Callable[..., Path]

RECIPE = """\
name: rated
constitution: small.yaml
models:
  base: {scripted: base.yaml}
  tuned: {scripted: tuned.yaml}
  best: {scripted: best.yaml}
  judge: {scripted: judge.yaml}
  second: {scripted: second.yaml}
stages:
  - prompts: {redteam: redteam.jsonl, helpful: helpful.jsonl, heldout: 0.9}
  - evaluate: {models: [base, best], judge: judge}
"""
SMALL = """\
name: small
principles:
  - {id: kind, critique: Say what is unkind., revision: Say it kindly., judgment: Which answer is kinder?}
  - {id: calm, critique: Say what is loud., revision: Say it calmly., judgment: Which answer is calmer?}
  - {id: plain, critique: Say what is vague., revision: Say it plainly., judgment: Which answer is plainer?}
"""
THREE = "evaluate.models=[base, tuned, best]"


def likes(*better: tuple[str, str]) -> str:
    """A judge's script: for each word the answers it likes, by their last digit; the first that fits decides."""
    lines = []
    for word, digits in better:
        for sign, other in ("AB", "BA"):
            start = f"Answer .{sign}.: {word}"
            lines.append(f'- {{when: "{start}[^\\\\n]*[{digits}]\\\\.", choose: {{{sign}: 0.9, {other}: 0.1}}}}')
            lines.append(f'- {{when: "{start}", choose: {{{sign}: 0.1, {other}: 0.9}}}}')
    return "\n".join([*lines, "- {choose: {A: 0.5, B: 0.5}}"]) + "\n"


def prompts(track: str, count: int = 24) -> str:
    rows = ({"prompt": f"{track} {number}?", "category": ("even", "odd")[number % 2]} for number in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def recipe(write: Write) -> Path:
    for name in ("Base", "Tuned", "Best"):
        write(f"{name.lower()}.yaml", f'- {{say: ["{name} {{seed}}."]}}\n')
    # Best wins 9 of 10 whoever stands beside it, tuned 7 of 10 from base.
    write("judge.yaml", likes(("Best", "0-8"), ("Tuned", "0-6")))
    write("second.yaml", likes(("Best", "0-4"), ("Tuned", "0-4")))
    write("small.yaml", SMALL)
    write("redteam.jsonl", prompts("red"))
    write("helpful.jsonl", prompts("kind"))
    return write("rated.yaml", RECIPE)


@pytest.fixture
def go(recipe: Path, tmp_path: Path) -> Go:
    """Runs the recipe, or judges its answers again; returns the run's folder."""

    def run(*overrides: str, again: bool = False, screen: Screen | None = None) -> Path:
        loaded, folder = load_recipe(recipe, overrides), tmp_path / "rated"
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
    folder = go(THREE, "evaluate.against=all")
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
    found = figures(go("evaluate.against=best"))
    assert found["base"]["against"] == "best" and {*found["base"]["versus"]} == {"best"}
    assert not {"against", "compared", "versus"} & {*found["best"]}
    assert found["best"]["rating"]["all"]["elo"] == 0 and found["base"]["rating"]["all"]["elo"] < 0


def test_a_panel_s_votes_are_settled_together_and_each_stays(go: Go) -> None:
    folder = go("evaluate.judge=[judge, second]")
    [row, *_] = Stage(folder / "evaluate" / "votes-best").all_rows(Preference)
    assert {vote.model for vote in row.votes} == {"scripted:judge.yaml", "scripted:second.yaml"}
    wins = figures(folder)["best"]["compared"]["all"]
    # They differ on 5 to 8 alone, where 0.9 and 0.1 are even.
    assert wins["agreement"]["rate"] == pytest.approx(1 - share(folder, "best", "5-8"))
    assert wins["undecided"]["tie"] == round(share(folder, "best", "5-8") * wins["compared"])
    note = judged(folder / "evaluate")
    assert note is not None and [*note["judges"]] == ["judge", "second"]
    assert any("the same winner in" in line for line in note["says"])


def test_named_principles_alone_are_judged_under(go: Go) -> None:
    folder = go("evaluate.principles=[kind, plain]", "evaluate.choice=all")
    votes = [vote for row in Stage(folder / "evaluate" / "votes-best").all_rows(Preference) for vote in row.votes]
    assert {vote.principle for vote in votes} == {"kind", "plain"}
    assert {*figures(folder)["best"]["compared"]["redteam"]["principles"]} == {"kind", "plain"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            "evaluate.principles=[kindd]",
            r'evaluate\.principles: small has no principle "kindd"; did you',
        ),
        ("evaluate.against=bst", r'evaluate\.against: "bst" is none of its models; did you mean "best"'),
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


def test_a_model_that_judges_itself_is_flagged(go: Go, write: Write) -> None:
    write("judge.yaml", likes(("Best", "0-8")) + '- {say: ["Best {seed}."]}\n')
    folder = go("models.best={scripted: judge.yaml}")
    assert figures(folder)["best"]["self_judged"] is True and "self_judged" not in figures(folder)["base"]
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
    return json.dumps({"data": "hh.jsonl", "constitution": "small", "methods": {"logprob": method}})


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
    own = f"evaluate.constitution={write('other.yaml', SMALL.replace('name: small', 'name: other'))}"
    folder = go(own, again=True)
    assert files(folder, "answers-*/part-*") == before
    note = judged(folder / "evaluate")
    assert note is not None and note["constitution"] == "other"
    assert go(own) == folder


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("evaluate.temperature=0.5", r"other answers \(block\.temperature: 1\.0 → 0\.5\); .*--redo evaluate"),
        ("seed=9", r"prompts would change, too \(seed: 0 → 9\)"),
        ("evaluate.models=[base, best, second]", r"other answers \(second has not answered\)"),
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


def test_votes_that_were_about_to_be_set_aside_are_and_the_evaluation_is_done_again(go: Go) -> None:
    """As a kill leaves it between the record of what is to be moved and the move."""
    whole = files(folder := go(), "votes-*/part-*", "metrics.json")
    record = {"stages": {}, "aside": ["evaluate/votes-best"], "changed": False}
    (folder / "redo.json").write_text(json.dumps(record))
    again = files(go(), "votes-*/part-*", "metrics.json")
    assert {name: data for name, (data, _) in again.items()} == {name: data for name, (data, _) in whole.items()}
    assert list((folder / ".aside" / "evaluate").glob("votes-best-*")) and not (folder / "redo.json").exists()
    assert all(again[name][1] > when for name, (_, when) in whole.items())


def test_the_judge_of_a_model_alone_sits_no_exam(go: Go, write: Write) -> None:
    write("people.jsonl", "".join(json.dumps(row) + "\n" for row in PEOPLE))
    folder = go("evaluate.models=[base]", "evaluate.exam=people.jsonl")
    assert evaluated(folder / "evaluate").keys() == {"base"} and judged(folder / "evaluate") is None


def test_what_is_judged_no_more_leaves_nothing_behind(go: Go, write: Write) -> None:
    """Pairs of an exam that was larger, plain text that was another, and the judges of comparisons that there were."""
    rows = ({"prompt": f"{n}?", "a": f"Best {n}.", "b": "Base.", "preferred": "a"} for n in range(600))
    write("people.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write("one.txt", "One passage.\n\nAnother one.")
    write("two.txt", "Two passage.\n\nAnother two.")
    folder = go("evaluate.exam=people.jsonl", "evaluate.plain_text=one.txt")
    (folder / "evaluate" / "plain-base.json").write_text('[{"nats": 9.0, "tokens": 3, "bytes": 12}]')
    go("evaluate.exam=people.jsonl", "evaluate.exam_limit=20", "evaluate.plain_text=two.txt", again=True)
    note = judged(folder / "evaluate")
    assert note is not None and "exam" in note and note["exam"]["pairs"] == 20
    assert not (folder / "evaluate" / "plain-base.json").exists()
    go("evaluate.models=[base]", "evaluate.plain_text=two.txt", again=True)
    assert judged(folder / "evaluate") is None and not list((folder / "evaluate").glob("pairs-*"))


def test_judging_again_is_killed_and_goes_on(go: Go, recipe: Path, write: Write, tmp_path: Path) -> None:
    write("slow.yaml", "- {choose: {A: 0.6, B: 0.4}, delay: 0.02}\n")
    more = ["models.second={scripted: slow.yaml, concurrency: 2}", "evaluate.judge=second"]
    answers = files(folder := go(), "answers-*/part-*")
    line = [sys.executable, "-m", "cai.cli", "run", str(recipe), *more, "--rejudge", "--out", str(tmp_path)]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = folder / "evaluate" / "votes-best" / "part-00000.jsonl.open"
    while not (part.exists() and part.read_bytes().count(b"\n") > 5):
        assert process.poll() is None, "the judging ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "evaluate" / "seal.json").exists()
    kept = part.read_text().splitlines()[:-1]
    go(*more, again=True)
    assert files(folder, "answers-*/part-*") == answers
    rows = list(Stage(folder / "evaluate" / "votes-best").all_rows(Preference))
    assert {json.loads(line)["in"] for line in kept} <= {row.id for row in rows}
    assert {vote.model for row in rows for vote in row.votes} == {"scripted:slow.yaml"}
    assert len(list((folder / ".aside" / "evaluate").glob("votes-best-*"))) == 1, "what it had done stood"


def test_settings_of_before_there_were_more_are_the_same(recipe: Path, tmp_path: Path) -> None:
    """Runs that were begun with fewer keys go on."""
    loaded = load_recipe(recipe)
    settings = Run(loaded, tmp_path / "rated", Screen(Console(quiet=True))).settings("evaluate")
    keys = "models judge method disagree max_tokens temperature top_p exemplars limit"
    assert {*settings.block} == {*keys.split()} and settings.block["judge"] == "judge"


def test_a_changed_constitution_reaches_every_comparison(go: Go, write: Write) -> None:
    folder = go(THREE, "evaluate.against=all", "evaluate.principles=[kind, plain]")
    new = load(write("new.yaml", SMALL.replace("Which answer is kinder", "Which of them is kinder")))
    [effect] = [each for each in effects(folder, new) if each.stage == "evaluate"]
    rows = Stage(folder / "evaluate" / "votes-best").all_rows(Preference)
    drew = {row.id for row in rows if any(vote.principle == "kind" for vote in row.votes)}
    assert {name.rpartition("/")[2] for name in effect.touched} == {
        "votes-tuned",
        "votes-best",
        "votes-best-over-tuned",
    }
    assert all({*ids} == drew for ids, _ in effect.touched.values()) and drew


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
    assert evaluated(folder / "evaluate").keys() == {"base", "best"}
    assert judged(folder / "evaluate") is None
