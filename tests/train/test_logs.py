"""Figures of a training for TensorBoard, W&B, MLflow and trackio: what they hold is what the metrics say."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MORE = Path(sys.prefix) / "more" / "bin" / "python"
"""Has the loggers; ``make test`` makes it. Elsewhere they are not: TRL loads what it finds of them, before every training."""
LOGGERS = ("wandb", "mlflow", "trackio")
Train = Callable[..., dict[str, Any]]


def figures(folder: Path, name: str) -> list[float]:
    """What was written under a name, step by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: list[float] = []
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        events = EventAccumulator(str(file)).Reload()
        found += [each.value for each in events.Scalars(name)] if name in events.Tags()["scalars"] else []
    return found


def metrics(out: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


@pytest.mark.filterwarnings("ignore")
def test_the_losses_of_sft_can_be_read_back(
    sets: Path, tmp_path: Path, job: Callable[..., Path], train_here: Train
) -> None:
    file = job("sft", sets / "sft_set", tmp_path / "sft", max_steps=3)
    train_here("sft", file, "--figures-to", "tensorboard")
    assert figures(tmp_path / "sft" / "tensorboard", "train/loss") == pytest.approx(metrics(tmp_path / "sft", "loss"))


@pytest.fixture(scope="module")
def ppo_job(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Writes the job file of a short PPO into a folder; returns its path."""
    from cai.stages.ppo import Ppo
    from cai.store.rows import Prompt
    from cai.store.stage import Stage
    from cai.train.launch.start import job

    prompts = tmp_path_factory.mktemp("ppo") / "prompts"
    row = Prompt("0", ({"role": "user", "content": "Hello"},), "", "helpful")
    for folder in (prompts, prompts / "heldout"):
        Stage(folder).write_parts(iter([row]), 1)
    want = Ppo(str(tiny), method="rules", max_steps=2, batch_size=2, max_new_tokens=3, bf16=False)

    def write(out: Path) -> Path:
        scoring = {
            "method": "rules",
            "constitution": str(ROOT / "principles" / "harmless.yaml"),
            "logs": str(out.parent),
        }
        return job("ppo", want, str(tiny), (prompts, out), 0, {"scoring": scoring})

    return write


@pytest.mark.filterwarnings("ignore")
def test_the_losses_of_ppo_can_be_read_back(ppo_job: Callable[[Path], Path], tmp_path: Path, train_here: Train) -> None:
    train_here("ppo", ppo_job(tmp_path / "ppo"), "--figures-to", "tensorboard")
    for name in ("loss/policy", "reward"):
        found = figures(tmp_path / "ppo" / "tensorboard", name)
        assert len(found) == 2
        assert found == pytest.approx(metrics(tmp_path / "ppo", name), abs=1e-6)


@pytest.fixture(scope="module")
def logged(
    sets: Path, job: Callable[..., Path], ppo_job: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A folder with trainings whose figures went to each logger, and what these have of them."""
    if not MORE.exists():
        pytest.skip("needs W&B, MLflow and trackio, which make test installs")
    folder = tmp_path_factory.mktemp("logged")
    for logger in LOGGERS:
        job("sft", sets / "sft_set", folder / logger / "sft", max_steps=3)
        ppo_job(folder / logger / "ppo")
    kept = {"WANDB_MODE": "offline", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "TRACKIO_DIR": str(folder)}
    line = [str(MORE), "-W", "ignore", str(Path(__file__).with_name("logged.py")), str(folder)]
    env = {**{key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "MLFLOW"))}, **kept}
    done = subprocess.run(line, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("logger", LOGGERS)
def test_figures_are_where_they_were_sent(logger: str, logged: tuple[Path, dict[str, Any]]) -> None:
    folder, kept = logged
    assert set(kept[logger]) == {"logged/sft", "logged/ppo"}
    loss, held_out = ("loss", "eval_loss") if logger == "mlflow" else ("train/loss", "eval/loss")
    assert kept[logger]["logged/sft"][loss] == pytest.approx(metrics(folder / logger / "sft", "loss"))
    assert kept[logger]["logged/sft"][held_out] == pytest.approx(
        metrics(folder / logger / "sft", "eval_loss"), abs=1e-4
    )
    for name in ("loss/policy", "reward", "length"):
        found = kept[logger]["logged/ppo"][name]
        assert len(found) == 2
        assert found == pytest.approx(metrics(folder / logger / "ppo", name), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_no_event_file_is_written_unless_asked_for(
    sets: Path, tmp_path: Path, job: Callable[..., Path], train_here: Train
) -> None:
    train_here("sft", job("sft", sets / "sft_set", tmp_path / "sft", max_steps=1))
    assert not list(tmp_path.rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "W&B says: No API key configured. Use `wandb login` to log in. (or export WANDB_MODE=offline"),
        ({"WANDB_API_KEY": "short"}, "W&B says: WANDB_API_KEY invalid"),
        ({"WANDB_MODE": "ofline"}, "W&B says: 1 validation error"),
        ({"WANDB_API_KEY": "0" * 40}, ""),
        ({"WANDB_MODE": "offline"}, ""),
        ({"WANDB_MODE": "disabled"}, ""),
    ],
)
def test_an_account_that_is_not_there_is_a_sentence_before_the_run(
    environment: dict[str, str], said: str, tmp_path: Path
) -> None:
    if not MORE.exists():
        pytest.skip("needs W&B, which make test installs")
    program = "from cai.recipe.checks.training import unwelcome; print(unwelcome('wandb'))"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    line = [str(MORE), "-W", "ignore", "-c", program]
    done = subprocess.run(line, capture_output=True, text=True, env={**kept, "HOME": str(tmp_path), **environment})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(said) and bool(done.stdout.strip()) == bool(said)


def test_one_run_of_mlflow_for_all_trainings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from cai.train.launch.needs import unwelcome

    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    assert not unwelcome("mlflow")
    monkeypatch.setenv("MLFLOW_RUN_ID", "0")
    assert unwelcome("mlflow").endswith("MLFLOW_EXPERIMENT_NAME may name; unset MLFLOW_RUN_ID")


def test_a_package_that_is_missing_is_one_sentence(write: Callable[[str, str], Path]) -> None:
    from cai.models.machine import PACKAGES, Machine
    from cai.recipe.read import load_recipe
    from constitution.source import InputError

    machine = Machine(packages=frozenset(PACKAGES) - {"trackio"})
    text = (
        "name: r\nlogs: LOGS\nconstitution: principles/harmless.yaml\nmodels: {m: {local: bundled/smollm2-135m}}\nstages:\n"
        "  - prompts: {redteam: principles/prompts/redteam.jsonl}\n  - ppo: {base: m, method: rules}\n"
    )
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", text.replace("LOGS", "trackio")), machine=machine)
    assert "r.yaml:2: logs: trackio needs the package trackio; run: pip install trackio, or say none" in str(
        error.value
    )
    with pytest.raises(InputError, match="logs: expected one of tensorboard, wandb, mlflow, trackio, none"):
        load_recipe(write("r.yaml", text.replace("LOGS", "tensorbord")))
    assert load_recipe(write("r.yaml", text.replace("LOGS", "none"))).logs == "none"
