"""A training's job file, as the run that starts it wrote it."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar

from transformers import set_seed

from cai.models import passwords
from cai.stages import read_block
from cai.stages.train import Train
from cai.store.files import read_form
from cai.store.form import Count
from cai.store.rows import plain
from cai.train.rl.rewards import Scoring

Figures = dict[str, float | str]
"""A training's figures on its held-out rows, with its seconds, and why it stopped before its end, if it did."""
W_co = TypeVar("W_co", bound=Train, covariant=True)


class JobFile(TypedDict):
    """What every job file has; further keys are as ``Job`` has them."""

    kind: str
    block: dict[str, Any]
    data: str
    out: str
    seed: Count


@dataclass(frozen=True, slots=True)
class Job(Generic[W_co]):
    """A job file, as ``cai.train.launch.start.job`` writes it.

    Attributes:
        want: the block of the recipe, its roles replaced by their weights.
        scoring: how answers are scored, for trainers that answer prompts.
        judging: how the guards' held-out judge scores them.
        sampler: the vLLM servers that sample answers, see ``cai.train.rl.serving.ServerSettings``.
        template: what the chat template is told, as whoever asks the policy will tell it.
        logs: where figures go besides ``metrics.jsonl``; from the command line, for it changes nothing of the model.
        run: what the training is called there, ``recipe/block``.
    """

    kind: str
    want: W_co
    data: Path
    out: Path
    seed: int
    scoring: Scoring | None = None
    judging: Scoring | None = None
    sampler: Mapping[str, object] | None = None
    template: Mapping[str, object] = field(default_factory=dict)
    logs: str = "none"
    run: str = ""

    @property
    def base(self) -> str:
        """The weights to start from."""
        return self.want.base

    @property
    def settings(self) -> dict[str, object]:
        """All keys of the block and of its ``trl``, as JSON has them; what it starts from stands beside them."""
        block = plain(self.want)
        return {key: value for key, value in block.items() if key not in ("base", "trl")} | block["trl"]


def from_command_line(block: type[W_co]) -> Job[W_co]:
    """The job named on the command line.

    Args:
        block: the type of its block.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    # No launcher has an option that begins like this one; torchrun would take --logs for its own.
    parser.add_argument("--figures-to", default="none")
    parser.add_argument("--figures-as", default="")
    options = parser.parse_args()
    file = read_form(options.job, JobFile)
    if file is None:
        parser.error(f"there is no file {options.job}")
    data = passwords.restored(file)
    set_seed(data["seed"])  # by it adapters and new heads begin
    want = read_block(data["kind"], data["block"])
    assert isinstance(want, block), f"{options.job} is a job of {data['kind']}"
    scoring, judging = (Scoring.read(data[key]) if data.get(key) else None for key in ("scoring", "judging"))
    places = Path(data["data"]), Path(data["out"])
    run = options.figures_as or f"{places[1].parent.name}/{places[1].name}"
    job = Job(
        data["kind"], want, *places, data["seed"], scoring, judging, data.get("sampler"), data.get("template", {})
    )
    return replace(job, logs=options.figures_to, run=run)


def with_trl(job: Job[W_co], keys: Mapping[str, object]) -> Job[W_co]:
    """The same job with further keys of the trainer's config."""
    return replace(job, want=replace(job.want, trl={**job.want.trl, **keys}))
