"""``cai plan``: a sample measured, the whole estimated; on a scripted recipe the whole can be run and compared."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.cli.plan import left_out, plan_run, sampled, scratch
from cai.errors import RunError
from cai.recipe.read import load_recipe

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "tests" / "data" / "scripted.yaml"
Cai = Callable[..., subprocess.CompletedProcess[str]]


def planned(cai: Cai, out: Path, *more: str) -> dict[str, dict[str, float]]:
    ran = cai("plan", RECIPE, "--out", out, "--json", *more)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    return {"all": found, **{each["stage"]: each for each in found["stages"]}}


def test_rows_and_tokens_are_those_of_the_whole_run(cai: Cai, tmp_path: Path) -> None:
    found = planned(cai, tmp_path, "--sample", "40")
    assert cai("run", RECIPE, "--out", tmp_path).returncode == 0
    for stage in ("prompts", "revise", "sft_set", "sample", "label", "prefs"):
        seal = json.loads((tmp_path / "scripted" / stage / "seal.json").read_text())
        assert found[stage]["rows"] == pytest.approx(seal["rows_out"], rel=0.25)
        assert found[stage]["tokens_in"] == pytest.approx(seal["tokens_in"], rel=0.25)
    assert "evaluate" not in found
    assert not list(tmp_path.glob(".plan*"))


def test_figures_grow_with_the_prompts_and_hours_fall_with_the_replicas(cai: Cai, tmp_path: Path) -> None:
    found = planned(cai, tmp_path, "--sample", "20", "--prompts", "1000000", "--replicas", "8", "--price", "2")
    per_prompt = found["sample"]["tokens_out"] / 1_000_000
    assert 1 < per_prompt < 100
    assert found["all"]["hours"] == pytest.approx(sum(each["hours"] for name, each in found.items() if name != "all"))
    label = found["label"]
    assert label["hours"] == pytest.approx(label["tokens_out"] / (label["speed"] * 8) / 3600)
    assert found["all"]["cost"] == pytest.approx(found["all"]["hours"] * 8 * 2)
    shown = cai("plan", RECIPE, "--out", tmp_path, "--sample", "20", "--price", "2").stdout
    for words in (
        "tokens/s",
        "revise",
        "all",
        "from a sample of",
        "at 2 an hour of what the sample had",
        "hours of training not counted",
    ):
        assert words in shown


def test_a_stage_that_asks_a_trained_model_is_measured_with_its_base(tmp_path: Path) -> None:
    recipe = load_recipe(ROOT / "runs" / "quickstart.yaml")
    trained = [block for block in recipe.blocks if block.kind == "sample" and recipe.trains(block.want.model)]
    assert trained
    models = {block.name: block.want.model for block in sampled(recipe, 20, tmp_path) if block.roles()}
    assert {models[block.name] for block in trained} <= set(recipe.models)


REWARDED = """\
name: rewarded
constitution: principles/harmless.yaml
models:
  start: {local: bundled/smollm2-135m}
  judge: {scripted: script.yaml}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - sample: {model: start}
  - label: {model: judge}
  - prefs: {}
  - reward: {base: start}
  - score: {from: sample, model: reward, method: reward}
  - best: {}
  - score: {as: judged, from: sample, model: judge, method: score}
  - best: {as: second, from: judged}
"""


def test_what_asks_a_reward_model_that_is_still_to_be_trained_is_not_asked_of_another_model(
    tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    write("script.yaml", (ROOT / "tests" / "data" / "script.yaml").read_text(encoding="utf-8"))
    recipe = load_recipe(write("r.yaml", REWARDED))
    assert [each.name for each in sampled(recipe, 20, tmp_path)] == [
        "prompts",
        "sample",
        "label",
        "prefs",
        "judged",
        "second",
    ]
    assert left_out(recipe) == {
        "score": "it asks the reward model reward, which is trained on the way",
        "best": "it is made from score",
    }


def test_the_log_that_an_error_names_outlives_a_plan_that_failed(tmp_path: Path) -> None:
    def fail(out: Path, *files: str) -> None:
        with scratch(out) as folder:
            for name in files:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(name)
            raise RunError("it failed")

    for out, files in (("early", ()), ("late", ("p.jsonl", "revise/part-00000.jsonl", "logs/model.log"))):
        with pytest.raises(RunError, match="it failed"):
            fail(tmp_path / out, *files)
    assert not list((tmp_path / "early").iterdir())
    [kept] = [path for path in (tmp_path / "late").rglob("*") if path.is_file()]
    assert (kept.name, kept.read_text()) == ("model.log", "logs/model.log")


def test_a_sample_that_leaves_the_servers_half_empty_says_so(cai: Cai, tmp_path: Path) -> None:
    slow = (
        (ROOT / "tests" / "data" / "script.yaml").read_text(encoding="utf-8").replace("say: [", "delay: 0.05, say: [")
    )
    (tmp_path / "slow.yaml").write_text(slow, encoding="utf-8")
    line = ("plan", RECIPE, f"models.policy.scripted={tmp_path}/slow.yaml", "--out", tmp_path, "--sample", "20")
    few, enough = (cai(*line, f"models.policy.concurrency={count}").stdout for count in (16, 2))
    assert "16 requests were in flight at once: with --sample 64 or more" in few
    assert "in flight at once" not in enough


def test_the_sample_is_drawn_from_all_prompts(cai: Cai, tmp_path: Path, write: Callable[[str, str], Path]) -> None:
    lines = [f'{{"prompt": "Question {n}?", "track": "{"redteam" if n < 900 else "helpful"}"}}\n' for n in range(1000)]
    write("p.jsonl", "".join(lines))
    write("script.yaml", (ROOT / "tests" / "data" / "script.yaml").read_text(encoding="utf-8"))
    head = "name: r\nconstitution: principles/harmless.yaml\nmodels: {m: {scripted: script.yaml}}\nstages:\n"
    stages = "  - prompts: {redteam: p.jsonl, heldout: 0.5}\n  - sample: {model: m, tracks: [helpful]}\n"
    ran = cai("plan", write("r.yaml", head + stages), "--out", tmp_path, "--sample", "400", "--json")
    assert ran.returncode == 0, ran.stderr
    assert "not used" not in ran.stderr  # the sample's own file holds nothing that nobody reads
    prompts, sample = json.loads(ran.stdout)["stages"]
    assert prompts["rows"] == 1000
    assert sample["rows"] == pytest.approx(50, rel=0.4)


def test_a_recipe_without_prompts_has_nothing_to_plan(
    cai: Cai, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    text = "name: r\nconstitution: principles/harmless.yaml\nmodels: {}\nstages:\n  - report: {}\n"
    ran = cai("plan", write("r.yaml", text), "--out", tmp_path)
    assert ran.returncode == 2 and "has no prompts stage, and so nothing to plan" in ran.stderr


def test_the_rows_left_out_that_an_error_names_stay(tmp_path: Path) -> None:
    def fail() -> None:
        with scratch(tmp_path) as folder:
            for name in ("prefs/drops.jsonl", "prefs/train.parquet", "label/drops.jsonl"):
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text("" if name.startswith("label") else name)
            raise RunError("prefs has no examples")

    with pytest.raises(RunError):
        fail()
    (kept,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (kept.name, kept.read_text()) == ("drops.jsonl", "prefs/drops.jsonl")


@pytest.mark.parametrize(
    ("line", "words"), [(("--sample", "3"), "--sample 3: too few prompts to say anything; take 16")]
)
def test_what_cannot_be_planned_is_a_sentence(cai: Cai, tmp_path: Path, line: tuple[str, ...], words: str) -> None:
    ran = cai("plan", RECIPE, "--out", tmp_path, *line)
    assert ran.returncode == 2
    assert words in ran.stderr


def test_a_plan_that_is_stopped_leaves_nothing_and_promises_nothing(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    script = write("slow.yaml", "- {say: [x], delay: 60}\n")
    threading.Thread(target=_stop_once_begun, args=(tmp_path,), daemon=True).start()
    with pytest.raises(RunError, match="a plan keeps nothing") as error:
        plan_run(RECIPE, [f"models.policy={{scripted: {script}}}"], (16, None, 1), None, tmp_path, True)
    assert "to go on" not in str(error.value)
    assert not list(tmp_path.glob(".plan*"))


def _stop_once_begun(folder: Path) -> None:
    while not list(folder.glob(".plan-*/revise/begun.json")):
        time.sleep(0.01)
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)
