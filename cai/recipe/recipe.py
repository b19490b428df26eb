"""A recipe with everything resolved: what a run walks."""

from dataclasses import dataclass, field
from pathlib import Path

from cai.models.spec import ModelSpec
from cai.recipe import ensemble
from cai.recipe.block import Block
from cai.train.launch.hardware import Hardware
from constitution.model import Constitution

LOGS = "tensorboard"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with everything resolved.

    Attributes:
        budget: what it may cost by its roles' prices; no bound where it is None.
    """

    path: Path
    name: str
    seed: int
    constitution: Constitution
    constitution_file: Path
    models: dict[str, ModelSpec]
    blocks: tuple[Block, ...]
    hardware: Hardware = field(default_factory=Hardware)
    logs: str = LOGS
    budget: float | None = None

    def block(self, name: str) -> Block:
        """A step by its name."""
        return next(block for block in self.blocks if block.name == name)

    def behind(self, role: str) -> list[str]:
        """The training steps whose results a role's model consists of; none for one that is there already."""
        return ensemble.behind(role, self.models, self.blocks)

    def trains(self, role: str) -> Block | None:
        """The step whose trained model a role names, if it is one."""
        return next((block for block in self.blocks if block.role == role and block.trains), None)
