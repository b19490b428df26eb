"""Rows that are done, to be done again: a stage with all that is built on it, or only what a changed constitution touches."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cai import change
from cai.errors import UserError
from cai.files import RunLock
from cai.ledger import Settings
from cai.recipe import Block
from cai.rows import Pair
from cai.store import Stage
from constitution.model import Constitution
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
        for each in moved:
            run.stage(each).set_aside(run.folder)
    return moved


@dataclass(frozen=True, slots=True)
class _Plan:
    """What becomes of one stage: "aside", "stands" or "reopen" with the rows that are touched."""

    name: str
    settings: Settings
    action: str
    touched: list[str] = field(default_factory=list)


def changed(run: "Run") -> list[str]:
    """Let what a changed constitution leaves as it is stand, and open what it touches; a line for each stage.

    A row stage keeps the rows for which models are asked the same as before. A stage built on rows that are touched is
    set aside whole; one built on rows that stand is stamped with the new settings.

    Raises:
        UserError: something else than the constitution changed too, or the former constitution is not kept.
    """
    with RunLock(run.folder):
        plans: list[_Plan] = []
        for block in run.recipe.blocks:
            plans += _plan(run, block, {plan.name for plan in plans if plan.action != "stands"})
        # What is built on a stage goes first, so that a kill in between leaves no stage that looks newer than its input.
        for plan in reversed(plans):
            _apply(run, plan)
    return [_line(plan) for plan in plans]


def _plan(run: "Run", block: Block, moved: set[str]) -> list[_Plan]:
    settings = run.settings(block.name)
    was = run.stage(block.name).begun
    if was is None or was == settings.plain():
        return []
    change.only_constitution(block.name, was, settings)
    if moved & settings.inputs.keys() or any(run.stage(name).begun is None for name in settings.inputs):
        return [_Plan(block.name, settings, "aside")]
    if was["constitution"] == settings.constitution:
        return [_Plan(block.name, settings, "stands")]
    ids = _touched(run, block, change.former(run.folder, was["constitution"], block.name))
    if not ids:
        return [_Plan(block.name, settings, "stands")]
    return [_Plan(block.name, settings, "reopen" if block.kind in change.DRAWING else "aside", ids)]


def _touched(run: "Run", block: Block, old: Constitution) -> list[str]:
    if block.kind in change.DRAWING:
        rows = run.stage(block.reads).all_rows(block.table.takes or dict)
        kind, name, want = block.kind, block.name, block.want
    else:  # an evaluation, whose comparisons are labels like any other
        folders = sorted(run.stage(block.name).folder.glob("pairs-*"))
        rows = (pair for folder in folders for pair in Stage(folder).all_rows(Pair))
        kind, name, want = "label", f"{block.name}/votes", block.want.label()
    return list(change.touched(kind, name, want, run.recipe.seed, rows, old, run.constitution))


def _apply(run: "Run", plan: _Plan) -> None:
    stage = run.stage(plan.name)
    match plan.action:
        case "aside":
            stage.set_aside(run.folder)
        case "reopen":
            stage.reopen(run.folder, plan.settings, set(plan.touched))
        case _:
            stage.restamp(plan.settings)
            # An evaluation's answers and votes are stages of their own inside its folder.
            for begun in stage.folder.glob("*/begun.json"):
                inner = Stage(begun.parent)
                inner.restamp(replace(plan.settings, stage=f"{plan.name}/{inner.name}"))


def _line(plan: _Plan) -> str:
    match plan.action:
        case "aside":
            return f"{plan.name}: set aside, to be done again"
        case "reopen":
            return f"{plan.name}: {len(plan.touched)} rows are done again, the others stand"
    return f"{plan.name}: stands as it is"
