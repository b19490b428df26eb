"""The ``prompts`` block; how its files are read is ``cai.data.prompts``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cai.data.prompts import PromptSource


@dataclass(frozen=True, slots=True)
class Prompts:
    """The ``prompts`` block: sources by track, and the share held out for ``evaluate``."""

    redteam: tuple[PromptSource, ...] = ()
    helpful: tuple[PromptSource, ...] = ()
    heldout: float = 0.1
    part_size: int = 1000

    @property
    def sources(self) -> Mapping[str, Sequence[PromptSource]]:
        """Where the prompts of each track come from."""
        return {"redteam": self.redteam, "helpful": self.helpful}
