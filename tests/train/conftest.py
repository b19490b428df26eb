"""Small datasets from scripted runs, and jobs on them."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from rich.console import Console

DATA = Path(__file__).resolve().parents[1] / "data"
ROWS = {"train": 12, "test": 3}
RECIPE = """\
name: trained
constitution: principles/harmless.yaml
models:
  policy: {local: bundled/smollm2-135m}
stages:
  - prompts: {redteam: principles/prompts/redteam.jsonl}
  - sample: {model: policy}
  - label: {model: policy}
  - prefs: {}
"""


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the datasets of two scripted runs, cut to a few rows: sft_set, prefs, best, unpaired, ranked."""
    from cai.flow.screen import Screen
    from cai.recipe.read import load_recipe
    from cai.run.walk import start

    folder = tmp_path_factory.mktemp("sets")
    for name, made in (("scripted", ("sft_set", "prefs")), ("scored", ("best", "unpaired", "ranked"))):
        start(load_recipe(DATA / f"{name}.yaml"), folder / name, Screen(Console(quiet=True)))
        for each in made:
            (folder / each).mkdir()
            for split, rows in ROWS.items():
                table = parquet.read_table(folder / name / each / f"{split}.parquet")
                parquet.write_table(table.slice(0, rows), folder / each / f"{split}.parquet")
    return folder


@pytest.fixture
def preference_recipe(write: Callable[[str, str], Path]) -> Callable[[str], Path]:
    """Writes ``r.yaml``, a recipe that samples, labels, and trains by this step; returns its path."""
    return lambda step: write("r.yaml", RECIPE + f"  - {step}\n")


@pytest.fixture(scope="session")
def job(tiny: Path) -> Callable[..., Path]:
    """Writes the job file of a trainer, on the tiny model unless it says otherwise; returns its path."""
    from cai.stages import STAGES
    from cai.stages.train import Aligned
    from cai.train.launch.start import job as write_job

    def write(kind: str, data: Path, out: Path, **config: object) -> Path:
        quiet = {"guards": {"every": 0}} if issubclass(STAGES[kind].want, Aligned) else {}
        want = STAGES[kind].want(**{"base": str(tiny), "bf16": False, **quiet, **config})
        return write_job(kind, want, want.base, (data, out), seed=0)

    return write


@pytest.fixture(scope="session")
def train_here() -> Callable[..., dict[str, Any]]:
    """Runs a trainer in this process, where torch is loaded already; returns its manifest."""
    import importlib

    def run(kind: str, file: Path, *more: str) -> dict[str, Any]:
        line, sys.argv = sys.argv, [kind, str(file), *more]
        try:
            importlib.import_module(f"cai.train.{kind}").main()
        finally:
            sys.argv = line
        return json.loads((file.parent / "manifest.json").read_text())

    return run


@pytest.fixture(scope="module")
def trains_here(train_here: Callable[..., dict[str, Any]]) -> Iterator[None]:
    """The trainings of runs that are started in this process are done in it, too."""

    async def train(kind: str, job_file: Path, *_: object) -> dict[str, Any]:
        return await asyncio.to_thread(train_here, kind, job_file)  # some run a loop of their own

    with pytest.MonkeyPatch.context() as patch:
        for module in ("cai.run.training", "cai.run.rounds"):
            patch.setattr(f"{module}.train", train)
        yield


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    """What a TRL config needs for one step on a CPU."""
    return {
        "output_dir": str(tmp_path / "out"),
        "max_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "dataloader_pin_memory": False,
    }
