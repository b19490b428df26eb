"""One step of a recipe, as it is run."""

from dataclasses import dataclass
from typing import Any

from cai.judge.methods import METHODS, Method
from cai.stages import STAGES, Kind
from cai.stages.evaluate import Evaluate
from cai.stages.label import Label
from cai.stages.online import Online
from cai.stages.score import Score
from cai.train.launch import guards
from constitution.source import Keys

SINGLE = ("model", "judge", "user", "base", "reward", "reference", "rollouts", "harm")
"""Keys of blocks that name one role."""


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
        number: of a step within its ensemble, or of a training step's round, from 0; added to its seed.
        after: further steps that it is built on.
        rounds: the name of the rounds that it belongs to.
        round: which of them, from 1; 0 outside of rounds.
        policy: the role of a round's policy, on the step that trains it.
        draws: what its rows draw as, where several steps are to draw alike; its name unless given.
    """

    kind: str
    name: str
    want: Any
    reads: str
    keys: Keys
    members: tuple[str, ...] = ()
    number: int = 0
    after: tuple[str, ...] = ()
    rounds: str = ""
    round: int = 0
    policy: str = ""
    draws: str = ""

    @property
    def table(self) -> Kind:
        """The stage's line in the table."""
        return STAGES[self.kind]

    @property
    def role(self) -> str:
        """The role of the model that it makes, if it makes one."""
        return self.policy or self.name

    @property
    def trains(self) -> bool:
        """Whether its role is a model: it trains one, or it is what rounds of training end with."""
        return self.table.shape == "train" or (self.table.shape == "rounds" and not self.round)

    def visible_to(self, other: "Block") -> bool:
        """Whether a later step may read it or name its model: what is within a round is for that round."""
        return not self.round or (self.rounds, self.round) == (other.rounds, other.round)

    def roles(self) -> list[str]:
        """The model roles it names, each once."""
        return list(dict.fromkeys(role for _, role in named_roles(self.want)))


def named_roles(want: object) -> list[tuple[str, str]]:
    """The roles a block names, with their keys."""
    single = [(key, getattr(want, key)) for key in SINGLE if getattr(want, key, "")]
    judge = getattr(want, "guards", {}).get("judge", "")
    single += [("guards", judge)] if judge else []
    several = [(key, role) for key in ("models", "panel") for role in getattr(want, key, ())]
    return single + several


def method(block: Block) -> Method | None:
    """How a step judges, if it does."""
    return METHODS[block.want.method] if isinstance(block.want, Label | Evaluate | Score | Online) else None


def by_constitution(block: Block) -> bool:
    """Whether the constitution decides a step's rows."""
    way = method(block)
    return block.table.constitution and (way is None or bool(way.needs))


def asks_reward_model(block: Block, key: str) -> bool:
    """Whether the role under this key has to be a reward model."""
    if key == "guards":
        return guards.scoring(block.want.guards) == "reward"
    way = method(block)
    return key in ("model", "panel", "judge", "reward") and way is not None and way.model_kind == "reward"
