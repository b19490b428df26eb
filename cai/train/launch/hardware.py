"""What the training stages run on: a recipe's ``hardware``, and the command that starts a trainer there.

It decides no rows, so a stage that is done stays done when it changes. It does change a training that is still to come: on
several devices a step has ``per_device_train_batch_size`` examples on each, so the batch grows with them (PPO's
``batch_size`` is that of all).
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from cai.models import cpu, gpus
from cai.models.machine import Machine
from constitution.wording import count

CONFIGS = Path(__file__).parents[1] / "hardware"
SPREAD = ("ddp", "fsdp2", "zero3")
"""Over several GPUs: copies that share the rows, or one model that is spread."""
KINDS = ("auto", "cpu", *SPREAD)


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a trainer runs on.

    Attributes:
        kind: "auto" (one GPU where there is one, the CPU elsewhere), "cpu", "ddp", "fsdp2", "zero3", or the path of an
            accelerate config.
        processes: how many; unless given, one for each visible GPU, on the CPU one, and as an accelerate config says.
    """

    kind: str = "auto"
    processes: int | None = None

    @property
    def count(self) -> int:
        """Processes on this machine; 1 for an accelerate config that does not say."""
        if self.kind in SPREAD:
            return self.processes or max(1, len(gpus.visible()))
        if self.kind in ("auto", "cpu"):
            return self.processes or 1
        return self.processes or int(str(_config(self.kind).get("num_processes") or 1))

    @property
    def device(self) -> str:
        """What computes: "GPU" or "CPU"."""
        return "GPU" if self.kind != "cpu" and gpus.visible() else "CPU"

    def dtype(self, bf16: bool | None) -> str:
        """What a trainer computes in: as its block says, or bfloat16 where the device multiplies it itself."""
        half = bf16 if bf16 is not None else self.device == "GPU" or cpu.dtype() == "bfloat16"
        return "bfloat16" if half else "float32"

    @property
    def sharded(self) -> bool:
        """Whether weights are spread over processes."""
        return self.distributed in ("FSDP", "DEEPSPEED")

    @property
    def distributed(self) -> str:
        """The ``distributed_type`` of its accelerate config; empty where it has none."""
        file = self.config
        return str(_config(str(file)).get("distributed_type", "")) if file else ""

    @property
    def config(self) -> Path | None:
        """The accelerate config that it stands for, if it does."""
        if self.kind in ("auto", "cpu"):
            return None
        return CONFIGS / f"{self.kind}.yaml" if self.kind in SPREAD else Path(self.kind)

    def command(self) -> list[str]:
        """What stands before ``-m cai.train.<stage> job.json``."""
        if self.config is None or (self.kind == "ddp" and self.count == 1):
            many = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(self.count)]
            return [sys.executable, *(many if self.count > 1 else ())]
        line = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(self.config)]
        if self.kind in SPREAD or self.processes:
            # A port of its own, so that two runs on a machine do not meet.
            line += ["--num_processes", str(self.count), "--main_process_port", "0"]
        return line

    def environment(self) -> dict[str, str]:
        """Which devices the trainer sees, and on how many threads each process computes."""
        devices = gpus.visible()
        if self.kind == "cpu" or not devices:
            threads = {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // self.count))}
            return {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", **(threads if self.count > 1 else {})}
        # Trainers refuse to run alone where they see several GPUs.
        return {"CUDA_VISIBLE_DEVICES": devices[0]} if self.kind == "auto" or self.count == 1 else {}


def read(setting: str | Mapping[str, object] | None) -> Hardware:
    """The recipe's key, checked against its schema: a word or path, or both keys."""
    if setting is None or isinstance(setting, str):
        return Hardware(setting or "auto")
    return replace(Hardware(), **setting)


def unknown(hardware: Hardware) -> str:
    """What is wrong with a config that is none of ours; empty where it can be used."""
    if hardware.kind in KINDS:
        return ""
    try:
        config = yaml.safe_load(Path(hardware.kind).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):  # ValueError: no UTF-8, or the 30th of February
        config = None
    if isinstance(config, dict) and "distributed_type" in config:
        return ""
    return (
        f"{hardware.kind} is no accelerate config (YAML with distributed_type); write one with `accelerate config`, or say one "
        f"of {', '.join(KINDS)}"
    )


def unable(hardware: Hardware, machine: Machine) -> Iterator[str]:
    """What a machine lacks for it."""
    gpus = len(machine.gpus)
    if hardware.kind in SPREAD and not gpus:
        yield (
            f"{hardware.kind} is for GPUs, and this machine shows none; take it out, or share the rows among processes on the "
            "CPU with {kind: cpu, processes: 2}"
        )
    elif hardware.kind in SPREAD and (hardware.processes or 0) > gpus:
        yield f"asks for {hardware.processes} processes, and this machine shows {count(gpus, 'GPU')}; take `processes` out"
    if hardware.kind == "auto" and (hardware.processes or 1) > 1:
        yield "auto is one process; say cpu, ddp, fsdp2 or zero3 beside `processes`"
    if hardware.distributed == "DEEPSPEED" and "deepspeed" not in machine.packages:
        yield "zero3 needs the package deepspeed; run: pip install deepspeed, or use fsdp2, which needs nothing more"


def _config(path: str) -> dict[str, object]:
    return yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
