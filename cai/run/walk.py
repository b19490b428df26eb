"""Walk a recipe's stages: skip those that are sealed, bring models up and down, seal what is complete.

Adjacent row stages whose models can be up together stream into each other; a barrier stands where a stage needs the
whole set, or where a second model of this machine's would have to come up beside the first.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from cai.cluster.hire import Cluster
from cai.errors import RunError
from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.recipe.recipe import Recipe
from cai.report.summary import ledger_line
from cai.run import (
    benchmarks,
    evaluation,
    redo,
    rejudge,
    robustness,
    rounds,
    rows,
    sets,
    sources,
    training,
    verification,
)
from cai.run.context import Run
from cai.store import audit
from cai.store.files import RunLock, write_json
from cai.store.ledger import Tally
from cai.store.run_folder import PriceNote, RunNote, StageNote
from constitution.load import digest


def start(
    recipe: Recipe,
    folder: Path,
    screen: Screen,
    redo_stage: str | None = None,
    redo_changed: bool = False,
    cluster: Cluster | None = None,
) -> None:
    """Run a recipe to its end, after setting aside what is to be done again; see ``walk`` and ``cai.run.redo``."""
    run = Run(recipe, folder, screen, cluster)
    if redo_stage:
        screen.say(redo.stage(run, redo_stage))
    if redo_changed:
        for line in redo.changed(run):
            screen.say(line)
    go(run)


def judge_again(recipe: Recipe, folder: Path, screen: Screen, cluster: Cluster | None = None) -> None:
    """Run a recipe to its end, after setting aside what judged its evaluations; see ``walk`` and ``cai.run.rejudge``."""
    run = Run(recipe, folder, screen, cluster)
    for line in rejudge.rejudge(run):
        screen.say(line)
    go(run)


def go(run: Run, more: Callable[[], Sequence[Block]] = tuple) -> None:
    """Walk from outside of asyncio; a person may stop it.

    Args:
        more: called when all steps are done: adds steps to the run's recipe and returns them; none ends the walk. Models stay
            up in between.

    Raises:
        RunError: it was stopped; and as ``walk``.
    """
    try:
        asyncio.run(walk(run, more))
    except KeyboardInterrupt:
        raise RunError("stopped; run the same command again to go on") from None


async def walk(run: Run, more: Callable[[], Sequence[Block]] = tuple) -> None:
    """Every stage that is not sealed, in order, and what ``more`` adds, see ``go``.

    Raises:
        InputError, RunError: see their sentences; what was written stays.
    """
    with RunLock(run.folder):
        for line in redo.take_up(run):
            run.screen.say(line)
        try:
            left = run.recipe.blocks
            while left:
                _enter(run, left)
                await _stages(run, left)
                left = more()
            redo.forget(run)
        finally:
            await run.fleet.close()
            if run.cluster:
                await run.cluster.close()


def _enter(run: Run, blocks: Sequence[Block]) -> None:
    """Make sure that the folders of these steps are theirs, and note what status, show and report need to know of them."""
    for block in blocks:
        if (run.folder / block.name).exists():
            with audit.redo_named(block.name):
                redo.renew(run, block.name)
                run.stage(block.name).begin(run.settings(block.name))
            run.whole(block)
    _describe(run)


def _describe(run: Run) -> None:
    """What status, show and report need to know of the recipe."""
    note: RunNote = {
        "recipe": run.recipe.name,
        "seed": run.recipe.seed,
        "constitution": run.constitution.name,
        "constitution_version": run.constitution.version,
        "constitution_digest": digest(run.constitution),
        "principles": {each.id: each.title for each in run.constitution.principles},
        "models": {role: spec.title for role, spec in run.recipe.models.items()},
        "stages": [_note(block) for block in run.recipe.blocks],
    }
    if prices := {role: dict(price) for role, price in run.purse.prices.items()}:
        note["prices"] = cast("dict[str, PriceNote]", prices)
    write_json(run.folder / "run.json", note)
    run.keep_constitution()


def _note(block: Block) -> StageNote:
    """What status, show and report need to know of a step."""
    if block.round:
        return StageNote(name=block.name, kind=block.kind, reads=block.reads, rounds=block.rounds, round=block.round)
    return StageNote(name=block.name, kind=block.kind, reads=block.reads)


async def _stages(run: Run, blocks: Sequence[Block]) -> None:
    rest = list(blocks)
    while rest:
        if rounds.not_run(run, rest[0]):
            del rest[0]
            continue
        group = _group(run, rest)
        del rest[: len(group)]
        if all(run.stage(block.name).seal for block in group):
            run.screen.say(", ".join(block.name for block in group) + ": done before")
            continue
        group = [block for block in group if not run.stage(block.name).seal]
        for block in group:
            run.stage(block.name).begin(run.settings(block.name))
        await _do(run, group)
        for block in group:
            if seal := run.stage(block.name).seal:
                run.screen.say(ledger_line(seal))


async def _do(run: Run, group: list[Block]) -> None:
    robustness.check(run)
    evaluation.check(run)  # before models start, and trainers, for what nobody could compare
    match group[0].table.shape:
        case "source":
            sources.SOURCES[group[0].kind](run, group[0])
        case "rows":
            await rows.rows(run, group)
        case "set":
            sets.whole_set(run, group[0])
        case "train":
            await training.training(run, group[0])
        case "rounds":
            await rounds.rounds(run, group[0])
        case "evaluate":
            await evaluation.evaluate(run, group[0])
        case "verify":
            await verification.verify(run, group[0])
        case "robustness":
            await robustness.robustness(run, group[0])
        case "benchmarks":
            await benchmarks.benchmarks(run, group[0])
        case _:
            report(run, group[0])


def report(run: Run, block: Block) -> None:
    from cai.report.page import write_report

    stage = run.stage(block.name)
    write_report(run.folder, stage.folder / "report.html", block.want.rows)
    stage.close(run.settings(block.name), Tally())


def _group(run: Run, rest: list[Block]) -> list[Block]:
    """The first block and the row stages after it that can stream from it."""
    group, servers = [rest[0]], _servers(run, rest[0])
    for block in rest[1:]:
        streams = group[-1].table.shape == block.table.shape == "rows" and block.reads == group[-1].name
        together = servers + [spec for spec in _servers(run, block) if not any(map(spec.same_server, servers))]
        if not streams or not run.streams or len(together) > 1:
            break
        group, servers = [*group, block], together
    return group


def _servers(run: Run, block: Block) -> list[ModelSpec]:
    return [spec for role in block.roles() if (spec := run.spec(role)).hosted]
