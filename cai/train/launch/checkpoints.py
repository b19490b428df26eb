"""Checkpoints on the way, of which a kill leaves the last whole one, and the lines of metrics that belong to them."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

from cai.store.files import whole_lines, write_lines

COMPLETE = "complete"
"""The file that is written into a checkpoint last."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; torn ones, left by a kill while they were written, are removed."""
    folders = _checkpoints(folder)
    for torn in (each for each in folders if not (each / COMPLETE).exists()):
        shutil.rmtree(torn)
    return next((each for each in reversed(folders) if (each / COMPLETE).exists()), None)


def thin(folder: Path, count: int) -> None:
    """Let all but the last checkpoints go."""
    for each in _checkpoints(folder)[:-count]:
        shutil.rmtree(each)


def _checkpoints(folder: Path) -> list[Path]:
    """All that there are, by their steps; a copy that somebody made beside one is none."""
    named = (each for each in folder.glob("checkpoint-*") if each.name.removeprefix("checkpoint-").isdecimal())
    return sorted(named, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step after which it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def step_in(line: str) -> float:
    """The step that a line is of; 0 where it is damaged, which then stays as it is."""
    with suppress(ValueError, RecursionError):
        if isinstance(data := json.loads(line), dict) and isinstance(step := data.get("step"), int | float):
            return step
    return 0


def rewind(metrics: Path, step: int) -> None:
    """Forget the lines of steps after the checkpoint, which are done again, and a torn last one."""
    if metrics.exists():
        lines = [line for line in whole_lines(metrics) if step_in(line) <= step]
        if sum(len(line.encode()) + 1 for line in lines) != metrics.stat().st_size:
            write_lines(metrics, lines)
