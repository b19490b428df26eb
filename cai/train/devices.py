"""Weights that are spread over devices, and how much memory was taken of one."""

import resource
from typing import Any

import torch


def gathered(trainer: Any) -> dict[str, Any] | None:
    """The whole model's weights where they are spread over processes, all of which have to ask; None elsewhere."""
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        return None
    return trainer.accelerator.get_state_dict(trainer.model_wrapped)


def peak_memory() -> int:
    """The most bytes that this process had: of the GPU's memory where it had one, else of the machine's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
