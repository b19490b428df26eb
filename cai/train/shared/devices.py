"""Weights that are spread over devices, and what one of them can do and had to hold."""

import resource
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, Trainer


def placed(model: PreTrainedModel, device: str | torch.device) -> PreTrainedModel:
    """The model, moved to a device; by torch's own ``to``, as that of transformers hides its types."""
    nn.Module.to(model, device)
    return model


def gathered(trainer: Trainer) -> dict[str, Any] | None:
    """The whole model's weights where they are spread over processes, all of which have to ask; None elsewhere."""
    if not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        return None
    return trainer.accelerator.get_state_dict(trainer.model_wrapped)


def check_reference(trainer: Trainer) -> None:
    """See that the model a policy is held to has its weights on every process.

    Raises:
        ValueError: it has not: TRL 1.16 spreads it without sending it the weights that only one process has read.
    """
    plugin = trainer.accelerator.state.fsdp_plugin if trainer.is_fsdp_enabled else None
    alone = plugin is not None and plugin.fsdp_version == 2 and plugin.cpu_ram_efficient_loading
    if alone and getattr(trainer, "ref_model", None) is not None:
        raise ValueError(
            "fsdp_cpu_ram_efficient_loading leaves the reference model without weights on all processes but the first; set it to "
            "false in the accelerate config"
        )


def peak_memory() -> int:
    """The most bytes that this process had: of the GPU's memory where it had one, else of the machine's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
