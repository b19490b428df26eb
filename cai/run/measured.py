"""What an evaluation measures beside its comparisons: how habits grew, how harmful answers are, how plain text is predicted.

``evaluate/harm-<role>/`` is a row stage like the answers', ``evaluate/plain-<role>.json`` what a process of its own wrote for a
role; both are done once, whatever kills the run.
"""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from cai.errors import RunError, UserError, install
from cai.flow.ask import Ask
from cai.flow.live import RowStage
from cai.judge.measures import growth
from cai.judge.plain_text import Passage, passages_of, plain_text, unmeasured
from cai.models import process
from cai.models.bundled import resolve
from cai.recipe.block import Block
from cai.run.context import Run
from cai.stages.evaluate import EvaluatedModel
from cai.stages.harm import harm, harm_figures
from cai.store.files import read_form, write_json
from cai.store.ledger import Tally
from cai.store.rows import Answers, Scored, Track
from cai.store.stage import Stage
from cai.train.launch.start import QUIET

TRACKS: tuple[Track, ...] = ("redteam", "helpful")
Pass = Callable[[Run, Block, RowStage, Stage], Awaitable[Tally]]
"""Takes a source through a row stage below an evaluation's folder, and seals that."""


async def measured(run: Run, block: Block, metrics: dict[str, EvaluatedModel], through: Pass) -> Tally:
    """Add to an evaluation's figures what no comparison gives; returns what that took."""
    first = block.want.baseline
    others = [role for role in block.want.models if role != first]
    for role in others:
        metrics[role]["growth"] = await asyncio.to_thread(_growth, run, block, first, role)
    tally = Tally()
    if block.want.harm:
        for role in block.want.models:
            tally.add(await _harm(run, block, role, through))
        for role in block.want.models:
            metrics[role]["harm"] = await asyncio.to_thread(_harm_by_track, run, block, first, role)
    if block.want.plain_text:
        await _plain_text(run, block, metrics)
    return tally


def _answers(run: Run, block: Block, role: str) -> list[Answers]:
    return list(Stage(run.folder / block.name / f"answers-{role}").all_rows(Answers))


def _growth(run: Run, block: Block, first: str, role: str) -> dict:
    """How the measures of a model's answers moved from the first model's: of all prompts, and by track."""
    before, after = _answers(run, block, first), _answers(run, block, role)
    by_track = {track: growth(before, [row for row in after if row.track == track]) for track in TRACKS}
    return {"all": growth(before, after), **{track: each for track, each in by_track.items() if each}}


async def _harm(run: Run, block: Block, role: str, through: Pass) -> Tally:
    folder, want = run.folder / block.name, block.want.harming()

    async def work(row: Answers, ask: Ask) -> list[Scored]:
        return [await harm(row, want, ask)]

    stage = Stage(folder / f"harm-{role}")
    work_stage = RowStage(f"{block.name}/harm", stage, Answers, work, (block.want.harm,))
    return await through(run, block, work_stage, Stage(folder / f"answers-{role}"))


def _harm_by_track(run: Run, block: Block, first: str, role: str) -> dict:
    rows, before = (list(Stage(run.folder / block.name / f"harm-{each}").all_rows(Scored)) for each in (role, first))
    before = [] if role == first else before
    tracks = {track: [row for row in rows if row.track == track] for track in TRACKS}
    return {"all": harm_figures(rows, before)} | {
        track: harm_figures(some, before) for track, some in tracks.items() if some
    }


async def _plain_text(run: Run, block: Block, metrics: dict[str, EvaluatedModel]) -> None:
    """The figures of plain text, the first model's first, from which the others' drift is."""
    if importlib.util.find_spec("torch") is None:
        raise UserError(f"{block.name}.plain_text needs torch and transformers; run: {install('train')}")
    passages = passages_of(Path(block.want.plain_text).read_text(encoding="utf-8"))
    first: list[Passage] | None = None
    for role in sorted(block.want.models, key=lambda each: each != block.want.baseline):
        if not run.spec(role).weights:
            metrics[role]["plain_text"] = unmeasured(
                "its weights are not here, and a server says nothing of plain text"
            )
            continue
        own = await _likelihoods(run, block, role, passages)
        metrics[role]["plain_text"] = plain_text(own, first)
        first = own if role == block.want.baseline else first


async def _likelihoods(run: Run, block: Block, role: str, passages: list[str]) -> list[Passage]:
    """What one model makes of the passages, in a process of its own; as it was written where that is done already.

    Raises:
        RunError: the process failed; its last error is in the message.
    """
    out = run.folder / block.name / f"plain-{role}.json"
    if not out.exists():
        if run.recipe.hardware.device != "CPU":
            await run.fleet.need([])  # the servers that are up hold the GPUs' memory
        run.screen.say(f"{block.name}: {role} reads plain text …")
        await _read(run, role, passages, out)
    rows = read_form(out, list[Passage])
    if rows is None or [row["bytes"] for row in rows] != [len(passage.encode()) for passage in passages]:
        raise RunError(f"{out} is not of this text; do it again with: --redo {block.name}")
    return rows


async def _read(run: Run, role: str, passages: list[str], out: Path) -> None:
    spec = run.spec(role)
    weights = await asyncio.to_thread(resolve, spec.weights)
    own = {"role": role, "local": weights, "dtype": spec.dtype, "lora": spec.lora}
    job, log = out.with_suffix(".job"), run.folder / "logs" / f"{out.stem}.log"
    write_json(job, {"spec": own, "passages": passages})
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "cai.models.likelihood", str(job), str(out)]
    child = process.start(command, log, QUIET)
    try:
        while child.poll() is None:
            await asyncio.sleep(0.2)
    finally:
        await asyncio.shield(asyncio.to_thread(process.stop, child))
    job.unlink(missing_ok=True)
    if child.returncode != 0:
        raise RunError(f"{role} could not read plain text: {process.cause(log)}; the whole log is {log}")
