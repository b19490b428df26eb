"""How the ``verify`` stage is done: each model is put to the clear cases, and a judge compares its answers with the known ones.

``verify/cases/`` holds the cases, ``sittings-<role>/`` what each model says of them, ``judged-<role>/`` the same with the judge's
word, where one is named: row stages like any other, so that an exam which is killed goes on where it was.
"""

from collections import Counter
from dataclasses import replace

from cai.errors import RunError
from cai.flow.ask import Ask
from cai.flow.live import RowStage
from cai.judge import cases as clear_cases
from cai.judge.cases import Case
from cai.judge.separation import separation
from cai.judge.verification import Sitting, figures, judge, sit
from cai.recipe.block import Block
from cai.report import verification as verification_report
from cai.report.format import counts_text
from cai.run import rows
from cai.run.context import Run
from cai.stages.verify import VerifiedModel, Verify
from cai.store.files import write_json
from cai.store.ledger import Tally
from cai.store.rows import Drop, Preference
from cai.store.stage import Stage

PART_SIZE = 500


async def verify(run: Run, block: Block) -> None:
    """Choose cases, ask, judge, count, seal."""
    stage, want = run.stage(block.name), block.want
    cases, drops = _cases(run, block)
    usage = Tally()
    for role in _order(run, want):
        usage.add(await _sittings(run, block, role, cases))
    for role in want.models if want.judge else ():
        usage.add(await _judged(run, block, role))
    folder = "judged" if want.judge else "sittings"
    sittings = {role: list(Stage(stage.folder / f"{folder}-{role}").all_rows(Sitting)) for role in want.models}
    metrics = {role: _figures(role, sittings) for role in want.models}
    write_json(stage.folder / "metrics.json", metrics)
    _seal(run, block, cases, drops, usage)
    run.screen.console.print(verification_report.summary(metrics))


def _cases(run: Run, block: Block) -> tuple[Stage, list[Drop]]:
    """The cases, the constitution's examples first, and the pairs that are none.

    Raises:
        RunError: there is no case.
    """
    want, stage = block.want, Stage(run.folder / block.name / "cases")
    pairs = run.stage(block.reads).all_rows(Preference) if block.reads else ()
    clear, drops = clear_cases.clear(pairs, want.clarity, want.cases)
    cases = [*(clear_cases.examples(run.constitution) if want.examples else []), *clear]
    if not cases:
        why = counts_text(dict(Counter(drop.reason for drop in drops)))
        hint = (
            f"no pair of {block.reads} is clear ({why}); lower margin or voices" if block.reads else "add `from: label`"
        )
        raise RunError(f"{block.name} has no case to ask: {run.constitution.name} gives no example, and {hint}")
    stage.write_parts(cases, PART_SIZE)
    return stage, drops


def _order(run: Run, want: Verify) -> list[str]:
    """The judge's own model last, so that its server is up already when the judging begins."""
    if not want.judge:
        return list(want.models)
    judging = run.spec(want.judge)
    return sorted(want.models, key=lambda role: run.spec(role).same_server(judging))


async def _sittings(run: Run, block: Block, role: str, cases: Stage) -> Tally:
    exam = block.want.exam

    async def work(row: Case, ask: Ask) -> list[Sitting]:
        return [await sit(row, exam, ask)]

    stage = Stage(run.folder / block.name / f"sittings-{role}")
    return await _pass(run, block, RowStage(f"{block.name}/sittings", stage, Case, work, (role,)), cases)


async def _judged(run: Run, block: Block, role: str) -> Tally:
    want, folder = block.want, run.folder / block.name

    async def work(row: Sitting, ask: Ask) -> list[Sitting]:
        return [await judge(row, want.exam, ask)]

    stage = RowStage(f"{block.name}/judged", Stage(folder / f"judged-{role}"), Sitting, work, (want.judge,))
    return await _pass(run, block, stage, Stage(folder / f"sittings-{role}"))


async def _pass(run: Run, block: Block, work: RowStage, source: Stage) -> Tally:
    """One row stage under the stage's folder, sealed on its own."""
    stage = work.folder
    settings = replace(run.settings(block.name), stage=f"{block.name}/{stage.name}")
    if stage.seal is None:
        stage.begin(settings)
        await rows.run_rows(run, [work], source)
        rows.seal_rows(run, stage, settings, source)
    return stage.tally()


def _figures(role: str, sittings: dict[str, list[Sitting]]) -> VerifiedModel:
    """A model's figures; of one that is not the first, beside the others."""
    found: VerifiedModel = {**figures(sittings[role])}
    if role != next(iter(sittings)):
        found["separation"] = separation(
            sittings[role], {name: rows for name, rows in sittings.items() if name != role}
        )
    return found


def _seal(run: Run, block: Block, cases: Stage, drops: list[Drop], usage: Tally) -> None:
    """The ledger counts examples and pairs: kept are the cases."""
    stage, kept = run.stage(block.name), cases.tally().rows_out
    stage.write_drops(drops)
    tally = Tally(kept + len(drops), kept, 0, Counter(drop.reason for drop in drops))
    tally.tokens_in, tally.tokens_cached, tally.tokens_out = usage.tokens_in, usage.tokens_cached, usage.tokens_out
    tally.seconds, tally.counts = usage.seconds, usage.counts
    stage.close(run.settings(block.name), tally, **run.purse.bill(block.name))
