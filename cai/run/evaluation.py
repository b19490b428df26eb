"""How the ``evaluate`` stage is done: answers of each model, then comparisons, each in a folder of its own.

``evaluate/answers-<role>/`` and ``evaluate/votes-<role>/`` are row stages like any other, with parts and seals, so an
evaluation that is killed goes on where it was. ``metrics.json`` holds the figures.
"""

from collections import Counter
from dataclasses import replace
from itertools import islice

from cai.data.prompts import HELDOUT
from cai.errors import RunError
from cai.flow.ask import Ask
from cai.flow.live import RowStage
from cai.recipe.block import Block
from cai.run import rows
from cai.run.context import Run
from cai.run.measured import measured
from cai.stages.evaluate import Evaluate, EvaluatedModel, JudgedWins, answer, compare, describe, half, pairs
from cai.stages.label import label
from cai.store.files import write_json
from cai.store.ledger import Fingerprint, Tally
from cai.store.rows import Answers, Drop, Pair, Preference, Prompt, Track
from cai.store.stage import Stage

PART_SIZE = 500
TRACKS: tuple[Track, ...] = ("redteam", "helpful")


async def evaluate(run: Run, block: Block) -> None:
    """Answer, compare, count, seal."""
    stage, want = run.stage(block.name), block.want
    heldout = Stage(run.folder / block.reads / HELDOUT)
    prompts = _prompts(stage, heldout, run.half(block), want.limit)
    tally = Tally()
    for role in _order(run, want):
        tally.add(await _answers(run, block, role, prompts))
    metrics: dict[str, EvaluatedModel] = {role: _figures(stage, role) for role in want.models}
    for role in want.models[1:]:
        tally.add(await _votes(run, block, role))
        metrics[role]["against"] = want.models[0]
        metrics[role]["compared"] = _by_track(stage, role)
    tally.add(await measured(run, block, metrics, _pass))
    write_json(stage.folder / "metrics.json", metrics)
    _seal(run, block, prompts, tally)


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
    """The judge's own model last, so that its server is up already when the judging begins."""
    judge = run.spec(want.judge)
    return sorted(want.models, key=lambda role: run.spec(role).same_server(judge))


def _prompts(stage: Stage, heldout: Stage, part: str, limit: int | None) -> Stage:
    """The held-out prompts to compare on."""
    rows = heldout.all_rows(Prompt)
    if part in ("", "all") and limit is None:
        return heldout
    some = Stage(stage.folder / "prompts")
    some.write_parts(islice(rows if part in ("", "all") else half(rows, part), limit), PART_SIZE)
    return some


async def _answers(run: Run, block: Block, role: str, prompts: Stage) -> Tally:
    stage = Stage(run.folder / block.name / f"answers-{role}")
    want = block.want

    async def work(row: Prompt, ask: Ask) -> list[Answers]:
        return [await answer(row, want, ask)]

    return await _pass(run, block, RowStage(_draw_name(stage, block), stage, Prompt, work, (role,)), prompts)


async def _votes(run: Run, block: Block, role: str) -> Tally:
    folder, want = run.folder / block.name, block.want
    source = Stage(folder / f"pairs-{role}")
    both = list(pairs(*(Stage(folder / f"answers-{each}").all_rows(Answers) for each in (want.models[0], role))))
    source.write_parts((each for each in both if isinstance(each, Pair)), PART_SIZE)
    source.write_drops(each for each in both if isinstance(each, Drop))

    async def work(row: Pair, ask: Ask) -> list[Preference] | Drop:
        return await label(row, want.label(), ask)

    stage = Stage(folder / f"votes-{role}")
    return await _pass(run, block, RowStage(_draw_name(stage, block), stage, Pair, work, (want.judge,)), source)


def _draw_name(stage: Stage, block: Block) -> str:
    """Answers share the random draws of their row across models: they differ by model, not by luck."""
    return f"{block.name}/{stage.name.partition('-')[0]}"


async def _pass(run: Run, block: Block, work: RowStage, source: Stage) -> Tally:
    """One row stage under the evaluation's folder, sealed on its own."""
    stage = work.folder
    settings: Fingerprint = replace(run.settings(block.name), stage=f"{block.name}/{stage.name}")
    if stage.seal is None:
        stage.begin(settings)
        await rows.run_rows(run, [work], source)
        rows.seal_rows(run, stage, settings, source)
    return stage.tally()


def _figures(stage: Stage, role: str) -> EvaluatedModel:
    rows = list(Stage(stage.folder / f"answers-{role}").all_rows(Answers))
    figures: EvaluatedModel = {"all": describe(rows)}
    for track in TRACKS:
        if some := [row for row in rows if row.track == track]:
            figures[track] = describe(some)
    return figures


def _by_track(stage: Stage, role: str) -> dict[str, JudgedWins]:
    """How a role's answers did over the first model's: all, and by track."""
    votes = list(Stage(stage.folder / f"votes-{role}").all_rows(Preference))
    tracks = {row.id: row.track for row in Stage(stage.folder / f"answers-{role}").all_rows(Answers)}
    drops = [(tracks[drop["in"]], drop["reason"]) for drop in Stage(stage.folder / f"pairs-{role}").drops()]
    wins = {"all": compare(votes, (reason for _, reason in drops))}
    for track in TRACKS:
        some, left_out = [row for row in votes if row.pair.track == track], [why for of, why in drops if of == track]
        wins |= {track: compare(some, left_out)} if some or left_out else {}
    return wins


def _seal(run: Run, block: Block, prompts: Stage, usage: Tally) -> None:
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
    stage.close(run.settings(block.name), tally, **run.purse.bill(block.name))
