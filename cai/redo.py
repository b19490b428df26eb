"""Rows that are done, to be done again: a stage with all that is built on it, or only what a changed constitution touches."""

from dataclasses import replace
from typing import TYPE_CHECKING

from cai import change
from cai.change import Effect
from cai.errors import UserError
from cai.recipe.block import Block
from cai.store.files import RunLock
from cai.store.ledger import Fingerprint
from cai.store.reopen import reopen, take_up
from cai.store.stage import Stage
from constitution.source import nearest

if TYPE_CHECKING:
    from cai.run import Run


def stage(run: "Run", name: str) -> list[str]:
    """Set a stage and all that is built on it aside, to be done again; returns their names."""
    names = [block.name for block in run.recipe.blocks]
    if name not in names:
        raise UserError(f'--redo {name}: the recipe has no stage "{name}"; {nearest(name, names)}')
    stale = {name}
    for block in run.recipe.blocks:
        if stale & run.settings(block.name).inputs.keys():
            stale.add(block.name)
    moved = [each for each in names if each in stale and (run.folder / each).exists()]
    with RunLock(run.folder):
        for each in reversed(moved):  # killed in between, no stage is left that looks newer than its input
            run.stage(each).set_aside(run.folder)
    return moved


def changed(run: "Run") -> list[str]:
    """Let what a changed constitution leaves as it is stand, and open what it touches; a line for each stage.

    See ``cai.change.effect`` for what becomes of a stage; one that stands is stamped with the new settings.

    Raises:
        UserError: something else than the constitution changed too, or the former constitution is not kept.
        RunError: rows are gone from which others were made.
    """
    with RunLock(run.folder):
        take_up(run.folder)
        run.keep_constitution()
        plan: list[Effect] = []
        for block in run.recipe.blocks:
            plan += _effect(run, block, {each.stage for each in plan if each.action != "stands"})
        # What is built on a stage goes first, so that a kill in between leaves no stage that looks newer than its input.
        for each in reversed(plan):
            _apply(run, each)
    return [_line(each) for each in plan]


def _effect(run: "Run", block: Block, moved: set[str]) -> list[Effect]:
    settings, stage = run.settings(block.name), run.stage(block.name)
    was = stage.begun
    if was is None or was == settings.plain():
        return []
    change.only_constitution(block.name, was, settings)
    if stage.seal and block.table.shape in ("source", "rows"):
        stage.whole()
    known = {"name": block.name, "kind": block.kind, "reads": block.reads}
    return [change.effect(run.folder, known, run.constitution, moved)]


def _apply(run: "Run", effect: Effect) -> None:
    stage, settings = run.stage(effect.stage), run.settings(effect.stage)
    if effect.action == "aside":
        stage.set_aside(run.folder)
        return
    for name, (ids, _) in effect.touched.items():
        drawn = Stage(run.folder / name)
        if ids and drawn.folder != stage.folder:  # an evaluation's comparisons: it is sealed when they are done again
            (stage.folder / "seal.json").unlink(missing_ok=True)
        if ids:
            reopen(drawn, run.folder, _within(settings, stage, drawn), set(ids))
    # What is stamped last is the stage itself: until then the same command finds it changed and goes on.
    for begun in stage.folder.glob("*/begun.json"):
        inner = Stage(begun.parent)
        inner.restamp(_within(settings, stage, inner))
    stage.restamp(settings)


def _within(settings: Fingerprint, stage: Stage, inner: Stage) -> Fingerprint:
    """The settings of a stage inside another one's folder, such as an evaluation's comparisons."""
    return settings if inner.folder == stage.folder else replace(settings, stage=f"{stage.name}/{inner.name}")


def _line(effect: Effect) -> str:
    match effect.action:
        case "aside":
            return f"{effect.stage}: set aside, to be done again"
        case "reopen":
            return f"{effect.stage}: {len(effect.ids)} of {effect.rows} rows are done again, the others stand"
    return f"{effect.stage}: stands as it is"
