"""Supervised fine-tuning on the SL-CAI set: one epoch at a constant learning rate (Bai et al. 2022, section 3.2)."""

from dataclasses import dataclass

from cai.stages.train import Train


@dataclass(frozen=True, slots=True)
class Sft(Train):
    """The ``sft`` block."""
