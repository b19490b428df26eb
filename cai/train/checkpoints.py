"""Checkpoints on the way, of which a kill leaves the last whole one, and the lines of metrics that belong to them."""

import json
import shutil
from pathlib import Path

COMPLETE = "complete"
"""The file that is written into a checkpoint last."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; torn ones, left by a kill while they were written, are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=step_of)
    for torn in (each for each in found if not (each / COMPLETE).exists()):
        shutil.rmtree(torn)
    return next((each for each in reversed(found) if (each / COMPLETE).exists()), None)


def thin(folder: Path, kept: int) -> None:
    """Let all but the last checkpoints go."""
    for each in sorted(folder.glob("checkpoint-*"), key=step_of)[:-kept]:
        shutil.rmtree(each)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def rewind(metrics: Path, step: int) -> None:
    """Forget the metrics of steps after the checkpoint: they are done again."""
    if metrics.exists():
        lines = [line for line in metrics.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        metrics.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
