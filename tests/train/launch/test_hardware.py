"""What trainers run on: processes that share the rows, for real, and a sentence for what cannot be."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cai.models import cpu
from cai.models.machine import Machine
from cai.recipe.read import load_recipe
from cai.train.launch.hardware import CONFIGS, SPREAD, Hardware
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[3]
Write = Callable[[str, str], Path]
RECIPE = """\
name: hard
constitution: principles/harmless.yaml
hardware: HERE
models:
  policy: {scripted: none}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - ppo: {base: BASE, method: rules}
"""


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_processes_on_the_cpu_share_a_recipe_s_rows(tiny: Path, tmp_path: Path) -> None:
    """A whole recipe, its sft on two processes, and then its resumption: what it ran on decides nothing that is done."""
    recipe = yaml.safe_load((ROOT / "tests" / "data" / "scripted.yaml").read_text(encoding="utf-8"))
    recipe |= {"hardware": {"kind": "cpu", "processes": 2}}
    recipe["models"] = {"policy": {"scripted": str(ROOT / "tests" / "data" / "script.yaml")}}
    kept = [each for each in recipe["stages"] if next(iter(each)) in ("prompts", "revise", "sft_set")]
    settings = {"base": str(tiny), "max_steps": 2, "per_device_train_batch_size": 2, "bf16": False}
    recipe["stages"] = [*kept, {"sft": settings}]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    line = [sys.executable, "-m", "cai.cli", "run", str(tmp_path / "r.yaml"), "--out", str(tmp_path)]
    ran = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    manifest = json.loads((tmp_path / recipe["name"] / "sft" / "manifest.json").read_text())
    assert manifest["processes"] == 2
    assert manifest["steps"] == 2
    assert manifest["peak_memory"] > 1e8
    assert list((tmp_path / recipe["name"] / "sft" / "tensorboard").rglob("events.out.tfevents.*"))
    again = subprocess.run([*line, "hardware=cpu", "logs=none"], capture_output=True, text=True, cwd=ROOT)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / recipe["name"] / "sft" / "manifest.json").read_text()) == manifest


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ("{kind: fsdp3}", "r.yaml:3: hardware: fsdp3 is no accelerate config"),
        ("principles/harmless.yaml", "is no accelerate config (YAML with distributed_type)"),
        ("DEEP", "is no accelerate config (YAML with distributed_type)"),
        ("ddp", "hardware: ddp is for GPUs, and this machine shows none; take it out, or share the rows"),
        ("fsdp2", "hardware: ppo shares out rows, not weights"),
        ("zero3", "use ddp, and lora where the models are too large for one GPU"),
        ("{processes: 2}", "hardware: auto is one process; say cpu, ddp, fsdp2 or zero3 beside `processes`"),
        ("{kind: cpu, processes: 0}", "hardware.processes: must be at least 1 and at most 4096, found 0"),
        ("{kind: cpu, proceses: 2}", 'hardware.proceses: unknown key; did you mean "processes"?'),
    ],
)
def test_what_cannot_be_is_a_sentence(write: Write, tmp_path: Path, here: str, words: str) -> None:
    write("DEEP", "[" * 900 + "]" * 900)
    path = write(
        "r.yaml",
        RECIPE.replace("HERE", here).replace("BASE", "policy").replace("scripted: none", "local: bundled/smollm2-135m"),
    )
    with pytest.raises(InputError) as error:
        load_recipe(path, machine=Machine())
    assert words in str(error.value).replace(str(path), "r.yaml")


def test_more_processes_than_gpus_is_a_sentence(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    two = Machine(gpus=("0", "1"))
    text = RECIPE.replace("BASE", "policy").replace("scripted: none", "local: bundled/smollm2-135m")
    path = write("r.yaml", text.replace("HERE", "{kind: ddp, processes: 4}"))
    with pytest.raises(InputError, match="asks for 4 processes, and this machine shows 2 GPUs"):
        load_recipe(path, machine=two)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert load_recipe(write("r.yaml", text.replace("HERE", "ddp")), machine=two).hardware.count == 2


@pytest.mark.parametrize("kind", SPREAD)
def test_accelerate_reads_our_configs(kind: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(CONFIGS / f"{kind}.yaml"))
    assert found.distributed_type.value == {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero3": "DEEPSPEED"}[kind]
    assert Hardware(kind, 8).sharded == (kind != "ddp")
    assert found.mixed_precision == "no"


@pytest.mark.parametrize(
    ("flags", "visible", "bf16", "dtype"),
    [
        ({"avx2"}, "", None, "float32"),
        ({"avx2", "avx512_bf16"}, "", None, "bfloat16"),
        ({"avx2"}, "0", None, "bfloat16"),
        ({"avx2"}, "", True, "bfloat16"),
        ({"avx2", "avx512_bf16"}, "0", False, "float32"),
    ],
)
def test_trainers_compute_in_what_the_device_multiplies(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], visible: str, bf16: bool | None, dtype: str
) -> None:
    monkeypatch.setattr(cpu, "flags", lambda: flags)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert Hardware().dtype(bf16) == dtype
    assert Hardware("cpu").dtype(None) == cpu.dtype(flags)
