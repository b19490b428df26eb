"""``cai plan``: what a run will take, from a sample of its prompts that goes through its data stages for real.

Tokens, rows and bytes for each prompt are measured on the sample and multiplied; time is tokens over the tokens/s that
the sample reached with as many replicas. A stage that asks a trained model is measured with the model that it is trained
from, which speaks as fast. Of training it says how much memory it takes (``cai.train.launch.memory``), not
how long; evaluation and report are not in it.
"""

import asyncio
import hashlib
import heapq
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from cai.cli import plan_table
from cai.cli.plan_memory import memory_needs
from cai.cli.plan_table import Estimate, Plan
from cai.data.prompts import PromptSource, read
from cai.errors import RunError, UserError
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.models.concurrency import Slots
from cai.recipe.block import Block, asks_reward_model, named_roles
from cai.recipe.read import load_recipe
from cai.recipe.recipe import Recipe
from cai.run.context import Run
from cai.run.walk import walk
from cai.store.files import write_lines
from cai.store.rows import Prompt, encode, shallow
from cai.train.launch import memory
from constitution.visible import json_text

MEASURED = ("source", "rows", "set")
FEW = 16


def plan_run(
    recipe: Path,
    overrides: Sequence[str],
    counts: tuple[int, int | None, int],
    price: float | None,
    out: Path,
    as_json: bool,
) -> None:
    """What a run will take; see ``plan`` for the counts."""
    screen = Screen()
    screen.console.stderr = as_json
    try:
        with scratch(out) as folder:
            outlook = plan(load_recipe(recipe, list(overrides)), folder, *counts, screen)
    except KeyboardInterrupt:
        raise RunError(
            "stopped before anything could be said; a plan keeps nothing, and begins anew each time"
        ) from None
    if as_json:
        line(json_text(plan_table.as_json(outlook, price)))
    else:
        screen.console.print(plan_table.table(outlook))
        screen.say(plan_table.sentence(outlook, price))
        if outlook.trainers:
            screen.console.print(plan_table.memory_table(outlook))
        for text in (*outlook.unmeasured, *outlook.short):
            screen.say(text)


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """A folder for the sample; where it fails, what the error may name stays: logs, and the rows left out."""
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out, prefix=".plan-"))
    try:
        yield folder
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    except BaseException:
        for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
            if path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    path.rmdir()
            elif not _named(path.relative_to(folder), path):
                path.unlink()
        with suppress(OSError):
            folder.rmdir()  # where nothing is kept
        raise
    shutil.rmtree(folder)


def _named(path: Path, file: Path) -> bool:
    """Whether an error may name a file of the sample: a log, or a stage's rows left out."""
    return path.parts[0] == "logs" or (path.name == "drops.jsonl" and file.stat().st_size > 0)


def plan(recipe: Recipe, folder: Path, sample: int, prompts: int | None, replicas: int, screen: Screen) -> Plan:
    """Run the sample in a folder and say what the whole will take.

    Args:
        prompts: of the whole run; those of the recipe's files unless given.
        replicas: times what serves each model now.

    Raises:
        UserError: the recipe has no prompts, or the sample is too small to say anything.
        RunError: a model failed.
    """
    if sample < FEW:
        raise UserError(f"--sample {sample}: too few prompts to say anything; take {FEW} or more")
    if other := [block.name for block in recipe.blocks if block.kind == "pairs"]:
        raise UserError(
            f"{recipe.path}: a plan begins with prompts, and {other[0]} has pairs; plan the other stages alone"
        )
    sources = [block for block in recipe.blocks if block.kind == "prompts"]
    if not sources:
        raise UserError(f"{recipe.path}: has no prompts stage, and so nothing to plan")
    counts = {block.name: _draw(block, sample, recipe.seed, folder / f"{block.name}.jsonl") for block in sources}
    singly = {role: replace(spec, batch=False) for role, spec in recipe.models.items()}  # a batch may take a day
    run = Run(replace(recipe, blocks=tuple(sampled(recipe, sample, folder)), models=singly), folder, screen)
    run.streams = False  # so that each stage's seconds are its own
    asyncio.run(walk(run))
    flying = max((bar.slots.peak for bar in screen.by_name.values() if isinstance(bar.slots, Slots)), default=0)
    whole = sum(counts.values())
    scale = (prompts or whole) / whole
    times = {
        block.name: (scale * counts[block.name] / min(counts[block.name], sample), block.want.heldout)
        for block in sources
    }
    stages = tuple(_estimate(run, block, times, replicas) for block in run.recipe.blocks)
    size, trainers = sum(min(count, sample) for count in counts.values()), tuple(memory_needs(recipe))
    short = [memory.too_small(each, recipe.block(each.stage).want) for each in trainers]
    unmeasured = tuple(f"{name} is not measured: {why}" for name, why in left_out(recipe).items())
    return Plan(prompts or whole, size, replicas, flying, stages, trainers, tuple(filter(None, short)), unmeasured)


def _draw(block: Block, sample: int, seed: int, file: Path) -> int:
    """Write a sample of a stage's prompts, drawn from all of them; returns how many those are.

    Raises:
        UserError: no prompt could be read, or counting them would mean to fetch a dataset of unknown size.
    """
    for source in (*block.want.redteam, *block.want.helpful):
        if source.hub and source.limit is None:
            raise UserError(
                f"{block.name}: give {source.hub} a limit, so that a plan need not fetch all of it to count it"
            )
    count = 0

    def all_prompts() -> Iterator[tuple[bytes, Prompt]]:
        nonlocal count
        for row in read(block.want.sources):
            if isinstance(row, Prompt):
                count += 1
                yield hashlib.sha256(f"{seed}/{row.id}".encode()).digest(), row

    prompts = heapq.nsmallest(sample, all_prompts(), key=lambda each: each[0])
    if not count:
        raise UserError(f"{block.name}: no prompt could be read; name a file with prompts")
    rows = [shallow(row) for _, row in prompts]
    write_lines(file, [encode({key: value for key, value in row.items() if key != "source"}) for row in rows])
    return count


def sampled(recipe: Recipe, sample: int, folder: Path) -> Iterator[Block]:
    """The data stages, on the sample in one part, and with untrained models in the place of trained ones."""
    missing = left_out(recipe)
    for block in recipe.blocks:
        if block.table.shape not in MEASURED or block.name in missing:
            continue
        want = block.want
        if block.kind == "prompts":
            source = PromptSource(str(folder / f"{block.name}.jsonl"))
            want = replace(want, redteam=(source,), helpful=(), heldout=0.0, part_size=sample)
        roles: dict[str, object] = {
            key: _untrained(recipe, getattr(want, key)) for key in ("model", "judge", "user") if getattr(want, key, "")
        }
        if panel := getattr(want, "panel", {}):
            roles["panel"] = {_untrained(recipe, each): weight for each, weight in panel.items()}
        yield replace(block, want=replace(want, **roles))


def left_out(recipe: Recipe) -> dict[str, str]:
    """The data stages that cannot be measured before the run has trained a reward model → why."""
    missing: dict[str, str] = {}
    for block in recipe.blocks:
        if block.table.shape not in MEASURED:
            continue
        roles = [role for key, role in named_roles(block.want) if asks_reward_model(block, key) and recipe.behind(role)]
        if roles:
            missing[block.name] = f"it asks the reward model {roles[0]}, which is trained on the way"
        elif block.reads in missing:
            missing[block.name] = f"it is made from {block.reads}"
    return missing


def _untrained(recipe: Recipe, role: str) -> str:
    """The role itself, or that which its training began from."""
    trained = recipe.trains(role)
    return _untrained(recipe, trained.want.base) if trained else role


def _estimate(run: Run, block: Block, times: Mapping[str, tuple[float, float]], replicas: int) -> Estimate:
    """One stage of the whole; what was held out there goes through the prompts stage alone."""
    folder, source = run.folder / block.name, block
    while source.reads:
        source = run.recipe.block(source.reads)
    seal = run.stage(block.name).seal
    assert seal is not None  # it went to its end a moment ago
    factor, heldout = times[source.name]
    if source is not block:
        factor *= 1 - heldout
    speed = seal["tokens_out"] / seal["seconds"] if seal["seconds"] and seal["tokens_out"] else 0.0
    tokens_out, cost = round(factor * seal["tokens_out"]), run.purse.bill(block.name).get("cost")
    return Estimate(
        stage=block.name,
        rows=round(factor * seal["rows_out"]),
        tokens_in=round(factor * seal["tokens_in"]),
        tokens_out=tokens_out,
        bytes=round(factor * sum(map(_grows, folder.rglob("*")))),
        hours=tokens_out / (speed * replicas) / 3600 if speed else 0.0,
        speed=speed,
        cost=None if cost is None else factor * cost,
    )


def _grows(path: Path) -> int:
    """The bytes of a file that come from its rows: a seal or a Parquet file's footer is there once."""
    if path.suffix == ".jsonl":
        return path.stat().st_size
    if path.suffix != ".parquet":
        return 0
    import pyarrow
    import pyarrow.parquet

    empty = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.parquet.read_schema(path).empty_table(), empty)
    return max(0, path.stat().st_size - empty.getvalue().size)
