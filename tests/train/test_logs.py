"""Figures of a training for TensorBoard: what the event file holds is what the metrics say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.mark.filterwarnings("ignore")
def test_the_losses_of_ppo_can_be_read_back(tiny: Path, tmp_path: Path, train_here: Train) -> None:
    from cai.rows import Prompt
    from cai.stages.ppo import Ppo
    from cai.store import Stage
    from cai.training import job

    row = Prompt("0", ({"role": "user", "content": "Hello"},), "", "helpful")
    for folder in (tmp_path / "prompts", tmp_path / "prompts" / "heldout"):
        Stage(folder).write_parts(iter([row]), 1)
    want = Ppo(str(tiny), method="rules", max_steps=2, batch_size=2, max_new_tokens=3, bf16=False)
    scoring = {"method": "rules", "constitution": str(ROOT / "principles" / "harmless.yaml"), "logs": str(tmp_path)}
    file = job("ppo", want, str(tiny), (tmp_path / "prompts", tmp_path / "ppo"), 0, {"scoring": scoring})
    train_here("ppo", file, "--figures-to", "tensorboard")
    for name in ("loss/policy", "reward"):
        found = figures(tmp_path / "ppo" / "tensorboard", name)
        assert len(found) == 2
        assert found == pytest.approx(metrics(tmp_path / "ppo", name), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_no_event_file_is_written_unless_asked_for(
    sets: Path, tmp_path: Path, job: Callable[..., Path], train_here: Train
) -> None:
    train_here("sft", job("sft", sets / "sft_set", tmp_path / "sft", max_steps=1))
    assert not list(tmp_path.rglob("events.out.tfevents.*"))


def test_a_package_that_is_missing_is_one_sentence(write: Callable[[str, str], Path]) -> None:
    from cai.recipe import load_recipe
    from constitution.source import InputError

    text = (
        "name: r\nlogs: LOGS\nconstitution: principles/harmless.yaml\nmodels: {m: {local: bundled/smollm2-135m}}\nstages:\n"
        "  - prompts: {redteam: principles/prompts/redteam.jsonl}\n  - ppo: {base: m, method: rules}\n"
    )
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", text.replace("LOGS", "trackio")))
    assert "r.yaml:2: logs: trackio needs the package trackio; run: pip install trackio, or say none" in str(
        error.value
    )
    with pytest.raises(InputError, match="logs: expected one of tensorboard, wandb, mlflow, trackio, none"):
        load_recipe(write("r.yaml", text.replace("LOGS", "tensorbord")))
    assert load_recipe(write("r.yaml", text.replace("LOGS", "none"))).logs == "none"
