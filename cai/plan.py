"""``cai plan``: what a run will take, from a sample of its prompts that goes through its data stages for real.

Tokens, rows and bytes for each prompt are measured on the sample and multiplied; time is tokens over the tokens/s that
the sample reached with as many replicas. A stage that asks a trained model is measured with the model that it is trained
from, which speaks as fast. Training, evaluation and report are not in it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cai.errors import UserError
from cai.files import read_json
from cai.recipe import Block, Recipe
from cai.rows import Prompt
from cai.run import Run
from cai.screen import Screen
from cai.slots import Slots
from cai.stages.prompts import read

MEASURED = ("source", "rows", "set")
FEW = 16
FULL = 4
"""Times as many prompts as requests in flight: fewer, and much of the time goes by while the last ones end."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one stage will take.

    Attributes:
        rows: it gives.
        tokens_in, tokens_out: of all its requests.
        bytes: on disk.
        hours: of generation, with the replicas asked for; 0 where no model is asked.
        speed: generated tokens/s that the sample reached.
    """

    stage: str
    rows: int
    tokens_in: int
    tokens_out: int
    bytes: int
    hours: float
    speed: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What the whole will take.

    Attributes:
        prompts: of the whole.
        sample: prompts that were measured.
        replicas: times the servers that the sample had.
        flying: requests that were in flight at once, at the most.
    """

    prompts: int
    sample: int
    replicas: int
    flying: int
    stages: tuple[Estimate, ...]

    @property
    def hours(self) -> float:
        """Of generation, one stage after the other."""
        return sum(each.hours for each in self.stages)

    @property
    def bytes(self) -> int:
        """On disk, without models."""
        return sum(each.bytes for each in self.stages)


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
    count = prompts or sum(1 for block in recipe.blocks if block.kind == "prompts" for _ in _prompts(block))
    run = Run(replace(recipe, blocks=tuple(sampled(recipe, sample))), folder, screen)
    run.streams = False  # so that each stage's seconds are its own
    asyncio.run(run.walk())
    seals = [(path, read_json(path)) for path in folder.glob("*/seal.json")]
    measured = sum(seal["rows_out"] for _, seal in seals if seal["stage"] in _named(recipe, "prompts"))
    by_name = {seal["stage"]: _estimate(path.parent, seal, count / measured, replicas) for path, seal in seals}
    flying = max((bar.slots.peak for bar in screen.shown.values() if isinstance(bar.slots, Slots)), default=0)
    return Plan(
        count, measured, replicas, flying, tuple(by_name[each.name] for each in recipe.blocks if each.name in by_name)
    )


def _prompts(block: Block) -> Iterator[Prompt]:
    return (row for row in read(block.want) if isinstance(row, Prompt))


def _named(recipe: Recipe, kind: str) -> set[str]:
    return {block.name for block in recipe.blocks if block.kind == kind}


def sampled(recipe: Recipe, sample: int) -> Iterator[Block]:
    """The data stages, on fewer prompts, and with untrained models in the place of trained ones."""
    for block in recipe.blocks:
        if block.table.shape not in MEASURED:
            continue
        want = block.want
        if block.kind == "prompts":
            tracks = [track for track in ("redteam", "helpful") if getattr(want, track)]
            sources = sum(len(getattr(want, track)) for track in tracks)
            fewer = {
                track: tuple(_fewer(each, -(-sample // sources)) for each in getattr(want, track)) for track in tracks
            }
            want = replace(want, heldout=0.0, **fewer)
        roles = {key: _untrained(recipe, getattr(want, key)) for key in ("model", "judge") if getattr(want, key, "")}
        yield replace(block, want=replace(want, **roles))


def _fewer(source: Any, count: int) -> Any:
    return replace(source, limit=min(count, source.limit or count))


def _untrained(recipe: Recipe, role: str) -> str:
    """The role itself, or that which its training began from."""
    trained = recipe.trains(role)
    return _untrained(recipe, trained.want.base) if trained else role


def _estimate(folder: Path, seal: dict[str, Any], times: float, replicas: int) -> Estimate:
    speed = seal["tokens_out"] / seal["seconds"] if seal["seconds"] and seal["tokens_out"] else 0.0
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != "begun.json")
    tokens_out = round(times * seal["tokens_out"])
    return Estimate(
        stage=seal["stage"],
        rows=round(times * seal["rows_out"]),
        tokens_in=round(times * seal["tokens_in"]),
        tokens_out=tokens_out,
        bytes=round(times * size),
        hours=tokens_out / (speed * replicas) / 3600 if speed else 0.0,
        speed=speed,
    )
