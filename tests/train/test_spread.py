"""Weights spread over two processes by our own ``fsdp2`` and ``zero3`` files: PyTorch and DeepSpeed for real, on CPUs."""

import json
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


CASES = {"fsdp2": (("dpo", None), ("dpo", 4), ("reward", 4)), "zero3": (("dpo", None), ("reward", 4))}
"""What is trained on two processes, one after the other: a kind and a rank of LoRA."""


def run(hardware: str, jobs: list[Path], python: str) -> str:
    """Trainings on two CPU processes; returns what these printed."""
    line = [python, *Hardware(hardware, 2).command()[1:], str(HERE / "on_cpu.py"), *map(str, jobs)]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(line, cwd=HERE.parents[1], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def alike(sets: Path, sharp: Path, tmp_path_factory: pytest.TempPathFactory, job: Job) -> Callable[..., Path]:
    """Writes jobs that do the same on any number of processes: batches of four."""
    folder = tmp_path_factory.mktemp("alike")

    def write(hardware: str, kind: str, lora: int | None, processes: int) -> Path:
        same = {"base": str(sharp), "max_steps": 2, "learning_rate": 1e-3, "lora": lora}
        same |= {"loss_type": ("sigmoid",)} if kind == "dpo" else {}
        out = folder / f"{hardware}-{kind}-{lora}-{processes}"
        return job(kind, sets / "prefs", out, **same, per_device_train_batch_size=4 // processes)

    return write


@pytest.fixture(scope="module")
def spread(alike: Callable[..., Path]) -> Callable[[str], str]:
    """What was printed by all trainings on a hardware, done once."""
    done: dict[str, str] = {}

    def train(hardware: str) -> str:
        if hardware not in done:
            jobs = [alike(hardware, *case, 2) for case in CASES[hardware]]
            done[hardware] = run(hardware, jobs, str(MORE) if hardware == "zero3" else sys.executable)
        return done[hardware]

    return train


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("hardware", "case"), [(hardware, case) for hardware in CASES for case in CASES[hardware]])
def test_two_processes_that_share_the_weights_train_what_one_does(
    hardware: str, case: tuple[str, int | None], sharp: Path, alike: Any, spread: Any, train_here: TrainHere
) -> None:
    """Of a reward model the first process reads the saved copy alone, to see that it scores as the trained one."""
    import torch
    from safetensors.torch import load_file

    if hardware == "zero3" and not MORE.exists():
        pytest.skip("needs DeepSpeed, which make test installs")
    kinds = {"fsdp2": "DistributedType.FSDP", "zero3": "DistributedType.DEEPSPEED"}
    assert spread(hardware).count(kinds[hardware]) >= len(CASES[hardware])
    together, alone = (alike(hardware, *case, processes) for processes in (2, 1))
    train_here(case[0], alone)
    if case[0] == "dpo":
        first = Stage(together.parent).metrics()[0]
        assert first["rewards/chosen"] == pytest.approx(0, abs=1e-3)  # the policy is its reference
    one, two = (load_file(file.parent / "model" / "model.safetensors") for file in (alone, together))
    assert all(torch.allclose(one[name], two[name], atol=2e-4) for name in one)
    if case[0] == "reward":
        by_two, by_one = (json.loads((each.parent / "manifest.json").read_text()) for each in (together, alone))
        assert by_two["reloaded"] == {"pairs": 8, "apart": pytest.approx(0, abs=1e-3)}
        assert by_two["held_out"]["pairs"] == by_one["held_out"]["pairs"] > 0
        assert by_two["held_out"]["brier"]["value"] == pytest.approx(by_one["held_out"]["brier"]["value"], abs=1e-3)
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
