"""Walk a recipe's stages: skip those that are sealed, bring models up and down, seal what is complete.

Adjacent row stages whose models can be up together stream into each other; a barrier stands where a stage needs the
whole set, or where a second model of this machine's would have to come up beside the first.
"""

import asyncio
import hashlib
import importlib.util
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cai import audit, change, dataset, ensemble, evaluation, mistakes, redo, shapes, verdict
from cai.block import SINGLE
from cai.errors import RunError
from cai.files import RunLock, write_json, write_lines
from cai.fleet import Fleet
from cai.ledger import Settings
from cai.models import ModelSpec, content
from cai.recipe import Block, Recipe
from cai.report.summary import ledger_line
from cai.screen import Screen
from cai.stages.prompts import HELDOUT
from cai.store import Stage
from constitution.load import digest
from constitution.save import dump
from constitution.source import find

if TYPE_CHECKING:
    from cai.cluster import Cluster


class Run:
    """One recipe on its way to its end.

    Args:
        folder: ``runs/<name>``; made where it is not there.
        cluster: where row stages are done; here unless given.
    """

    def __init__(self, recipe: Recipe, folder: Path, screen: Screen, cluster: "Cluster | None" = None) -> None:
        self.recipe, self.folder, self.screen, self.cluster = recipe, folder, screen, cluster
        self.fleet = Fleet(folder / "logs", screen)
        self.constitution = recipe.constitution
        self.known: dict[tuple[str, bool], Settings] = {}
        self.streams = True

    def stage(self, name: str) -> Stage:
        """The folder of a stage."""
        return Stage(self.folder / name, name)

    def settings(self, name: str, former: bool = False) -> Settings:
        """What decides a stage's rows; the digests of the stages it builds on stand for their rows.

        Args:
            former: as they were written before models were known by what their files hold.
        """
        if (name, former) not in self.known:
            self.known[name, former] = self._settings(self.recipe.block(name), former)
        return self.known[name, former]

    def _settings(self, block: Block, former: bool) -> Settings:
        want = asdict(block.want)
        roles = dict.fromkeys(block.roles())
        upstream = [*([block.reads] if block.reads else []), *block.after]
        upstream += [step for role in roles for step in self.recipe.behind(role)]
        if block.kind == "report":
            upstream = [each.name for each in self.recipe.blocks if each.name != block.name]
        called = {role: role if former else self._called(role) for role in roles}
        want |= {key: called[want[key]] for key in SINGLE if want.get(key) in called}
        specs = {called[role]: self.spec(role) for role in roles}
        return Settings(
            stage=block.name,
            block=_fingerprinted(want),
            seed=self.recipe.seed + block.number,
            constitution=digest(self.constitution) if mistakes.by_constitution(block) else "",
            models={role: _by_name(spec) if former else spec.identity() for role, spec in specs.items()},
            inputs={each: self.settings(each, former).digest() for each in dict.fromkeys(upstream)},
        )

    def _called(self, role: str) -> str:
        """How settings name a model: a folder that only training names by what it holds."""
        known = role in self.recipe.models or self.recipe.trains(role)
        return role if known else content.digest(self.spec(role).weights) or role

    def weights(self, base: str) -> str:
        """Where training starts from: the weights behind a role, or the path or Hub id itself."""
        return self.spec(base).weights

    def spec(self, role: str) -> ModelSpec:
        """How to reach a role's model: as the recipe says, or, for a trained one, as its base is reached."""
        if role in self.recipe.models:
            known = self.recipe.models[role]
            return ensemble.together(known, self.spec) if known.rewards else known
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
        trained = {base.kind: str((self.folder / block.name / "model").resolve()), "format": "chat"}
        return replace(base, role=role, model=role, trained=True, **trained)

    def go(self) -> None:
        """Walk from outside of asyncio; a person may stop it.

        Raises:
            RunError: it was stopped; and as ``walk``.
        """
        try:
            asyncio.run(self.walk())
        except KeyboardInterrupt:
            raise RunError("stopped; run the same command again to go on") from None

    async def walk(self) -> None:
        """Every stage that is not sealed, in order.

        Raises:
            InputError, RunError: see their sentences; what was written stays.
        """
        with RunLock(self.folder):
            for line in redo.take_up(self):
                self.screen.say(line)
            for block in self.recipe.blocks:
                if (self.folder / block.name).exists():
                    redo.renew(self, block.name)
                    self.stage(block.name).begin(self.settings(block.name))
                    if block.table.shape != "set":  # whose files are counted when a training reads them
                        self.whole(block)
            self._describe()
            try:
                await self._walk()
                redo.forget(self)
            finally:
                await self.fleet.close()
                if self.cluster:
                    await self.cluster.close()

    def whole(self, block: Block) -> None:
        """Make sure that a stage's rows are those that were written, before others are made from them.

        Raises:
            RunError: see ``audit.whole``; of a dataset, ``dataset.whole``.
        """
        stage = self.stage(block.name)
        seal = stage.seal
        match block.table.shape:
            case "rows":
                audit.whole(stage)
            case "source" if seal:
                audit.whole(stage)
                audit.whole(Stage(stage.folder / HELDOUT), block.name)
            case "set" if seal:
                dataset.whole(stage.folder, seal.get("splits", {}), block.name)
            case "evaluate":
                for begun in stage.folder.glob("*/begun.json"):
                    audit.whole(Stage(begun.parent), block.name)

    def _describe(self) -> None:
        """What status, show and report need to know of the recipe."""
        stages = [_told(block) for block in self.recipe.blocks]
        known = {
            "recipe": self.recipe.name,
            "seed": self.recipe.seed,
            "constitution": self.constitution.name,
            "constitution_version": self.constitution.version,
            "constitution_digest": digest(self.constitution),
            "principles": {each.id: each.title for each in self.constitution.principles},
            "models": {role: spec.title for role, spec in self.recipe.models.items()},
            "stages": stages,
        }
        write_json(self.folder / "run.json", known)
        self.keep_constitution()

    def keep_constitution(self) -> None:
        """Before any row is made under it: what a later change touches is told by comparison."""
        write_lines(change.kept(self.folder, digest(self.constitution)), [dump(self.constitution).rstrip()])

    async def _walk(self) -> None:
        left = list(self.recipe.blocks)
        while left:
            if verdict.not_run(self, left[0]):
                del left[0]
                continue
            group = self._group(left)
            del left[: len(group)]
            if all(self.stage(block.name).seal for block in group):
                self.screen.say(", ".join(block.name for block in group) + ": done before")
                continue
            group = [block for block in group if not self.stage(block.name).seal]
            for block in group:
                self.stage(block.name).begin(self.settings(block.name))
            await self._do(group)
            for block in group:
                self.screen.say(ledger_line(self.stage(block.name).seal or {}))

    async def _do(self, group: list[Block]) -> None:
        evaluation.check(self)  # before models start, and trainers, for what nobody could compare
        match group[0].table.shape:
            case "source":
                shapes.SOURCES[group[0].kind](self, group[0])
            case "rows":
                await shapes.rows(self, group)
            case "set":
                shapes.whole_set(self, group[0])
            case "train":
                await shapes.training(self, group[0])
            case "rounds":
                await verdict.rounds(self, group[0])
            case "evaluate":
                await evaluation.evaluate(self, group[0])
            case _:
                shapes.report(self, group[0])

    def _group(self, left: list[Block]) -> list[Block]:
        """The first block and the row stages after it that can stream from it."""
        group, hosted = [left[0]], self._hosted(left[0])
        for block in left[1:]:
            streams = group[-1].table.shape == block.table.shape == "rows" and block.reads == group[-1].name
            together = hosted + [spec for spec in self._hosted(block) if not any(map(spec.same_server, hosted))]
            if not streams or not self.streams or len(together) > 1:
                break
            group, hosted = [*group, block], together
        return group

    def _hosted(self, block: Block) -> list[ModelSpec]:
        return [spec for role in block.roles() if (spec := self.spec(role)).hosted]


def _told(block: Block) -> dict[str, Any]:
    """What status, show and report need to know of a step."""
    known: dict[str, Any] = {"name": block.name, "kind": block.kind, "reads": block.reads}
    return known | ({"rounds": block.rounds, "round": block.round} if block.round else {})


def start(
    recipe: Recipe,
    folder: Path,
    screen: Screen,
    redo_stage: str | None = None,
    redo_changed: bool = False,
    cluster: "Cluster | None" = None,
) -> None:
    """Run a recipe to its end, after setting aside what is to be done again; see ``Run.walk`` and ``cai.redo``."""
    run = Run(recipe, folder, screen, cluster)
    if redo_stage:
        screen.say(redo.stage(run, redo_stage))
    if redo_changed:
        for line in redo.changed(run):
            screen.say(line)
    run.go()


def _by_name(spec: ModelSpec) -> dict[str, Any]:
    return spec.by_name() | ({"model": spec.role} if spec.picked and not spec.trained else {})


def _fingerprinted(want: dict[str, Any]) -> dict[str, Any]:
    """Prompt files by content rather than by path, so that a moved file changes nothing and an edited one does."""
    for track in ("redteam", "helpful"):
        for source in want.get(track, ()):
            if source["path"]:
                source["sha256"] = _content(source["path"])
                source["path"] = Path(source["path"]).name
    if "hub" in want and want["path"]:
        want["sha256"] = _content(want["path"])
        want["path"] = Path(want["path"]).name
    template = str(want.get("chat_template") or "")
    if template.endswith(".jinja"):
        want["chat_template"] = _content(template)
    elif template != "chatml" and (held := content.digest(template)):
        want["chat_template"] = held
    if "decontaminate" in want:
        want["decontaminate"] = [_content(path) for path in want["decontaminate"]]
    return want


def _content(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
