"""Rounds for real, on a model of a few thousand weights: accepted, ended by each bound, killed and taken up, done again.

The policies are sampled and trained; the labeller is scripted, and so is the held-out judge, which prefers the policy that
each test says.
"""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from forks import killed
from rich.console import Console

from cai.errors import RunError
from cai.flow.screen import Screen
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request
from cai.recipe.read import load_recipe
from cai.report.page import write_report
from cai.report.summary import stages_of
from cai.run.context import Run
from cai.run.walk import start
from cai.store import reopen
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")
NEWER, OLDER = "b", "a"
RECIPE = """\
name: turns
constitution: principles/harmless.yaml
models:
  start: {local: MODEL}
  labeller: {scripted: labeller.yaml}
  judge: {scripted: judge.yaml}
stages:
  - prompts: {redteam: {path: principles/prompts/redteam.jsonl, limit: 10}, heldout: 0.3}
  - rounds:
      times: 2
      init: start
      stages:
        - sample: {model: newest, max_tokens: 8}
        - label: {model: labeller, method: logprob, orders: one}
        - prefs: {test: 0}
        - dpo: {base: newest, reference: initial, max_steps: 2, per_device_train_batch_size: 2, learning_rate: 0.03, bf16: false}
      evaluate: {judge: judge, max_tokens: 48}
      until: {length: [0.1, 10]}
  - evaluate: {models: [start, rounds], judge: judge, max_tokens: 48}
"""
JUDGE = "- {say: [Hm.], choose: {A: 0.9, B: 0.1}}\n"
Go = Callable[..., Path]


@pytest.fixture(scope="module")
def recipe(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    for name in ("labeller", "judge"):
        (folder / f"{name}.yaml").write_text(JUDGE)
    path = folder / "turns.yaml"
    path.write_text(RECIPE.replace("MODEL", str(tiny)))
    return path


@pytest.fixture(scope="module")
def go(recipe: Path, trains_here: None) -> Iterator[Go]:
    """Runs the recipe, its processes in this one, where torch is loaded already; returns the run's folder.

    Takes where it goes, overrides, whom the judge prefers by round (the newer policy unless told), what is done again, and
    another recipe.
    """
    prefers: dict[str, str] = {}

    def run(
        out: Path, *overrides: str, likes: Mapping[str, str] | None = None, redo: str | None = None, path: Path = recipe
    ) -> Path:
        prefers.clear()
        prefers.update(likes or {})
        loaded = load_recipe(path, overrides)
        patch.setattr(Scripted, "ask", judging(out / loaded.name, prefers))
        start(loaded, out / loaded.name, Screen(Console(quiet=True)), redo)
        return out / loaded.name

    with pytest.MonkeyPatch.context() as patch:
        yield run


REAL = Scripted.ask


def judging(folder: Path, prefers: Mapping[str, str]) -> Any:
    """The judge's answer to a comparison, by which of the two texts it is shown first."""

    async def ask(self: Scripted, request: Request, row_id: str) -> Reply:
        if self.name != "scripted:judge.yaml" or not request.choices:
            return await REAL(self, request, row_id)
        newest = max(folder.glob("**/pairs-*/part-*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        row = next(row for row in map(json.loads, newest.read_text().splitlines()) if row["id"] == row_id)
        liked = prefers.get(newest.parent.name.removeprefix("pairs-"), NEWER)
        asked = request.messages[-1]["content"]
        first = min(("a", "b"), key=lambda which: asked.rindex(row[which]["text"]))
        judge = copy.copy(self)
        judge.answer = lambda _: {"A": 0.9, "B": 0.1} if first == liked else {"A": 0.1, "B": 0.9}
        return await REAL(judge, request, row_id)

    return ask


@pytest.fixture(scope="module")
def whole(go: Go, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run through both rounds."""
    return go(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """Where a copy of that run is, to be changed."""
    shutil.copytree(whole, tmp_path / whole.name)
    return tmp_path


def verdict(folder: Path, number: int) -> dict[str, Any]:
    return json.loads((folder / f"round-{number}" / "verdict" / "seal.json").read_text())["verdict"]


def weights(model: Path) -> bytes:
    return (model / "model" / "model.safetensors").read_bytes()


def states(folder: Path) -> dict[str, str]:
    return {each["name"]: each["state"] for each in stages_of(folder)}


def test_all_rounds_are_accepted_while_the_judge_prefers_the_newest(whole: Path, tiny: Path) -> None:
    assert set(states(whole).values()) == {"done"}
    for number in (1, 2):
        found = verdict(whole, number)
        assert found["accepted"]
        assert found["compared"]["win_rate"] == 1.0
        assert found["kl"] > 0
        assert found["length"] > 0
    assert verdict(whole, 2)["against"] == "round-1"
    assert weights(whole / "rounds") == weights(whole / "round-2" / "dpo") != weights(whole / "round-1" / "dpo")
    held = json.loads((whole / "round-2" / "dpo" / "job.json").read_text())
    assert held["block"]["base"] == str((whole / "round-1" / "dpo" / "model").resolve())
    assert held["block"]["reference"] == str(tiny)


def test_each_round_asks_the_newest_policy_with_draws_of_its_own(whole: Path) -> None:
    first, second = (list(Stage(whole / f"round-{number}" / "sample").all_rows(dict)) for number in (1, 2))
    assert {row["a"]["model"] for row in first} != {row["a"]["model"] for row in second} == {"round-1"}
    seeds = [{row["prompt_id"]: row["a"]["seed"] for row in rows} for rows in (first, second)]
    assert all(seeds[0][prompt] != seeds[1][prompt] for prompt in seeds[0].keys() & seeds[1].keys())


def test_the_divergence_is_that_of_the_two_models(whole: Path, tiny: Path) -> None:
    """Against plain forward passes; and of a model to itself it is nothing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from cai.store.rows import Answers
    from cai.train.divergence import divergence, tokens
    from cai.train.rl.rollout import ChatTokens

    own = whole / "round-1" / "dpo" / "model"
    policy, initial = (AutoModelForCausalLM.from_pretrained(path) for path in (own, tiny))
    talk = ChatTokens(AutoTokenizer.from_pretrained(own))
    found = []
    for row in Stage(whole / "round-1" / "evaluate" / "answers-round-1").all_rows(Answers):
        asked, answer = tokens(talk, row)
        with torch.no_grad():
            ids = torch.tensor([asked + answer])
            logs = [model(ids).logits[0].log_softmax(-1) for model in (policy, initial)]
        places = range(len(asked) - 1, len(asked) + len(answer) - 1)
        found.append(sum(torch.sum(logs[0][at].exp() * (logs[0][at] - logs[1][at])).item() for at in places))
        assert divergence(policy, policy, asked, answer) == 0
    assert verdict(whole, 1)["kl"] == pytest.approx(sum(found) / len(found), rel=1e-3)


def test_a_policy_of_no_numbers_has_a_divergence_without_an_error() -> None:
    from cai.train.divergence import summary

    assert summary([1.0, 3.0]) == {"kl": 2.0, "kl_error": 1.0}
    assert summary([1.0, float("nan")])["kl_error"] is None
    assert summary([1.0, float("inf")]) == {"kl": float("inf"), "kl_error": None}


ENDS = "max_steps: 1, per_device_train_batch_size: 2, learning_rate: 0.01, bf16: false"
SCORED = ["sample: {model: newest, max_tokens: 8}", "score: {method: rules}"]


@pytest.mark.parametrize(
    "steps",
    [
        [
            *SCORED,
            "unpaired: {good: -0.02, bad: -0.025, truncated: keep, test: 0}",
            f"kto: {{base: newest, reference: initial, {ENDS}}}",
        ],
        [*SCORED, "best: {test: 0, truncated: keep}", f"sft: {{base: newest, lora: 2, {ENDS}}}"],
        [f"ppo: {{base: newest, method: rules, batch_size: 4, max_new_tokens: 8, {ENDS}}}"],
    ],
    ids=["kto", "sft", "ppo"],
)
def test_other_trainers_go_round_as_well(go: Go, recipe: Path, tmp_path: Path, steps: list[str]) -> None:
    begin, end = RECIPE.index("        - sample"), RECIPE.index("      evaluate: {judge")
    text = recipe.read_text().replace(RECIPE[begin:end], "".join(f"        - {step}\n" for step in steps))
    path = recipe.with_name("other.yaml")
    path.write_text(text)
    folder = go(tmp_path, "rounds.until.win_rate=null", path=path)  # in one step, answers may stay the same
    assert set(states(folder).values()) == {"done"}
    assert verdict(folder, 2)["accepted"]
    job = json.loads((folder / "round-2" / steps[-1].partition(":")[0] / "job.json").read_text())
    assert Path(job["block"]["base"]).parts[-3:-1] == ("round-1", steps[-1].partition(":")[0])


def test_a_run_that_is_done_does_nothing_again(go: Go, copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("seal.json")}
    go(copied)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("seal.json")} == before


def test_the_rounds_end_where_the_judge_prefers_the_policy_before(go: Go, copied: Path) -> None:
    folder = go(copied, "rounds.times=3", likes={"round-2": OLDER}, redo="round-2/evaluate")
    found = verdict(folder, 2)
    assert not found["accepted"]
    assert found["why"] == ["its win rate of 0% is not above 50%"]
    assert weights(folder / "rounds") == weights(folder / "round-1" / "dpo")
    assert states(folder)["round-3/dpo"] == "not run"
    assert not (folder / "round-3").exists()
    assert (folder / "round-2" / "dpo" / "model").is_dir(), "what was not accepted is kept"
    assert list((folder / ".aside" / "round-2").glob("evaluate-*"))
    write_report(folder, folder / "report.html")
    assert "not accepted: its win rate of 0% is not above 50%" in (folder / "report.html").read_text()
    third = next(each for each in stages_of(folder) if each["name"] == "round-3/dpo")
    assert third["so_far"] == "round-2 was not accepted: its win rate of 0% is not above 50%"
    answers = [row["draft"]["model"] for row in Stage(folder / "evaluate" / "answers-rounds").all_rows(dict)]
    assert set(answers) == {"rounds"}


@pytest.mark.parametrize(
    ("bound", "words"), [("kl=0.0001", "nats an answer is above 0.0001"), ("length=[5, 6]", "is outside 5 to 6")]
)
def test_the_initial_policy_stays_where_the_first_round_leaves_its_bounds(
    go: Go, copied: Path, tiny: Path, bound: str, words: str
) -> None:
    folder = go(copied, f"rounds.until.{bound}", redo="round-1/verdict")
    [why] = verdict(folder, 1)["why"]
    assert words in why
    assert (folder / "rounds" / "model" / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert states(folder)["round-2/verdict"] == "not run"
    assert json.loads((folder / "rounds" / "seal.json").read_text())["policy"] == "start"


def test_killed_within_a_round_it_ends_as_if_it_was_not(
    go: Go, whole: Path, copied: Path, recipe: Path, tmp_path: Path
) -> None:
    folder, line = copied / whole.name, ["run", str(recipe), "--out", str(copied), "--redo", "round-2/sample"]
    log = folder / "logs" / "round-2" / "dpo.log"  # the trainings of the other runs here leave none
    killed("cai.cli", line, tmp_path / "log", log)
    assert not (folder / "round-2" / "dpo" / "seal.json").exists()
    go(copied)
    for path in sorted((whole / "round-2").rglob("part-*.jsonl")):
        there = (folder / path.relative_to(whole)).read_text()
        assert without_cost(there) == without_cost(path.read_text()), path
    assert weights(folder / "round-2" / "dpo") == weights(whole / "round-2" / "dpo")
    assert verdict(folder, 2) == verdict(whole, 2)
    assert states(folder) == states(whole)


@pytest.mark.parametrize("where", ["cai.run.rounds.train", "cai.run.rounds.os.link"])
def test_broken_off_within_a_verdict_or_the_settling_it_goes_on(
    go: Go, whole: Path, copied: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def broken(*_: object) -> None:
        raise RunError("broken off")

    with monkeypatch.context() as patched:
        patched.setattr(where, broken)
        with pytest.raises(RunError, match="broken off"):
            go(copied, redo="round-2/verdict")
    folder = go(copied)
    assert verdict(folder, 2) == verdict(whole, 2)
    assert weights(folder / "rounds") == weights(whole / "rounds")
    assert not (folder / "rounds" / ".model.tmp").exists()


def without_cost(text: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in json.loads(line).items() if key != "tokens"} for line in text.splitlines()]


def test_a_step_done_again_takes_the_later_rounds_with_it(whole: Path, recipe: Path) -> None:
    run = Run(load_recipe(recipe, ["rounds.times=3"]), whole, Screen(Console(quiet=True)))
    stale = {"round-2/label"}
    for block in run.recipe.blocks:
        if stale & run.settings(block.name).inputs.keys():
            stale.add(block.name)
    second = {f"round-2/{name}" for name in ("label", "prefs", "dpo", "evaluate", "verdict")}
    third = {f"round-3/{name}" for name in ("sample", "label", "prefs", "dpo", "evaluate", "verdict")}
    assert stale == second | third | {"rounds", "evaluate"}


def test_redo_broken_off_leaves_no_step_without_what_it_was_made_from(
    go: Go, copied: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, real = [], reopen.set_aside

    def at_most_three(stage: Stage, root: Path) -> Path:
        if len(moved) == 3:
            raise RunError("broken off")
        moved.append(stage.name)
        return real(stage, root)

    with monkeypatch.context() as patched:
        patched.setattr(reopen, "set_aside", at_most_three)
        with pytest.raises(RunError, match="broken off"):
            go(copied, redo="round-2/label")
    run = Run(load_recipe(recipe), copied / "turns", Screen(Console(quiet=True)))
    there = {block.name for block in run.recipe.blocks if (run.folder / block.name).exists()}
    assert len(there) == len(run.recipe.blocks) - 3
    assert all(run.settings(name).inputs.keys() <= there for name in there)


def test_status_show_and_report_know_the_rounds(whole: Path, cai: Callable[..., Any], tmp_path: Path) -> None:
    said = cai("status", whole).stdout
    assert "round-2/label" in said
    assert "accepted; it won" in " ".join(said.split())
    shown = cai("show", whole, "round-2/label", "-n", "1")
    assert shown.returncode == 0, shown.stderr
    assert next(Stage(whole / "round-2" / "label").all_rows(dict))["pair"]["id"] in shown.stdout
    write_report(whole, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Round by round: rounds" in page
    assert f"{verdict(whole, 2)['kl']:.3g} ±" in page
    assert "KL to the initial policy, nats an answer, by round" in page
