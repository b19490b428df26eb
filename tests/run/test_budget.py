"""What a run costs: seen everywhere, the same over kills, and never more than the budget."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from cai.errors import InputError, RunError
from cai.flow.screen import Bar, Screen
from cai.models.prices import cost
from cai.recipe.read import load_recipe
from cai.report.page import write_report
from cai.report.summary import spent_line, stages_of
from cai.run.context import Run
from cai.run.training import job_extras
from cai.run.walk import start
from cai.store.files import json_objects
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "tests" / "data" / "scripted.yaml").read_text().replace("limit: 40", "limit: 16")
JUDGE = "judge: {scripted: script.yaml, price: {in: 10, cached: 1, out: 30}, concurrency: 3}"
PRICED = (
    RECIPE.replace(
        "policy: {scripted: script.yaml}",
        f"policy: {{scripted: script.yaml, price: {{in: 100, out: 1000}}}}\n  {JUDGE}",
    )
    .replace("label: {model: policy", "label: {model: judge")
    .replace("judge: policy", "judge: judge")
)
OLD = ("stage", "role", "tokens")
"""Keys of a line of ``spent.jsonl`` before what it cost was kept."""
Cai = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def recipe(write: Callable[[str, str], Path]) -> Path:
    for name in ("script.yaml", "other.yaml"):
        write(name, (ROOT / "tests" / "data" / name).read_text())
    return write("priced.yaml", PRICED)


def run(recipe: Path, out: Path, *overrides: str, redo: str | None = None) -> Path:
    start(load_recipe(recipe, overrides), out, Screen(Console(quiet=True)), redo)
    return out


def costs(folder: Path) -> dict[str, float]:
    return {each["name"]: each["cost"] for each in stages_of(folder) if "cost" in each}


def rows(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("part-*.jsonl")}


def test_the_cost_of_each_stage_is_that_of_its_tokens_by_role(recipe: Path, tmp_path: Path) -> None:
    folder = run(recipe, tmp_path / "run")
    known = costs(folder)
    assert known.keys() == {"revise", "sample", "label", "evaluate"}
    for name, prices in (("revise", (100, 1000)), ("label", (10, 30))):
        seal = json.loads((folder / name / "seal.json").read_text())
        asked = (seal["tokens_in"] * prices[0] + seal["tokens_out"] * prices[1]) / 1e6
        assert known[name] == pytest.approx(asked)
        assert seal["cost"] == known[name]
    [both] = [each for each in stages_of(folder) if each["name"] == "evaluate"]
    assert both["spent"].keys() == {"policy", "other", "judge"}
    assert "cost" not in both["spent"]["other"]
    write_report(folder, page := tmp_path / "report.html")
    assert spent_line(folder) in page.read_text()


def test_a_price_decides_no_row_and_one_that_changes_redoes_nothing(recipe: Path, tmp_path: Path) -> None:
    folder = run(recipe, tmp_path / "run")
    before, was = rows(folder), costs(folder)
    recipe.write_text(PRICED.replace("in: 10,", "in: 20,").replace("cached: 1, out: 30", "cached: 2, out: 60"))
    run(recipe, folder)
    assert rows(folder) == before
    assert costs(folder) == pytest.approx(was)  # what was paid, was paid by the price of then
    run(recipe, folder, redo="label")
    assert costs(folder)["label"] == pytest.approx(3 * was["label"])
    assert costs(folder)["revise"] == pytest.approx(was["revise"])
    recipe.write_text(RECIPE.replace("name: scripted", "name: scripted\nbudget: 5"))
    with pytest.raises(InputError, match=r"priced.yaml:3: budget: no role has a price"):
        run(recipe, folder)


def test_a_run_of_before_costs_were_kept_goes_by_the_prices_of_now(recipe: Path, tmp_path: Path) -> None:
    folder = run(recipe, tmp_path / "run")
    was, book = costs(folder), folder / "spent.jsonl"
    lines = [json.loads(line) for line in book.read_text().splitlines()]
    assert {each["role"] for each in lines if "cost" in each} == {"policy", "judge"}
    book.write_text("".join(json.dumps({key: each[key] for key in OLD}) + "\n" for each in lines))
    assert costs(folder) == pytest.approx(was)
    recipe.write_text(PRICED.replace("in: 10,", "in: 20,").replace("cached: 1, out: 30", "cached: 2, out: 60"))
    run(recipe, folder)
    assert costs(folder)["label"] == pytest.approx(2 * was["label"])


class Killed(Screen):
    """Keeps the run's folder as a kill would leave it, right after so many rows."""

    def __init__(self, folder: Path, copy: Path, rows: int) -> None:
        super().__init__(Console(quiet=True))
        self.folder, self.copy, self.rows = folder, copy, rows

    def bar(self, name: str, total: int, done: int = 0, unit: str = "rows") -> Bar:
        screen = self

        class Watched(Bar):
            def at(self, done: int, note: str = "") -> None:
                super().at(done, note)
                if done == screen.rows and not screen.copy.exists():
                    shutil.copytree(screen.folder, screen.copy)

        self.by_name[name] = Watched(self, name, total, done, unit)
        return self.by_name[name]


def cost_of_rows(folder: Path) -> float:
    """What the rows cost that are on disk, finished or not, of a run that came as far as its first stage."""
    stage = Stage(folder / "revise")
    finished = [(tally.tokens_in, 0, tally.tokens_out) for tally in stage.part_tallies().values()]
    unfinished = [line["tokens"] for path in stage.open_parts() for line in json_objects(path)]
    dropped = [each["tokens"] for drops in stage.open_drops().values() for each in drops]
    return sum(cost({"in": 100, "out": 1000}, tokens) for tokens in (*finished, *unfinished, *dropped))


def test_a_budget_is_not_passed_over_a_kill(recipe: Path, tmp_path: Path) -> None:
    bound, killed = 4.0, tmp_path / "killed"
    with pytest.raises(RunError):
        start(load_recipe(recipe, (f"budget={bound}",)), tmp_path / "run", Killed(tmp_path / "run", killed, 5))
    known = sum(costs(killed).values())
    assert 0 < cost_of_rows(killed) <= known < bound
    with pytest.raises(RunError, match=r"of the budget of 4 is spent"):
        run(recipe, killed, f"budget={bound}")
    assert known < sum(costs(killed).values()) <= bound
    assert cost_of_rows(killed) <= sum(costs(killed).values())


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_a_budget_stops_before_it_is_passed_and_a_higher_one_goes_on(
    recipe: Path, tmp_path: Path, share: float
) -> None:
    whole = run(recipe, tmp_path / "whole")
    bound = share * sum(costs(whole).values())
    with pytest.raises(RunError) as stopped:
        run(recipe, tmp_path / "run", f"budget={bound}")
    assert f"of the budget of {bound:,g} is spent (policy " in str(stopped.value)
    assert ", judge " in str(stopped.value)
    spent, kept = sum(costs(tmp_path / "run").values()), len(rows(tmp_path / "run"))
    assert spent <= bound
    assert spent > bound - 2  # 512 tokens and the exemplars at a byte each
    with pytest.raises(RunError):  # and no more for being asked again
        run(recipe, tmp_path / "run", f"budget={bound}")
    assert len(rows(tmp_path / "run")) == kept
    run(recipe, tmp_path / "run", "budget=1e9")
    assert rows(tmp_path / "run") == rows(whole)
    # What rows had cost that were in the making when it stopped is not forgotten.
    assert sum(costs(tmp_path / "run").values()) >= sum(costs(whole).values())


def test_what_is_done_again_is_paid_again(recipe: Path, tmp_path: Path) -> None:
    folder = run(recipe, tmp_path / "run")
    once = costs(folder)
    run(recipe, folder, redo="label")
    assert costs(folder)["label"] == pytest.approx(2 * once["label"])
    assert costs(folder)["revise"] == once["revise"]


def test_status_and_plan_tell_it(cai: Cai, recipe: Path, tmp_path: Path) -> None:
    whole = run(recipe, tmp_path / "scripted", "evaluate.models=[policy]")
    ran = cai("status", whole, "--json")
    told = {each["name"]: each.get("cost") for each in json.loads(ran.stdout)}
    assert told["label"] == pytest.approx(costs(whole)["label"])
    assert told["sft_set"] is None
    assert spent_line(whole) in cai("status", whole).stdout
    planned = json.loads(cai("plan", recipe, "--out", tmp_path, "--sample", "40", "--json").stdout)
    data = sum(cost for name, cost in costs(whole).items() if name != "evaluate")
    assert planned["tokens_cost"] == pytest.approx(data, rel=0.25)
    assert planned["cost"] is None


def test_a_budget_ends_the_command_with_one_sentence(cai: Cai, recipe: Path, tmp_path: Path) -> None:
    ran = cai("run", recipe, "budget=0.5", "--out", tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: 0.")
    assert ran.stderr.count("\n") == 1
    shown = cai("status", tmp_path / "scripted").stdout
    assert "Spent: 0." in shown


def test_a_training_that_asks_a_judge_has_its_share_of_what_is_left(
    recipe: Path, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    data = yaml.safe_load(PRICED)
    data["models"]["policy"] = {"local": "bundled/smollm2-135m"}
    data["models"]["second"] = data["models"]["judge"]
    grpo = {"base": "policy", "reward": "judge", "method": "score", "guards": {"judge": "second", "method": "score"}}
    data |= {"budget": 9, "stages": [data["stages"][0], {"grpo": grpo}]}
    run = Run(load_recipe(write("online.yaml", json.dumps(data))), tmp_path / "run", Screen(Console(quiet=True)))
    run.purse.spend("label", "judge", (100_000, 0, 0))  # of 10 a million
    found = job_extras(run, run.recipe.blocks[1])
    shares = {key: (found[key]["stage"], found[key]["budget"], found[key]["spec"]["price"]["in"]) for key in found}
    assert shares == {"scoring": ("grpo", 1 + 8 / 2, 10), "judging": ("grpo", 8 / 2, 10)}
    assert found["scoring"]["spent"] == str(tmp_path / "run" / "spent.jsonl")
