"""What the training blocks share; each trainer's own block is a file beside this one.

Keys have the names and meanings of transformers' and TRL's configs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Train:
    """What all trainers take.

    Attributes:
        base: the role, path or Hub id to start from.
        lora: rank of LoRA adapters, merged at the end; None trains all weights.
        bf16: bfloat16 autocast; None means where the hardware has it.
        save_steps: steps between checkpoints, from which a killed run goes on.
    """

    base: str
    learning_rate: float = 1e-5
    lr_scheduler_type: str = "constant"
    warmup_steps: int = 0
    num_train_epochs: float = 1.0
    max_steps: int = -1
    per_device_train_batch_size: int = 4
    gradient_accumulation_steps: int = 1
    max_length: int = 1024
    gradient_checkpointing: bool = False
    save_steps: int = 100
    lora: int | None = None
    bf16: bool | None = None
    trl: dict[str, object] = field(default_factory=dict)
    """Further keys of the TRL config."""

    @property
    def init_kwargs(self) -> Mapping[str, object]:
        """With what TRL loads the model, ``trl.model_init_kwargs``."""
        kwargs = self.trl.get("model_init_kwargs") or {}
        assert isinstance(kwargs, dict)
        return kwargs


@dataclass(frozen=True, slots=True)
class Aligned(Train):
    """What trainers share that let a policy learn from feedback.

    Attributes:
        guards: what is watched meanwhile, and what warns or stops, see ``cai.train.launch.guards``.
    """

    guards: Mapping[str, Any] = field(default_factory=dict)
