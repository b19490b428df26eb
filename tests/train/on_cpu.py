"""Runs a trainer with its weights spread over CPU processes: ``on_cpu.py MODULE JOB``, under ``accelerate launch``.

accelerate spreads weights on accelerators alone, though PyTorch does it on CPUs as well. So it is told that these processes
have accelerators, and that their device is the CPU; all else is as on GPUs.
"""

import os
import runpy
import sys

import torch.distributed
from accelerate.state import AcceleratorState, DistributedType, PartialState

if __name__ == "__main__":
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    torch.distributed.init_process_group("gloo")
    PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_GPU)  # type: ignore[method-assign]
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
    print(AcceleratorState().distributed_type)
