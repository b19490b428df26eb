"""Supervised fine-tuning on the SL-CAI set: one epoch at a constant learning rate (Bai et al. 2022, section 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cai.stages.train import Train
from cai.store.ledger import ADDED


@dataclass(frozen=True, slots=True)
class Sft(Train):
    """The ``sft`` block.

    Attributes:
        mix: track → share of its training rows that is used; above 1 rows are repeated. Tracks not named are used whole.
        packing: put several examples into one row of ``max_length``; None means where the hardware has it (a GPU with
            FlashAttention, by which examples in one row do not see each other).
        quantization: "4bit" holds the base in four bits while its LoRA adapters are trained (Dettmers et al. 2023).
        train_on_thinking: whether what was thought before an answer is learnt too, where the set keeps it; otherwise it is read
            like what is asked.
        chat_template: for a base model without one: "chatml", a ``.jinja`` file, or a model whose template is taken.
    """

    mix: Mapping[str, float] = field(default_factory=dict)
    packing: bool | None = None
    quantization: str | None = None
    chat_template: str | None = None
    train_on_thinking: bool = field(default=True, metadata=ADDED)
