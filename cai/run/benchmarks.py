"""How the ``benchmarks`` stage is done: each model at each task, a program of others that asks the models that are up.

``benchmarks/<role>/<task>/`` holds the program's own log and, once it is done, ``figures.json``; what has one is not done again.
All figures together are ``metrics.json``.
"""

import asyncio
import importlib.metadata
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

from cai.data import harnesses
from cai.data.harnesses import INSPECT, LM_EVAL
from cai.errors import RunError
from cai.flow.ask import Ask, Up
from cai.flow.gateway import Gateway, serve
from cai.flow.screen import Bar
from cai.models import process
from cai.models.prices import SINGLY
from cai.recipe.block import Block
from cai.run.context import Run
from cai.run.harness_failures import failure
from cai.run.harnesses import Attempt, Reading, grader, inspect_figures, lm_eval_figures, newest
from cai.stages.benchmarks import BenchmarkFigures, Benchmarks, BenchmarkTable
from cai.store.files import read_form, read_json, write_json
from cai.store.ledger import Tally
from constitution.wording import count

FIGURES = "figures.json"
LOOK_SECONDS = 0.2
MOST_REQUESTS = 256
"""That a program has in flight at once: how many are asked at once is decided here, behind its server."""


async def benchmarks(run: Run, block: Block) -> None:
    """Every model at every task, then the figures together, and the seal."""
    stage, want = run.stage(block.name), block.want
    if run.cluster:
        await run.cluster.release()  # models are up here, where the programs run
    table: BenchmarkTable = {}
    for role in _order(run, want):
        attempts = [_attempt(run, block, role, number) for number in range(len(want.tasks))]
        left = [each for each in attempts if not (each.folder / FIGURES).exists()]
        if left:
            async with _served(run, block, role, len(attempts)) as (gateway, bar):
                bar.at(len(attempts) - len(left))
                for each in left:
                    await _one(run, each, gateway, bar)
        table[role] = {each.task.label: figures_of(each.folder) for each in attempts}
    write_json(stage.folder / "metrics.json", {role: table[role] for role in want.models})
    _seal(run, block, table)


def _order(run: Run, want: Benchmarks) -> list[str]:
    """A model that a server of the run's own holds already first, so that none is started twice."""
    up = [entry.spec for entry in run.fleet.up]
    return sorted(want.models, key=lambda role: not any(run.spec(role).same_server(spec) for spec in up))


def _attempt(run: Run, block: Block, role: str, number: int) -> Attempt:
    task = block.want.tasks[number]
    folder = (run.folder / block.name / role / task.label).resolve()
    return Attempt(role, task, block.want, folder, run.recipe.seed + block.number)


@asynccontextmanager
async def _served(run: Run, block: Block, role: str, total: int) -> AsyncIterator[tuple[Gateway, Bar]]:
    """A model and the judge, up and reached through a gateway, and the bar that shows what is asked of them."""
    want: Benchmarks = block.want
    roles = dict.fromkeys(each for each in (role, want.judge) if each)
    up = await run.fleet.roles({each: run.spec(each) for each in roles})
    ways = {each: _way(run, block, each, up[each]) for each in up}
    asks = {role: ways[role]} | ({grader(want.judge): ways[want.judge]} if want.judge else {})
    async with run.screen.live(), serve(Gateway(asks, want.max_tokens)) as gateway:
        bar = run.screen.bar(f"{block.name} {role}", total, 0, unit="tasks")
        bar.slots, bar.spent, gateway.on_reply = up[role][1], run.purse.words, bar.reply
        yield gateway, bar


def _way(run: Run, block: Block, role: str, up: Up) -> Ask:
    """The way to a role's model, which is asked singly also where rows are asked in batches."""
    paid_as = f"{role}{SINGLY}" if run.spec(role).batch else role
    rng = Random(run.recipe.seed)
    return Ask(*up, run.constitution, "", rng, stage=block.name, role=paid_as, purse=run.purse)


async def _one(run: Run, attempt: Attempt, gateway: Gateway, bar: Bar) -> None:
    """A model at a task: what a start that was stopped left of it is set aside by being done again.

    Raises:
        RunError: it failed; why, in a sentence.
    """
    shutil.rmtree(attempt.folder, ignore_errors=True)
    attempt.folder.mkdir(parents=True)
    attempt.lay_out()
    gateway.tokens, began = [0, 0, 0], time.monotonic()
    gateway.refused, gateway.asked = Counter(), Counter()
    log = run.folder / "logs" / f"{attempt.folder.parents[1].name}-{attempt.role}-{attempt.task.label}.log"
    log.unlink(missing_ok=True)
    run.screen.say(f"{attempt.role}: {attempt.task.title} … (see {log})")
    await _program(attempt, gateway, log)
    try:
        reading, file = await _reading(attempt)
    except RunError as error:
        raise RunError(failure(attempt, log, str(error))) from None
    figures = _figures(run, attempt, reading, gateway)
    figures["log"] = str(file.relative_to(attempt.folder.parents[1]))
    figures["seconds"] = round(time.monotonic() - began, 3)
    write_json(attempt.folder / FIGURES, figures)
    words = filter(None, [headline(figures), count(reading["samples"], "sample"), _refused(gateway)])
    run.screen.say(f"{attempt.role}, {attempt.task.title}: {', '.join(words)}")
    bar.advance()


async def _program(attempt: Attempt, gateway: Gateway, log: Path) -> None:
    """Run the program to its end; it ends with the run, whatever ends that.

    Raises:
        RunError: no request would be answered any more, or it failed.
    """
    requests = min(gateway.asks[attempt.role].slots.most, MOST_REQUESTS)
    child = process.start(attempt.line(gateway, requests), log, attempt.environment(gateway), attempt.data)
    try:
        while child.poll() is None and gateway.error is None:
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await asyncio.shield(asyncio.to_thread(process.stop, child))
    if gateway.error is not None:
        raise gateway.error
    if child.returncode or (gateway.refused and not gateway.asked):
        raise RunError(failure(attempt, log, _refused(gateway)))


def _refused(gateway: Gateway) -> str:
    """How many requests were not answered, and why; empty where all were."""
    whole = gateway.refused.total() + gateway.asked.total()
    reasons = ", ".join(f"{reason} {number}" for reason, number in gateway.refused.most_common())
    return f"{gateway.refused.total()} of its {count(whole, 'request')} were refused ({reasons})" if reasons else ""


async def _reading(attempt: Attempt) -> tuple[Reading, Path]:
    """What the program's log says, and where it is; raises RunError."""
    if attempt.by_lm_eval:
        file = newest([*attempt.folder.rglob("results_*.json")])
        with _readable(file):
            return lm_eval_figures(read_json(file), harnesses.split(attempt.task.task)[1]), file
    file = newest([*attempt.folder.glob("*.eval"), *attempt.folder.glob("*.json")])
    line = [sys.executable, "-P", "-m", "inspect_ai", "log", "dump", "--header-only", str(file)]
    dump = await asyncio.to_thread(subprocess.run, line, capture_output=True, text=True, cwd=attempt.data)
    with _readable(file, dump.stderr[-200:]):
        return inspect_figures(json.loads(dump.stdout)), file


@contextmanager
def _readable(file: Path, said: str = "") -> Iterator[None]:
    """Raises RunError where a program's log is of no form that is known.

    Args:
        said: why, where the error itself tells nothing.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"its log {file} cannot be read ({error or said})") from None


def _figures(run: Run, attempt: Attempt, reading: Reading, gateway: Gateway) -> BenchmarkFigures:
    """What is kept of a model at a task, but for where and how long."""
    packages = (LM_EVAL,) if attempt.by_lm_eval else (INSPECT, harnesses.split(attempt.task.task)[0])
    made_by = {name: _version(name) for name in packages if harnesses.folder(name)}
    made_by |= {"task": reading["version"]} if reading["version"] else {}
    figures: BenchmarkFigures = {
        "task": attempt.task.title,
        "samples": reading["samples"],
        "failed": reading["failed"],
        "scores": reading["scores"],
        "headline": reading["headline"],
        "made_by": made_by,
        "log": "",
        "seconds": 0.0,
        "tokens": gateway.tokens,
        "refused": dict(gateway.refused),
    }
    judge = attempt.want.judge
    if judge and gateway.asked[grader(judge)]:
        figures["judge"] = run.spec(judge).title
        if run.spec(judge).same_server(run.spec(attempt.role)):
            figures["self_judged"] = True
    return figures


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def figures_of(folder: Path) -> BenchmarkFigures:
    """What a model reached in a task.

    Raises:
        RunError: the file is gone or damaged.
    """
    figures = read_form(folder / FIGURES, BenchmarkFigures)
    if figures is None:
        raise RunError(f"{folder / FIGURES} is gone; put it back, or take {folder} away and run the same command again")
    return figures


def headline(figures: BenchmarkFigures) -> str:
    """``model_graded_qa/accuracy 0.62 ± 0.05``."""
    score = figures["scores"][figures["headline"]]
    value, error = score["value"], score.get("stderr")
    words = f"{figures['headline']} {'none' if value is None else f'{value:.4g}'}"
    words += f" ± {error:.2g}" if error is not None else ""
    return words + (f" ({unscored} without a score)" if (unscored := score.get("unscored")) else "")


def _seal(run: Run, block: Block, table: BenchmarkTable) -> None:
    """The ledger counts a model at a task as a row."""
    all_figures = [each for tasks in table.values() for each in tasks.values()]
    tally = Tally(len(all_figures), len(all_figures), seconds=sum(each["seconds"] for each in all_figures))
    for each in all_figures:
        tally.spend(each["tokens"])
        tally.counts.update(samples=each["samples"], failed=each["failed"], **each["refused"])
    tally.counts = +tally.counts
    run.stage(block.name).close(run.settings(block.name), tally, **run.purse.bill(block.name))
