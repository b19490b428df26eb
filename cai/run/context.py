"""What a recipe's steps are made of: their folders, what decides their rows, and how each role's model is reached."""

import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cai.cluster.hire import Cluster
from cai.data import dataset, harnesses, locations
from cai.data.locations import Origin
from cai.data.notation import printable
from cai.data.prompt_source import PromptSource
from cai.data.prompts import HELDOUT
from cai.errors import RunError
from cai.flow.fleet import Fleet
from cai.flow.purse import Purse
from cai.flow.screen import Screen
from cai.models import content
from cai.models.prices import Price, priced
from cai.models.spec import ModelSpec
from cai.recipe import ensemble
from cai.recipe.block import SINGLE, Block, by_constitution
from cai.recipe.recipe import Recipe
from cai.report.robustness import robust
from cai.report.summary import benchmarked, evaluated
from cai.report.verification import verified
from cai.stages.evaluate import HUB, Evaluate
from cai.stages.pairs import Pairs
from cai.store import audit, run_folder
from cai.store.files import write_lines
from cai.store.ledger import Fingerprint, added, decisive
from cai.store.spending import SPENT, Spending
from cai.store.stage import Stage
from constitution.load import digest, load
from constitution.model import Constitution
from constitution.save import dump
from constitution.shipped import find

HELD_OUT_USERS = ("evaluate", "robustness")
"""The kinds of stage that ask held-out prompts, of which rounds may take every other one."""


class Run:
    """One recipe on its way to its end.

    Args:
        folder: ``runs/<name>``; made where it is not there.
        cluster: where row stages are done; here unless given.
    """

    def __init__(self, recipe: Recipe, folder: Path, screen: Screen, cluster: Cluster | None = None) -> None:
        self.recipe, self.folder, self.screen, self.cluster = recipe, folder, screen, cluster
        self.fleet = Fleet(folder / "logs", screen)
        self.constitution = recipe.constitution
        self.fingerprints: dict[tuple[str, bool], Fingerprint] = {}
        self.streams = True

    @cached_property
    def purse(self) -> Purse:
        """What it has spent and may spend; read once the run's folder is locked."""
        roles = dict.fromkeys([*self.recipe.models, *(each.role for each in self.recipe.blocks if each.trains)])
        prices: dict[str, Price] = {}
        for role in roles:
            prices |= priced(role, (spec := self.spec(role)).price, spec.batch)
        return Purse(Spending(self.folder / SPENT), prices, self.recipe.budget)

    def count_again(self) -> None:
        """What other processes spent is in the run's file."""
        self.__dict__.pop("purse", None)

    def stage(self, name: str) -> Stage:
        """The folder of a stage."""
        return Stage(self.folder / name, name)

    def settings(self, name: str, former: bool = False) -> Fingerprint:
        """What decides a stage's rows; the digests of the stages it builds on stand for their rows.

        Args:
            former: as they were written before models were known by what their files hold.
        """
        if (name, former) not in self.fingerprints:
            self.fingerprints[name, former] = self._settings(self.recipe.block(name), former)
        return self.fingerprints[name, former]

    def _settings(self, block: Block, former: bool) -> Fingerprint:
        want = decisive(block.want)
        if block.kind in HELD_OUT_USERS:
            del want["heldout"]
        roles = dict.fromkeys(block.roles())
        upstream = [*([block.reads] if block.reads else []), *block.after]
        upstream += [step for role in roles for step in self.recipe.behind(role)]
        if block.kind == "report":
            upstream = [each.name for each in self.recipe.blocks if each.name != block.name]
        names = {role: role if former else self._model_name(role) for role in roles}
        want |= {key: names[want[key]] for key in SINGLE if want.get(key) in names}
        specs = {names[role]: self.spec(role) for role in roles}
        return Fingerprint(
            stage=block.name,
            block=_fingerprinted(want) | self._held_out(block) | self._half(block),
            seed=self.recipe.seed + block.number,
            constitution=digest(self.constitution_of(block)) if by_constitution(block) else "",
            models={role: _by_name(spec) if former else spec.identity() for role, spec in specs.items()},
            inputs={each: self.settings(each, former).digest() for each in dict.fromkeys(upstream)},
        )

    def constitution_of(self, block: Block) -> Constitution:
        """What a step is judged by: the run's, or one of its own."""
        own = block.want.constitution if isinstance(block.want, Evaluate) else ""
        return load(Path(own)) if own else self.constitution

    def _model_name(self, role: str) -> str:
        """How settings name a model: a folder that only training names by what it holds."""
        has_block = role in self.recipe.models or self.recipe.trains(role)
        return role if has_block else content.digest(self.spec(role).weights) or role

    def _held_out(self, block: Block) -> dict[str, object]:
        """What decides which rows of a source are left out because another stage holds their prompts out."""
        if block.table.shape != "source":
            return {}
        others = [each for each in self.recipe.blocks if each.kind == "prompts" and each.name != block.name]
        decisions = {each.name: _decided(_fingerprinted(asdict(each.want))) for each in others if each.want.heldout}
        return {"held_out": decisions} if decisions else {}

    def half(self, block: Block) -> str:
        """Which held-out prompts an evaluation takes, see ``Evaluate``; empty for all.

        Rounds choose their policies by one half, and the other half says how good they are.
        """
        rounds = any(each.round and each.reads == block.reads for each in self.recipe.blocks if each.kind == "evaluate")
        if block.want.heldout or self.former_halves or not rounds:
            return block.want.heldout
        return "accept" if block.round else "report"

    @cached_property
    def former_halves(self) -> bool:
        """Whether the run was begun when rounds and reports had the same prompts; it goes on so."""
        evaluations = [self.stage(each.name) for each in self.recipe.blocks if each.kind == "evaluate"]
        for stage in evaluations:
            with suppress(RunError):  # what is damaged is said where the stage begins, so that a redo may come before
                if stage.begun and "heldout" not in stage.begun["block"]:
                    return True
        return False

    def _half(self, block: Block) -> dict[str, str]:
        """As settings have it: nowhere where nobody chose, as in runs before there was a choice."""
        part = self.half(block) if block.kind in HELD_OUT_USERS else ""
        return {"heldout": part} if part else {}

    def weights(self, base: str) -> str:
        """Where training starts from: the weights behind a role, or the path or Hub id itself."""
        return self.spec(base).weights

    def spec(self, role: str) -> ModelSpec:
        """How to reach a role's model: as the recipe says, or, for a trained one, as its base is reached."""
        if role in self.recipe.models:
            own = self.recipe.models[role]
            return ensemble.together(own, self.spec) if own.rewards else own
        block = self.recipe.trains(role)
        if block is None:  # a path or Hub id that only training names
            kind, path = "vllm" if importlib.util.find_spec("vllm") else "local", find(role, self.recipe.path.parent)
            return replace(ModelSpec(role, picked=True), **{kind: str(path.resolve()) if path else role})
        base = self.spec(block.want.base)
        if block.kind == "reward":
            path = str((self.folder / block.name / "model").resolve())
            return ensemble.spec_of(
                role, block, ModelSpec(role, reward=path, max_len=base.max_len, model=role, trained=True)
            )
        # Training puts every example in the chat template, so its result is a chat model whatever its base was.
        place = {base.kind: str((self.folder / block.name / "model").resolve()), "format": "chat"}
        return replace(base, role=role, model=role, trained=True, **place)

    def whole(self, block: Block) -> None:
        """Make sure that what a stage made is as it was written, before anything else is made from it.

        Raises:
            RunError: see ``audit.whole``; of a dataset, ``dataset.whole``; of an evaluation, ``evaluated``.
        """
        with audit.redo_named(block.name):
            self._whole(block, self.stage(block.name))

    def _whole(self, block: Block, stage: Stage) -> None:
        seal, kind = stage.seal, block.table.gives or dict
        match block.table.shape:
            case "rows":
                audit.whole(stage, kind=kind)
            case "source" if seal:
                audit.whole(stage, kind=kind)
                audit.whole(Stage(stage.folder / HELDOUT), block.name, kind)
            case "set" if seal:
                dataset.whole(stage.folder, seal.get("splits", {}), block.name)
            case "evaluate":
                if seal:
                    evaluated(stage.folder)
                self._inner_whole(block, stage)
            case "robustness" | "verify" as shape:
                if seal:
                    (robust if shape == "robustness" else verified)(stage.folder)
                self._inner_whole(block, stage)
            case "benchmarks" if seal:
                benchmarked(stage.folder)
        audit.unchanged_since(stage, block.name)

    def _inner_whole(self, block: Block, stage: Stage) -> None:
        for file in stage.folder.glob("*/begun.json"):
            audit.whole(Stage(file.parent), block.name)

    def keep_constitution(self) -> None:
        """Before any row is made under it: what a later change touches is told by comparison."""
        own = (self.constitution_of(each) for each in self.recipe.blocks)
        for each in (self.constitution, *(each for each in own if each is not self.constitution)):
            write_lines(run_folder.constitution_file(self.folder, digest(each)), [dump(each).rstrip()])


def _by_name(spec: ModelSpec) -> dict[str, object]:
    return spec.by_name() | ({"model": spec.role} if spec.picked and not spec.trained else {})


def _fingerprinted(want: dict[str, Any]) -> dict[str, object]:
    """Prompt files by content rather than by path, so that a moved file changes nothing and an edited one does."""
    for track in ("redteam", "helpful"):
        for source in want.get(track, ()):
            _by_content(source, PromptSource)
            for key, usual in added(PromptSource).items():
                if source[key] == usual:
                    del source[key]
    if want.get("plain_text"):
        want["plain_text"] = _content(want["plain_text"])
    if "hub" in want:
        _by_content(want, Pairs)
    template = str(want.get("chat_template") or "")
    if template.endswith(".jinja"):
        want["chat_template"] = _content(template)
    elif template != "chatml" and (contents := content.digest(template)):
        want["chat_template"] = contents
    if exam := str(want.get("exam", "")):
        want["exam"] = exam if exam.startswith(HUB) else locations.digest(PromptSource(exam))
    if want.get("constitution"):
        want["constitution"] = printable(Path(want["constitution"]).name)
    if translations := want.get("translations"):
        digest_of = locations.digest(PromptSource(translations["path"]))
        want["translations"] = {**translations, "path": printable(Path(translations["path"]).name), "sha256": digest_of}
    if "tasks" in want and "data" in want:  # a benchmarks block's
        want["tasks"] = [{**task, "task": _task(task["task"])} for task in want["tasks"]]
        want["data"] = {name: _source(source) for name, source in want["data"].items()}
    if "decontaminate" in want:
        want["decontaminate"] = [locations.digest(PromptSource(path)) for path in want["decontaminate"]]
    return want


def _task(name: str) -> str:
    """A task by its name; one of a file by the file's name and what it holds."""
    file, task = harnesses.split(name)
    return f"{Path(file).name}@{task} {_content(file)}" if file.endswith(".py") else name


def _source(source: Mapping[str, str] | str) -> object:
    """Data on disk by what it holds: a file, a folder of files, or a file for each split."""
    if not isinstance(source, str):
        return {split: _content(file) for split, file in source.items()}
    path = Path(source)
    if not path.is_dir():
        return _content(source)
    files = sorted(each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
    return {str(each.relative_to(path)): _content(str(each)) for each in files}


def _by_content(source: dict[str, Any], kind: Callable[..., Origin]) -> None:
    """A source's files by what they hold, and their path's name."""
    if source["path"]:
        keys = ("path", "hub", "split", "config")
        source["sha256"] = locations.digest(kind(**{key: source[key] for key in keys}))
        source["path"] = printable(Path(source["path"]).name)


def _decided(prompts: Mapping[str, object]) -> str:
    """A fingerprint of what decides which prompts a block holds out."""
    text = json.dumps({key: prompts[key] for key in ("redteam", "helpful", "heldout")}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
