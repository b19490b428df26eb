"""How row stages are done: their rows go through models, here or over a cluster, and their parts are sealed."""

from cai.cluster import handout
from cai.errors import RunError
from cai.flow.ask import Ask
from cai.flow.flow import flow
from cai.flow.live import Job, Observer, RowStage
from cai.flow.rehearsal import of_each_track, rehearse
from cai.recipe.block import Block
from cai.run.context import Run
from cai.run.sources import answerable
from cai.store.batches import BATCHES, BatchFolder
from cai.store.ledger import Fingerprint
from cai.store.part import sort_drops
from cai.store.rows import Drop
from cai.store.stage import Stage
from constitution.model import Constitution
from constitution.wording import count


async def rows(run: Run, group: list[Block]) -> None:
    """Take rows through row stages, and seal those; raises where no row would be worked on, before a model starts."""
    if not run.stage(group[0].reads).tally().rows_out:
        raise RunError(f"{group[0].name} has no row to work on, as {group[0].reads} gave none; give that more to read")
    answerable(run, group[0])
    await run_rows(run, [_work(run, block) for block in group], run.stage(group[0].reads))
    for block in group:
        seal_rows(run, run.stage(block.name), run.settings(block.name), run.stage(block.reads))


def _work(run: Run, block: Block) -> RowStage:
    table, want = block.table, block.want
    assert table.work is not None and table.takes is not None

    async def do(row: object, ask: Ask) -> list[object] | Drop:
        out = await table.work(row, want, ask)  # pyright: ignore[reportOptionalCall]
        return out if isinstance(out, list | Drop) else [out]

    return RowStage(block.name, run.stage(block.name), table.takes, do, tuple(block.roles()), block.draws)


async def run_rows(run: Run, works: list[RowStage], source: Stage, constitution: Constitution | None = None) -> None:
    """Take the source's rows through row stages, here or over a cluster, with a bar for each.

    Args:
        constitution: the run's unless given.
    """
    roles = list(dict.fromkeys(role for work in works for role in work.roles))
    specs, first = {role: run.spec(role) for role in roles}, of_each_track(works[0], source)
    task = Job(works, specs, constitution or run.constitution, run.recipe.seed, first)
    for work in works:
        for role in (role for role in work.roles if not task.specs[role].batch):
            BatchFolder(work.folder.folder / BATCHES / role).refuse(role)
    total = sum(map(source.count, source.parts()))
    if run.cluster:
        async with run.screen.live():
            bars = {work.name: run.screen.bar(work.name, total, work.folder.count_done()) for work in works}
            for bar in bars.values():
                bar.spent = run.purse.words
            await handout.through(run.cluster, task, source, bars, run.purse)
        return
    steps = task.live(await run.fleet.roles(task.specs), run.purse)
    await rehearse(steps, task.rehearsed)
    async with run.screen.live():
        bars = {work.name: run.screen.bar(work.name, total, work.folder.count_done()) for work in works}
        for step in steps:
            bars[step.name].slots, bars[step.name].spent = step.slots, run.purse.words
            step.observer = Observer(
                on_reply=lambda name, tokens: bars[name].reply(tokens),
                on_row=lambda name, tokens, reason: bars[name].advance(reason=reason),
            )
        await flow(steps, source, 2 * max(step.slots.most for step in steps))


def seal_rows(run: Run, stage: Stage, settings: Fingerprint, source: Stage, may_be_empty: bool = False) -> None:
    """Seal a row stage from the ledgers of its parts.

    Args:
        may_be_empty: whether nothing is built on it that needs a row.

    Raises:
        RunError: it kept no row, so that what follows would work on nothing; or it has not had every row of its source.
    """
    tally = stage.tally()
    if tally.rows_in != (size := source.tally().rows_out):
        redo = stage.name if stage.name == settings.stage else settings.stage.rpartition("/")[0]
        raise RunError(
            f"{stage.folder} has a ledger of {count(tally.rows_in, 'row')}, and {source.folder} has {size}; do it again with: "
            f"--redo {redo}"
        )
    # Only drops need an order, so only their ids are looked up, in the parts that have some.
    left_out = {drop["in"]: drop["part"] for drop in stage.drops()}
    parts = sorted(set(left_out.values()))
    places = ((place, row["id"]) for number in parts for place, row in enumerate(source.rows(dict, number)))
    sort_drops(stage, {row_id: place for place, row_id in places if row_id in left_out})
    if tally.rows_in and not tally.rows_out and not may_be_empty:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common())
        raise RunError(
            f"{stage.name} kept none of {count(tally.rows_in, 'row')} ({reasons}); see {stage.folder / 'drops.jsonl'}"
        )
    stage.close(settings, tally, **run.purse.bill(stage.name))
