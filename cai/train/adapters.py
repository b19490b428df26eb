"""LoRA adapters (Hu et al. 2022), the same for every trainer."""

from collections.abc import Sequence

from peft import LoraConfig


def config(rank: int, task: str, whole: Sequence[str] | None = None) -> LoraConfig:
    """Adapters on every linear layer.

    Args:
        task: PEFT's word for the kind of model, "CAUSAL_LM" or "SEQ_CLS".
        whole: modules that are trained and saved whole beside the adapters, such as a new head.
    """
    saved = list(whole) if whole else None
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type=task, modules_to_save=saved)
