"""Weights spread over two processes by our own ``fsdp2`` and ``zero3`` files: PyTorch and DeepSpeed for real, on CPUs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cai.store.stage import Stage
from cai.train.launch.hardware import Hardware
from cai.train.shared import devices

Job = Callable[..., Path]
TrainHere = Callable[[str, Path], dict[str, Any]]
HERE = Path(__file__).resolve().parent
MORE = Path(sys.prefix) / "more" / "bin" / "python"
"""Has DeepSpeed; ``make test`` makes it."""


@pytest.fixture(scope="module")
def sharp(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with an opinion: it would be seen if a process held another one to be it."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("sharp")
    model = AutoModelForCausalLM.from_pretrained(tiny)
    model.lm_head.weight.data.mul_(30)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    return folder


def run(hardware: str, kind: str, file: Path, python: str = sys.executable) -> str:
    """A training on two CPU processes; returns what it printed."""
    line = [python, *Hardware(hardware, 2).command()[1:], str(HERE / "on_cpu.py"), f"cai.train.{kind}", str(file)]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(line, cwd=HERE.parents[1], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lora", [None, 4])
def test_two_processes_that_share_the_weights_train_what_one_does(
    sets: Path, sharp: Path, tmp_path: Path, job: Job, train_here: TrainHere, lora: int | None
) -> None:
    import torch
    from safetensors.torch import load_file

    same = {"base": str(sharp), "max_steps": 2, "learning_rate": 1e-3, "loss_type": ("sigmoid",), "lora": lora}
    train_here("dpo", job("dpo", sets / "prefs", tmp_path / "one", **same, per_device_train_batch_size=4))
    said = run("fsdp2", "dpo", job("dpo", sets / "prefs", tmp_path / "two", **same, per_device_train_batch_size=2))
    assert "DistributedType.FSDP" in said
    first = Stage(tmp_path / "two").metrics()[0]
    assert first["rewards/chosen"] == pytest.approx(0, abs=1e-3)  # the policy is its reference
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    before = load_file(sharp / "model.safetensors")
    assert all(torch.allclose(one[name], two[name], atol=2e-4) for name in one)
    assert max((two[name] - before[name]).abs().max().item() for name in two) > 1e-3


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "lora"), [("dpo", None), ("reward", 4)])
def test_deepspeed_trains_what_one_process_does(
    kind: str, lora: int | None, sets: Path, sharp: Path, tmp_path: Path, job: Job, train_here: TrainHere
) -> None:
    """Of a reward model the first process reads the saved copy alone, to see that it scores as the trained one."""
    import torch
    from safetensors.torch import load_file

    if not MORE.exists():
        pytest.skip("needs DeepSpeed, which make test installs")
    same = {"base": str(sharp), "max_steps": 2, "learning_rate": 1e-3, "lora": lora}
    same |= {"loss_type": ("sigmoid",)} if kind == "dpo" else {}
    train_here(kind, job(kind, sets / "prefs", tmp_path / "one", **same, per_device_train_batch_size=4))
    file = job(kind, sets / "prefs", tmp_path / "two", **same, per_device_train_batch_size=2)
    assert "DistributedType.DEEPSPEED" in run("zero3", kind, file, str(MORE))
    one, two = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    assert all(torch.allclose(one[name], two[name], atol=2e-4) for name in one)
    before = load_file(sharp / "model.safetensors")
    assert max((two[name] - before[name]).abs().max().item() for name in two.keys() & before.keys()) > 1e-3


@pytest.mark.parametrize(
    ("version", "reference", "refused"), [(2, "there", True), (2, None, False), (1, "there", False)]
)
def test_a_config_that_would_lose_the_reference_is_refused(version: int, reference: str | None, refused: bool) -> None:
    plugin = SimpleNamespace(fsdp_version=version, cpu_ram_efficient_loading=True)
    state = SimpleNamespace(state=SimpleNamespace(fsdp_plugin=plugin))
    trainer = SimpleNamespace(is_fsdp_enabled=True, accelerator=state, ref_model=reference)
    if refused:
        with pytest.raises(ValueError, match="set it to false in the accelerate config"):
            devices.check_reference(trainer)
    else:
        devices.check_reference(trainer)
