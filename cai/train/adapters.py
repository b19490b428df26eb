"""LoRA adapters (Hu et al. 2022), the same for every trainer."""

from collections.abc import Sequence

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel


def config(rank: int, task: str, whole: Sequence[str] | None = None) -> LoraConfig:
    """Adapters on every linear layer.

    Args:
        task: PEFT's word for the kind of model, "CAUSAL_LM" or "SEQ_CLS".
        whole: modules that are trained and saved whole beside the adapters, such as a new head.
    """
    modules = list(whole) if whole else None
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type=task, modules_to_save=modules)


def with_adapters(model: PreTrainedModel, rank: int, task: str, whole: Sequence[str] | None = None) -> PeftModel:
    """The model with adapters; what is trained is in float32, whatever the weights below are in.

    Steps of a usual learning rate are too small for bfloat16 to add to a weight.
    """
    adapted = get_peft_model(model, config(rank, task, whole))
    for each in adapted.parameters():
        if each.requires_grad:
            each.data = each.data.float()
    return adapted


def under(model: nn.Module) -> PreTrainedModel:
    """The model under its adapters, if it has some."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(base, PreTrainedModel)
    return base
