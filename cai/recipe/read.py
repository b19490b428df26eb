"""Recipe: YAML + dotted overrides → ``Recipe``, checked against ``recipe.schema.json`` before anything starts.

A block's keys are the fields of its stage's ``want`` type, plus ``as`` (the stage's own name) and ``from`` (the stage it
reads). Paths are looked up beside the recipe, then in the current folder, then among the shipped files.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cai.models import scripted, vllm
from cai.models.types import ModelSpec
from cai.recipe import ensemble, rounds
from cai.recipe.block import Block, named_roles, scored
from cai.recipe.checks import stages, training
from cai.recipe.files import Files
from cai.recipe.models import read_model, read_weights
from cai.recipe.overrides import override
from cai.recipe.recipe import LOGS, Recipe
from cai.recipe.schema import SCHEMA, validator
from cai.stages import STAGES, read_block
from cai.stages.train import Train
from cai.train.launch import hardware, needs
from cai.train.launch.hardware import Hardware
from constitution.load import digest, load
from constitution.model import Constitution
from constitution.shipped import find
from constitution.source import (
    InputError,
    Keys,
    Problem,
    Source,
    close,
    complain,
    nearest,
    problems,
    read_yaml,
)

WEIGHTS = ("base", "reference")
"""Keys under which a path or a Hub id does as well as a role."""


def load_recipe(path: Path, overrides: Sequence[str] = (), here: bool = True) -> Recipe:
    """Read, override and check a recipe; nothing is started or written.

    Args:
        here: whether this machine will serve its models, and so must have room for them.

    Raises:
        InputError: anything is wrong; the message has a sentence for each problem.
    """
    return read_recipe(read_yaml(find(path) or path), overrides, here)


def read_recipe(
    source: Source,
    overrides: Sequence[str] = (),
    here: bool = True,
    models: Mapping[str, ModelSpec] = MappingProxyType({}),
) -> Recipe:
    """As ``load_recipe``, from what was read already, with further models by role."""
    properties = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
    for text in overrides:
        override(source, text, set(properties))
    complain(problems(source, validator()))
    return _Reader(source, here, models).recipe()


class _Reader:
    """Checked data → ``Recipe``, gathering every problem before it complains."""

    def __init__(self, source: Source, here: bool, models: Mapping[str, ModelSpec]) -> None:
        self.models = models
        self.source, self.data, self.here = source, source.data, here
        self.beside = source.path.parent
        self.found: list[Problem] = []
        self.files = Files(self.beside, self.wrong)

    def wrong(self, keys: Keys, text: str) -> None:
        self.found.append(self.source.problem(keys, text, "recipe"))

    def recipe(self) -> Recipe:
        said = self.data.get("models", {})
        models = {**self.models, **{role: self._model(role, block) for role, block in said.items()}}
        blocks = self._blocks(models)
        once = [block for block in blocks if block.round <= 1]  # a mistake is the same in every round
        for number, block in enumerate(once):
            self._roles(number, models, once)
            if block.trains and block.role in models:
                self.wrong(
                    block.keys,
                    f'makes a model called "{block.role}", and `models` has one; give one of them another name',
                )
        for keys, text in ensemble.problems(models, blocks):
            self.wrong(keys, text)
        constitution_file = self.files.file(("constitution",), self.data["constitution"])
        constitution = self._constitution(constitution_file, once, models)
        self._installed(models, once)
        runs_on = self._hardware(once)
        complain(self.found)
        assert constitution is not None and constitution_file is not None
        name, seed, logs = self.data["name"], self.data.get("seed", 0), self.data.get("logs", LOGS)
        return Recipe(
            self.source.path, name, seed, constitution, constitution_file, models, tuple(blocks), runs_on, logs
        )

    def _constitution(self, path: Path | None, steps: list[Block], models: dict[str, ModelSpec]) -> Constitution | None:
        keys: Keys = ("constitution",)
        if path is None:
            return None
        try:
            constitution = load(path)
        except InputError as error:
            self.found += error.found
            return None
        for block in steps:
            for text in stages.unjudged(block, constitution):
                self.wrong(keys, text)
            for text in stages.not_fitted(block, models, digest(constitution)):
                self.wrong((*block.keys, "calibration"), text)
        return constitution

    def _hardware(self, steps: list[Block]) -> Hardware:
        """What trainers run on, with a config's file found."""
        given = hardware.read(self.data.get("hardware"))
        if given.kind not in hardware.KINDS:
            given = replace(given, kind=str(find(given.kind, self.beside) or given.kind))
        for key, text in training.surroundings(given, self.data.get("logs", LOGS), steps, self.here):
            self.wrong((key,), text)
        return given

    def _model(self, role: str, given: dict[str, Any]) -> ModelSpec:
        return read_model(role, given, ("models", role), self.beside, self.wrong)

    def _blocks(self, models: dict[str, ModelSpec]) -> list[Block]:
        blocks: list[Block] = []
        for number, item in enumerate(self.data["stages"]):
            [(kind, given)] = item.items()
            keys: Keys = ("stages", number, kind)
            if kind == "rounds":
                self._rounds(dict(given), models, blocks, keys)
            else:
                self._step(kind, dict(given or {}), blocks, keys)
        return blocks

    def _rounds(self, given: dict[str, Any], models: dict[str, ModelSpec], blocks: list[Block], keys: Keys) -> None:
        """Add the steps of all rounds."""
        name, outside = given.pop("as", "rounds"), list(blocks)
        held_out = self._reads("rounds", given.pop("from", None), outside, keys)
        want = rounds.read(given)
        for below, text in rounds.problems(want, name, models, outside):
            self.wrong((*keys, *below), text)
        for text in rounds.unjudged(held_out, outside):
            self.wrong((*keys, "evaluate"), text)
        complain(self.found)  # what follows would be said of steps that nobody wrote
        for each in rounds.rounds_of(want, name):
            for kind, block, below in rounds.steps(want, each, held_out):
                self._step(kind, block, blocks, (*keys, *below), each)
            self._add(rounds.verdict(want, each, keys), blocks)
            if self.found:
                break  # the same would be said of the other rounds
        self._add(rounds.outcome(want, name, keys), blocks)

    def _step(
        self, kind: str, block: dict[str, Any], blocks: list[Block], keys: Keys, round: rounds.Round | None = None
    ) -> None:
        """Add a step, or those of an ensemble."""
        name = block.pop("as", kind)
        place = Block(kind, name, None, "", keys)
        place = rounds.within(round, place) if round else place
        known = [each for each in blocks if each.known_to(place)]
        reads = self._reads(kind, block.pop("from", None), known, keys)
        want = read_block(kind, self.files.block(kind, block, keys))
        for step in ensemble.expanded(replace(place, want=want, reads=reads)):
            self._add(step, blocks)

    def _add(self, step: Block, blocks: list[Block]) -> None:
        if any(step.name in (each.name, each.policy) for each in blocks):
            self.wrong(step.keys, f'there is already a stage "{step.name}"; give this one a name of its own with `as:`')
        blocks.append(step)

    def _reads(self, kind: str, wanted: str | None, before: list[Block], keys: Keys) -> str:
        table = STAGES[kind]
        kinds = " or ".join(table.reads)
        fitting = [block.name for block in before if block.kind in table.reads]
        if not table.reads:
            return ""
        if wanted and wanted not in fitting:
            self.wrong((*keys, "from"), f'no {kinds} stage before this one is called "{wanted}"')
        if not fitting:
            self.wrong(keys, f"needs a {kinds} stage before it; add one")
            return ""
        return wanted or fitting[-1]

    def _roles(self, number: int, models: dict[str, ModelSpec], steps: list[Block]) -> None:
        block, before = steps[number], steps[:number]
        for key, role in named_roles(block.want):
            keys, scores = (*block.keys, key), scored(block, key)
            models_before = [each for each in before if each.trains and each.known_to(block)]
            trained = [each.role for each in models_before if (each.kind == "reward") == scores]
            known = [*(role for role, spec in models.items() if spec.scorer == scores), *trained]
            if role not in known and (text := stages.misplaced(role, scores, models, steps, number)):
                self.wrong(keys, text)
            elif role not in known and (key not in WEIGHTS or self._mistyped(role, known)):
                what = "reward model" if scores else "model"
                self.wrong(keys, f'there is no {what} "{role}"; {nearest(role, known)}')
            elif role not in known:
                read_weights(role, keys, self.beside, self.wrong)
            elif key in WEIGHTS and role in models and not models[role].weights:
                self.wrong(
                    keys, f'"{role}" has no weights to train: give a `vllm` or `local` model, a path or a Hub id'
                )
            elif text := ensemble.too_late(role, models, before):
                self.wrong(keys, text)
        for key, text in stages.problems(block, models, before):
            self.wrong((*block.keys, key) if key else block.keys, text)

    def _mistyped(self, role: str, known: list[str]) -> bool:
        """Whether what could be a folder's name is more likely a role's."""
        return "/" not in role and find(role, self.beside) is None and close(role, known) != ""

    def _installed(self, models: dict[str, ModelSpec], blocks: list[Block]) -> None:
        used = {role for block in blocks for _, role in named_roles(block.want)}
        used |= {member for role in used & models.keys() for member in models[role].rewards}
        for role, spec in models.items():
            try:
                if role in used and spec.served:
                    vllm.check(spec, self.here)
                if role in used and self.here and (text := needs.unloadable(spec)):
                    self.wrong(("models", role, spec.kind), text)
                if role in used and spec.kind == "scripted" and spec.scripted != "none":
                    scripted.read_script(Path(spec.scripted))
            except InputError as error:
                self.found += error.found or [Problem(self.source.path, 0, "", str(error), "recipe")]
            if spec.api_key_env and not os.environ.get(spec.api_key_env):
                self.wrong(("models", role, "api_key_env"), f"{spec.api_key_env} is not set; export it")
        for block in blocks:
            for keys, text in training.installed(block):
                self.wrong((*block.keys, *keys), text)
            if not isinstance(block.want, Train):
                continue
            base = block.want.base
            if text := needs.untemplated(block.want, models[base].weights if base in models else base):
                self.wrong((*block.keys, "base"), text)
            for key, text in needs.problems(block.want) if self.here else ():
                self.wrong((*block.keys, key), text)
