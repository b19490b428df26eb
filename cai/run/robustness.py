"""How the ``robustness`` stage is done: each model answers the held-out prompts, plain and in every variation.

``robustness/answers-<role>-<variation>/`` are row stages like any other, with parts and seals, so that a run which is killed
goes on where it was; translated prompts are in ``translated-<language>/``, answers in English once more in ``back-…/``.
``metrics.json`` holds the figures: role → variation → shares and how far they moved.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from cai.data.answer_kind import Kind, answer_kind, is_english
from cai.data.prompts import HELDOUT
from cai.data.translations import Translations
from cai.data.variations import PLAIN, TRANSLATION
from cai.errors import RunError
from cai.flow.ask import Ask
from cai.flow.live import RowStage
from cai.recipe.block import Block
from cai.report import robustness as robustness_report
from cai.run import rows
from cai.run.context import Run
from cai.stages.evaluate import half
from cai.stages.robustness import (
    NOT_ENGLISH,
    Reading,
    Robustness,
    VariationFigures,
    answer,
    back,
    examples,
    figures,
    translation,
)
from cai.store.files import write_json
from cai.store.ledger import Fingerprint, Tally
from cai.store.rows import Answers, Drop, Prompt
from cai.store.stage import Stage

PART_SIZE = 500


def check(run: Run) -> None:
    """Make sure that there is something to ask, as soon as that can be known.

    Raises:
        RunError: the stage's prompts have set none aside, or the constitution has no exchange to show.
    """
    for block in run.recipe.blocks:
        if block.kind == "robustness" and block.want.by_constitution and not examples(run.constitution):
            raise RunError(
                f"{block.name} shows the examples of the constitution before prompts, and {run.constitution.name} has none; "
                f"give it some, or set: {block.name}.exchanges=harmless"
            )
        if block.kind != "robustness" or not (prompts := run.stage(block.reads)).seal:
            continue
        if not Stage(prompts.folder / HELDOUT).tally().rows_out:
            raise RunError(
                f"{block.name} asks held-out prompts, and {block.reads} has set none of {prompts.tally().rows_out} aside; give it "
                f"more prompts or a larger share under heldout, and run with: --redo {block.reads}"
            )


async def robustness(run: Run, block: Block) -> None:
    """Translate, answer, translate back, count, seal."""
    stage, want = run.stage(block.name), block.want
    prompts, usage = _prompts(run, block), Tally()
    sources = dict.fromkeys(want.names, prompts)
    for language in want.tongues:
        name = f"{TRANSLATION}-{language}"
        sources[name] = await _translated(run, block, language, prompts, usage)
    for role in _order(run, want):
        for name in want.names:
            usage.add(await _answers(run, block, (role, name), sources[name]))
    for role, language in _tongues(want):
        usage.add(await _back(run, block, f"{role}-{TRANSLATION}-{language}"))
    metrics = {role: await asyncio.to_thread(_figures, stage, role, want, prompts) for role in want.models}
    write_json(stage.folder / "metrics.json", metrics)
    _seal(run, block, prompts, usage)
    run.screen.console.print(robustness_report.table(metrics))


def _order(run: Run, want: Robustness) -> list[str]:
    """The translator's own model last, as it is asked once more in the end."""
    if not want.translator:
        return list(want.models)
    translator = run.spec(want.translator)
    return sorted(want.models, key=lambda role: run.spec(role).same_server(translator))


def _tongues(want: Robustness) -> Iterator[tuple[str, str]]:
    """The roles and languages whose answers are translated back."""
    return ((role, each) for role in want.models for each in (want.tongues if want.translator else ()))


def _prompts(run: Run, block: Block) -> Stage:
    """The held-out prompts to ask."""
    heldout, part, limit = Stage(run.folder / block.reads / HELDOUT), run.half(block), block.want.limit
    if part in ("", "all") and limit is None:
        return heldout
    held_out, some = heldout.all_rows(Prompt), Stage(run.folder / block.name / "prompts")
    some.write_parts(islice(held_out if part in ("", "all") else half(held_out, part), limit), PART_SIZE)
    return some


async def _translated(run: Run, block: Block, language: str, prompts: Stage, usage: Tally) -> Stage:
    """The prompts in another language, by the translator or as the file of translations has them."""
    want, stage = block.want, Stage(run.folder / block.name / f"translated-{language}")
    if want.translations:
        file = Translations.read(want.translations, language)
        both = [file.of(row) for row in prompts.all_rows(Prompt)]
        stage.write_parts((each for each in both if isinstance(each, Prompt)), PART_SIZE)
        stage.write_drops(drops := [each for each in both if isinstance(each, Drop)])
        usage.dropped.update(drop.reason for drop in drops)
        return stage

    async def work(row: Prompt, ask: Ask) -> list[Prompt] | Drop:
        out = await translation(row, language, want, ask)
        return out if isinstance(out, Drop) else [out]

    name = f"{block.name}/translated-{language}"
    usage.add(await _pass(run, block, RowStage(name, stage, Prompt, work, (want.translator,)), prompts))
    return stage


async def _answers(run: Run, block: Block, place: tuple[str, str], source: Stage) -> Tally:
    """A role's answers in one variation; what rows draw is the same for every role."""
    (role, variation), want = place, block.want

    async def work(row: Prompt, ask: Ask) -> list[Answers] | Drop:
        out = await answer(row, variation, want, ask)
        return out if isinstance(out, Drop) else [out]

    stage = Stage(run.folder / block.name / f"answers-{role}-{variation}")
    return await _pass(run, block, RowStage(f"{block.name}/{variation}", stage, Prompt, work, (role,)), source)


async def _back(run: Run, block: Block, place: str) -> Tally:
    """Answers in English."""
    want, folder = block.want, run.folder / block.name

    async def work(row: Answers, ask: Ask) -> list[Answers] | Drop:
        out = await back(row, want, ask)
        return out if isinstance(out, Drop) else [out]

    stage = RowStage(f"{block.name}/back", Stage(folder / f"back-{place}"), Answers, work, (want.translator,))
    return await _pass(run, block, stage, Stage(folder / f"answers-{place}"))


async def _pass(run: Run, block: Block, work: RowStage, source: Stage) -> Tally:
    """One row stage under the stage's folder, sealed on its own; it may keep no row, which is counted."""
    stage = work.folder
    settings: Fingerprint = replace(run.settings(block.name), stage=f"{block.name}/{stage.name}")
    if stage.seal is None:
        stage.begin(settings)
        if source.tally().rows_out:
            await rows.run_rows(run, [work], source)
        rows.seal_rows(run, stage, settings, source, may_be_empty=True)
    return stage.tally()


def _figures(stage: Stage, role: str, want: Robustness, prompts: Stage) -> dict[str, VariationFigures]:
    asked = list(prompts.all_rows(Prompt))
    readings = {name: _reading(stage, role, name, want) for name in want.names}
    return {name: figures(readings[PLAIN], reading, asked) for name, reading in readings.items()}


def _reading(stage: Stage, role: str, variation: str, want: Robustness) -> Reading:
    """What a role's answers in one variation do, as far as they can be read."""
    language, names = variation.partition(f"{TRANSLATION}-")[2], [f"answers-{role}-{variation}"]
    if language:
        backs = [f"back-{role}-{variation}"] if want.translator else []
        names = [*backs, *names, f"translated-{language}"]
    stages = [Stage(stage.folder / name) for name in names]
    left_out = Counter(drop["reason"] for each in stages for drop in each.drops())
    foreign = bool(language) and not want.translator
    kinds: dict[str, Kind] = {}
    for row in stages[0].all_rows(Answers):
        if foreign and row.draft.text and not is_english(row.draft.text):
            left_out[NOT_ENGLISH] += 1
        else:
            kinds[row.id] = answer_kind(row.draft.text)
    return Reading(kinds, left_out)


def _seal(run: Run, block: Block, prompts: Stage, usage: Tally) -> None:
    """The ledger counts prompts: kept are those that every model answered plainly; what else could not be done is counted."""
    stage = run.stage(block.name)
    ids = [row.id for row in prompts.all_rows(Prompt)]
    drops: dict[str, Drop] = {}
    for role in block.want.models:
        for drop in Stage(stage.folder / f"answers-{role}-{PLAIN}").drops():
            drops.setdefault(drop["in"], Drop(drop["in"], drop["reason"], f"by {role}: {drop['detail']}"))
    stage.write_drops(drops.values())
    tally = Tally(len(ids), len(ids) - len(drops), 0, Counter(drop.reason for drop in drops.values()))
    tally.tokens_in, tally.tokens_cached, tally.tokens_out = usage.tokens_in, usage.tokens_cached, usage.tokens_out
    tally.seconds, tally.counts = usage.seconds, usage.counts + usage.dropped
    stage.close(run.settings(block.name), tally, **run.purse.bill(block.name))
