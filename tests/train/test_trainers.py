"""Trainers on a model of a few thousand weights: TRL takes the datasets as they are, soft labels do what they should."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def arguments(out: Path) -> dict:
    return {
        "output_dir": str(out),
        "max_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "dataloader_pin_memory": False,
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["SFT", "Reward", "DPO"])
def test_trl_takes_the_datasets_as_they_are(
    scripted_run: Callable[..., Path], tiny: Path, tmp_path: Path, kind: str
) -> None:
    import trl
    from datasets import load_dataset

    folder = scripted_run() / ("sft_set" if kind == "SFT" else "prefs")
    data = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    config = getattr(trl, f"{kind}Config")(**arguments(tmp_path / "out"))
    trainer = getattr(trl, f"{kind}Trainer")(
        model=str(tiny), args=config, train_dataset=data["train"], eval_dataset=data["test"]
    )
    assert math.isfinite(trainer.train().training_loss)


def test_the_soft_loss_is_the_cross_entropy_against_the_label() -> None:
    import torch
    from torch.nn.functional import logsigmoid

    from cai.train.reward import soft_term

    apart = torch.tensor([-3.0, -0.2, 0.0, 1.5])
    prob = torch.tensor([0.5, 0.6, 0.9, 1.0])
    wanted = -(prob * logsigmoid(apart) + (1 - prob) * logsigmoid(-apart)).mean()
    assert torch.allclose(-logsigmoid(apart).mean() + soft_term(apart, prob), wanted, atol=1e-7)


def job(kind: str, tiny: Path, data: Path, out: Path, **config: object) -> Path:
    from cai.stages import STAGES
    from cai.training import job as write_job

    want = STAGES[kind].want(base=str(tiny), bf16=False, **config)
    return write_job(kind, want, str(tiny), (data, out), seed=0)


def test_a_reward_model_learns_the_soft_labels_and_the_hard_ones_differ(
    scripted_run: Callable[..., Path], tiny: Path, tmp_path: Path
) -> None:
    data = scripted_run() / "prefs"
    losses = {}
    for soft in (True, False):
        file = job("reward", tiny, data, tmp_path / str(soft), max_steps=3, soft_labels=soft)
        subprocess.run([sys.executable, "-m", "cai.train.reward", file], check=True, cwd=ROOT, capture_output=True)
        manifest = json.loads((tmp_path / str(soft) / "manifest.json").read_text())
        assert manifest["rows"]["train"] > 0
        losses[soft] = manifest["metrics"]
    assert "eval_brier" in losses[True]
    assert "eval_brier" not in losses[False]
    assert losses[True]["eval_loss"] != losses[False]["eval_loss"]


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


def test_a_killed_training_ends_with_the_same_weights(
    scripted_run: Callable[..., Path], tiny: Path, tmp_path: Path
) -> None:
    data = scripted_run() / "sft_set"
    settings = {"max_steps": 30, "save_steps": 5, "learning_rate": 1e-3}
    whole = job("sft", tiny, data, tmp_path / "whole", **settings)
    line = [sys.executable, "-m", "cai.train.sft"]
    subprocess.run([*line, whole], check=True, cwd=ROOT, capture_output=True)

    killed = job("sft", tiny, data, tmp_path / "killed", **settings)
    process = subprocess.Popen([*line, killed], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (killed.parent / "checkpoints" / "checkpoint-10" / "complete").exists():
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run([*line, killed], check=True, cwd=ROOT, capture_output=True)
    assert json.loads((tmp_path / "killed" / "manifest.json").read_text())["resumed_from"] >= 10
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(first[name].equal(second[name]) for name in first)


def test_keys_that_trl_does_not_know_are_named() -> None:
    from cai.training import check_config

    assert check_config("sft", ["packing", "packign"]) == ["packign"]
