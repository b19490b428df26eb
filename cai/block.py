"""One step of a recipe, as it is run."""

from dataclasses import dataclass
from typing import Any

from cai.stages import STAGES, Kind
from constitution.source import Keys


@dataclass(frozen=True, slots=True)
class Block:
    """One step of a recipe.

    Attributes:
        kind: the stage's word, such as "label".
        name: its folder and, for a trainer, its role; the kind unless ``as`` says otherwise.
        want: the stage's settings.
        reads: the name of the step whose rows it takes; empty where it takes none.
        keys: where it stands in the file.
        members: the names of an ensemble's steps, on its first.
        number: of a step within its ensemble, from 0; added to its seed.
    """

    kind: str
    name: str
    want: Any
    reads: str
    keys: Keys
    members: tuple[str, ...] = ()
    number: int = 0

    @property
    def table(self) -> Kind:
        """The stage's line in the table."""
        return STAGES[self.kind]

    def roles(self) -> list[str]:
        """The model roles it names, each once."""
        return list(dict.fromkeys(role for _, role in named_roles(self.want)))


def named_roles(want: Any) -> list[tuple[str, str]]:
    """The roles a block names, with their keys."""
    single = [
        (key, getattr(want, key)) for key in ("model", "judge", "base", "reward", "reference") if getattr(want, key, "")
    ]
    several = [(key, role) for key in ("models", "panel") for role in getattr(want, key, ())]
    return single + several
