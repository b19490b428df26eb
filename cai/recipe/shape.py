"""A recipe's shape: its models, and its steps with what each reads, made out before it is asked whether they go together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from cai.models.spec import ModelSpec
from cai.recipe import ensemble, rounds
from cai.recipe.block import Block
from cai.recipe.files import Files
from cai.recipe.models import read_model
from cai.recipe.recipe import LOGS, Recipe
from cai.stages import STAGES, read_block
from cai.store.run_folder import OWN_FOLDERS
from cai.train.launch import hardware
from cai.train.launch.hardware import Hardware
from constitution.load import load
from constitution.model import Constitution
from constitution.shipped import find
from constitution.source import InputError, Keys, Problem, Source, Yaml, complain

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a recipe consists of.

    Attributes:
        constitution: None where it is not there, or is none.
        problems: what is wrong with it already.
    """

    source: Source
    models: dict[str, ModelSpec]
    blocks: tuple[Block, ...]
    constitution: Constitution | None
    constitution_file: Path | None
    hardware: Hardware
    logs: str
    problems: tuple[Problem, ...]

    @property
    def folder(self) -> Path:
        """The recipe's own, beside which its files are looked up first."""
        return self.source.path.parent

    @property
    def steps(self) -> list[Block]:
        """Its steps, those of rounds once: a mistake is the same in every round."""
        return [block for block in self.blocks if block.round <= 1]

    def problem(self, keys: Keys, text: str) -> Problem:
        """Something wrong at a key path."""
        return self.source.problem(keys, text, "recipe")

    def recipe(self) -> Recipe:
        """The recipe of this shape, with which nothing is wrong."""
        assert self.constitution is not None and self.constitution_file is not None
        data = self.source.data
        return Recipe(
            self.source.path,
            data["name"],
            data.get("seed", 0),
            self.constitution,
            self.constitution_file,
            self.models,
            self.blocks,
            self.hardware,
            self.logs,
            data.get("budget"),
        )


def shape(source: Source, models: Mapping[str, ModelSpec]) -> Shape:
    """Data that the schema allows → its shape.

    Args:
        models: further ones, by role.

    Raises:
        InputError: what is wrong would make wrong what follows from it.
    """
    return _Outline(source, models).shape()


class _Outline:
    """A shape while it is made out, with the problems so far."""

    def __init__(self, source: Source, models: Mapping[str, ModelSpec]) -> None:
        self.source, self.problems = source, list[Problem]()
        self.folder = source.path.parent
        self.files = Files(self.folder, self.wrong)
        self.blocks: list[Block] = []
        self.models = {
            **models,
            **{role: self._model(role, block) for role, block in self._value("models", {}).items()},
        }

    def wrong(self, keys: Keys, text: str) -> None:
        self.problems.append(self.source.problem(keys, text, "recipe"))

    def shape(self) -> Shape:
        for number, item in enumerate(self._value("stages", [])):
            [(kind, settings)] = item.items()
            keys: Keys = ("stages", number, kind)
            if kind == "rounds":
                self._rounds(dict(settings), keys)
            else:
                self._step(kind, dict(settings or {}), keys)
        file = self.files.file(("constitution",), self._value("constitution", ""))
        constitution = self._constitution(file) if file else None
        runs_on, logs = self._hardware(), self._value("logs", LOGS)
        blocks, problems = tuple(self.blocks), tuple(self.problems)
        return Shape(self.source, self.models, blocks, constitution, file, runs_on, logs, problems)

    def _constitution(self, file: Path) -> Constitution | None:
        try:
            return load(file)
        except InputError as error:
            self.problems += error.problems
            return None

    def _value(self, key: str, usual: T) -> T:
        return self.source.data.get(key, usual)

    def _hardware(self) -> Hardware:
        """What trainers run on, with a config's file found."""
        choice = hardware.read(self.source.data.get("hardware"))
        if choice.kind in hardware.KINDS:
            return choice
        return replace(choice, kind=str(find(choice.kind, self.folder) or choice.kind))

    def _model(self, role: str, block: Yaml) -> ModelSpec:
        return read_model(role, block, ("models", role), self.folder, self.wrong)

    def _rounds(self, settings: Yaml, keys: Keys) -> None:
        """Add the steps of all rounds."""
        name, outside = settings.pop("as", "rounds"), list(self.blocks)
        held_out = self._reads("rounds", settings.pop("from", None), outside, keys)
        want = rounds.read(settings)
        for below, text in rounds.problems(want, name, self.models, outside):
            self.wrong((*keys, *below), text)
        for text in rounds.unjudged(held_out, outside):
            self.wrong((*keys, "evaluate"), text)
        complain(self.problems)  # what follows would be said of steps that nobody wrote
        for each in rounds.rounds_of(want, name):
            for kind, block, below in rounds.steps(want, each, held_out):
                self._step(kind, block, (*keys, *below), each)
            self._add(rounds.verdict(want, each, keys))
            if self.problems:
                break  # the same would be said of the other rounds
        self._add(rounds.outcome(want, name, keys))

    def _step(self, kind: str, block: Yaml, keys: Keys, round: rounds.Round | None = None) -> None:
        """Add a step, or those of an ensemble."""
        name = block.pop("as", kind)
        place = Block(kind, name, None, "", keys)
        place = rounds.within(round, place) if round else place
        before = [each for each in self.blocks if each.visible_to(place)]
        reads = self._reads(kind, block.pop("from", None), before, keys)
        want = read_block(kind, self.files.block(kind, block, keys))
        for step in ensemble.expand(replace(place, want=want, reads=reads)):
            self._add(step)

    def _add(self, step: Block) -> None:
        if step.name in OWN_FOLDERS:
            self.wrong(
                step.keys, f'"{step.name}" is a folder that every run has; give the stage another name with `as:`'
            )
        if any(step.name in (each.name, each.policy) for each in self.blocks):
            self.wrong(step.keys, f'there is already a stage "{step.name}"; give this one a name of its own with `as:`')
        self.blocks.append(step)

    def _reads(self, kind: str, name: str | None, before: list[Block], keys: Keys) -> str:
        table = STAGES[kind]
        sources = " or ".join(table.reads)
        names = [block.name for block in before if block.kind in table.reads]
        if not table.reads or (table.optional and not name):
            return ""
        if name and name not in names:
            self.wrong((*keys, "from"), f'no {sources} stage before this one is called "{name}"')
        if not names:
            self.wrong(keys, f"needs a {sources} stage before it; add one")
            return ""
        return name or names[-1]
