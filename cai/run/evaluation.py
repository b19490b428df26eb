"""How the ``evaluate`` stage is done: answers of each model, then comparisons, each in a folder of its own.

``evaluate/answers-<role>/`` and ``evaluate/votes-<role>/`` are row stages like any other, with parts and seals, so an
evaluation that is killed goes on where it was. ``metrics.json`` and ``judge.json`` hold the figures.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from cai.data.prompts import HELDOUT
from cai.errors import RunError
from cai.flow.ask import Ask
from cai.flow.live import RowStage
from cai.recipe.block import Block
from cai.report import habits
from cai.run import rows, standings
from cai.run.context import Run
from cai.run.measured import measured
from cai.stages import pairs as pair_files
from cai.stages.evaluate import HUB, Evaluate, Match, answer, half, pairs
from cai.stages.label import label
from cai.store.files import write_json
from cai.store.ledger import Fingerprint, Tally
from cai.store.rows import Answers, Drop, Pair, Preference, Prompt
from cai.store.stage import Stage

PART_SIZE = 500


async def evaluate(run: Run, block: Block) -> None:
    """Answer, compare, count, seal."""
    stage, want = run.stage(block.name), block.want
    heldout = Stage(run.folder / block.reads / HELDOUT)
    prompts = _prompts(stage, heldout, run.half(block), want.limit)
    tally = Tally()
    for role in _order(run, want):
        tally.add(await _answers(run, block, role, prompts))
    if want.sits_exam:
        tally.add(await _exam(run, block))
    for match in want.matches:
        tally.add(await _votes(run, block, match))
    metrics, judges = await asyncio.to_thread(lambda: (standings.metrics(run, block), standings.judges(run, block)))
    tally.add(await measured(run, block, metrics, _pass))
    write_json(stage.folder / "metrics.json", metrics)
    if want.matches:
        write_json(stage.folder / "judge.json", judges)
    _seal(run, block, prompts, tally, [*standings.notes(want, metrics, judges), *habits.notes(metrics)])


def check(run: Run) -> None:
    """Make sure that there is something to compare on, as soon as that can be known.

    Raises:
        RunError: an evaluation's prompts stage has set none aside.
    """
    for block in run.recipe.blocks:
        if block.kind != "evaluate" or not (prompts := run.stage(block.reads)).seal:
            continue
        count = Stage(prompts.folder / HELDOUT).tally().rows_out
        if not count or (count == 1 and run.half(block) == "report"):
            raise RunError(
                f"{block.name} compares on held-out prompts{', of which rounds take every other one' if count else ''}, and "
                f"{block.reads} has set {count or 'none'} of {prompts.tally().rows_out} aside; give it more prompts or a larger "
                f"share under heldout, and run with: --redo {block.reads}"
            )


def _order(run: Run, want: Evaluate) -> list[str]:
    """A judge's own model last, so that its server is up already when the judging begins."""
    judges = [run.spec(role) for role in want.judges]
    return sorted(want.models, key=lambda role: any(map(run.spec(role).same_server, judges)))


def _prompts(stage: Stage, heldout: Stage, part: str, limit: int | None) -> Stage:
    """The held-out prompts to compare on."""
    all_rows = heldout.all_rows(Prompt)
    if part in ("", "all") and limit is None:
        return heldout
    some = Stage(stage.folder / "prompts")
    some.write_parts(islice(all_rows if part in ("", "all") else half(all_rows, part), limit), PART_SIZE)
    return some


async def _answers(run: Run, block: Block, role: str, prompts: Stage) -> Tally:
    stage = Stage(run.folder / block.name / f"answers-{role}")
    want = block.want

    async def work(row: Prompt, ask: Ask) -> list[Answers]:
        return [await answer(row, want, ask)]

    return await _pass(run, block, RowStage(_draw_name(stage, block), stage, Prompt, work, (role,)), prompts)


async def _votes(run: Run, block: Block, match: Match) -> Tally:
    folder = run.folder / block.name
    both = (Stage(folder / f"answers-{role}").all_rows(Answers) for role in (match.first, match.second))
    return await _judged(run, block, (f"pairs-{match.name}", f"votes-{match.name}"), pairs(*both))


async def _exam(run: Run, block: Block) -> Tally:
    """The judges on pairs that people compared, asked as of the models' answers."""
    name, limit = block.want.exam, block.want.exam_limit
    place = {"hub": name.removeprefix(HUB)} if name.startswith(HUB) else {"path": name}
    compared = pair_files.read(pair_files.Pairs(**place, limit=limit))
    return await _judged(run, block, standings.EXAM, compared)


async def _judged(run: Run, block: Block, names: Sequence[str], both: Iterable[Pair | Drop]) -> Tally:
    """Pairs and their votes, in two folders of these names."""
    want, (source, stage) = block.want, (Stage(run.folder / block.name / name) for name in names)
    all_pairs = list(both)
    source.write_parts((each for each in all_pairs if isinstance(each, Pair)), PART_SIZE)
    source.write_drops(each for each in all_pairs if isinstance(each, Drop))

    async def work(row: Pair, ask: Ask) -> list[Preference] | Drop:
        return await label(row, want.label(), ask, want.principles)

    return await _pass(run, block, RowStage(_draw_name(stage, block), stage, Pair, work, want.judges), source)


def _draw_name(stage: Stage, block: Block) -> str:
    """Answers share the random draws of their row across models: they differ by model, not by luck."""
    return f"{block.name}/{stage.name.partition('-')[0]}"


async def _pass(run: Run, block: Block, work: RowStage, source: Stage) -> Tally:
    """One row stage under the evaluation's folder, sealed on its own."""
    stage = work.folder
    settings: Fingerprint = replace(run.settings(block.name), stage=f"{block.name}/{stage.name}")
    if stage.seal is None:
        stage.begin(settings)
        await rows.run_rows(run, [work], source, run.constitution_of(block))
        rows.seal_rows(run, stage, settings, source)
    return stage.tally()


def _seal(run: Run, block: Block, prompts: Stage, usage: Tally, notes: list[str]) -> None:
    """The ledger counts prompts: kept are those that every model answered."""
    stage = run.stage(block.name)
    ids = [row.id for row in prompts.all_rows(Prompt)]
    drops: dict[str, Drop] = {}
    for role in block.want.models:
        for drop in Stage(stage.folder / f"answers-{role}").drops():
            drops.setdefault(drop["in"], Drop(drop["in"], drop["reason"], f"by {role}: {drop['detail']}"))
    stage.write_drops(drops.values())
    tally = Tally(len(ids), len(ids) - len(drops), 0, Counter(drop.reason for drop in drops.values()))
    tally.tokens_in, tally.tokens_cached, tally.tokens_out = usage.tokens_in, usage.tokens_cached, usage.tokens_out
    tally.seconds, tally.counts = usage.seconds, usage.counts
    more = {"notes": notes} if notes else {}
    stage.close(run.settings(block.name), tally, **more, **run.purse.bill(block.name))
