"""Runs trainers with their weights spread over CPU processes: ``on_cpu.py JOB…``, under ``accelerate launch``.

accelerate spreads weights on accelerators alone, though PyTorch and DeepSpeed do it on CPUs as well. So it is told that these
processes have accelerators, and that their device is the CPU; all else is as on GPUs.
"""

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import torch.distributed
from accelerate.state import AcceleratorState, DistributedType, PartialState


def with_deepspeed() -> None:
    """DeepSpeed over gloo, without the reduction in shared memory that it would compile first."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed  # pyright: ignore
    from deepspeed.comm import torch as backend  # pyright: ignore

    backend.build_shm_op = lambda: None
    deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
    for kind in (PartialState, AcceleratorState):
        kind.__init__ = elsewhere(kind.__init__)


def elsewhere(begin: Any) -> Any:
    """The state of processes that are not on CPUs."""

    def told(self: Any, *args: Any, **more: Any) -> None:
        begin(self, *args, **(more if args else {**more, "cpu": False}))

    return told


def spread(self: PartialState, *_: Any) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_GPU


if __name__ == "__main__":
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    torch.distributed.init_process_group("gloo")
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        with_deepspeed()
    PartialState._prepare_backend = spread
    for job in sys.argv[1:]:
        kind = json.loads(Path(job).read_text())["kind"]
        sys.argv = [kind, job]
        runpy.run_module(f"cai.train.{kind}", run_name="__main__", alter_sys=True)
        print(AcceleratorState().distributed_type)
