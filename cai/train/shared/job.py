"""A training's job file, as the run that starts it wrote it."""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import set_seed


@dataclass(frozen=True, slots=True)
class Job:
    """A job file, as ``cai.train.launch.start.job`` writes it.

    Attributes:
        scoring: how answers are scored, for trainers that answer prompts, see ``cai.train.rl.rewards.Scoring``.
        judging: how the guards' held-out judge scores them.
        sampler: the vLLM servers that sample answers, see ``cai.train.rl.serving.ServerSettings``.
        logs: where figures go besides ``metrics.jsonl``; from the command line, for it changes nothing of the model.
        run: what the training is called there, ``recipe/block``.
    """

    kind: str
    base: str
    data: Path
    out: Path
    seed: int
    own: dict[str, Any]
    config: dict[str, Any]
    scoring: dict[str, Any] | None = None
    judging: dict[str, Any] | None = None
    sampler: dict[str, Any] | None = None
    logs: str = "none"
    run: str = ""


def from_command_line() -> Job:
    """The job named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    # No launcher has an option that begins like this one; torchrun would take --logs for its own.
    parser.add_argument("--figures-to", default="none")
    parser.add_argument("--figures-as", default="")
    given = parser.parse_args()
    data = json.loads(given.job.read_text(encoding="utf-8"))
    set_seed(data["seed"])  # by it adapters and new heads begin
    places = {key: Path(data[key]) for key in ("data", "out")}
    run = given.figures_as or f"{places['out'].parent.name}/{places['out'].name}"
    return Job(**{**data, **places, "logs": given.figures_to, "run": run})


def with_config(job: Job, config: dict[str, Any]) -> Job:
    """The same job with other settings for its config."""
    return replace(job, config=config)
