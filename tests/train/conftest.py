"""A model of a few thousand weights, small datasets from scripted runs, and jobs on them."""

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


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of a few thousand weights are slower on several threads than on one, here and in processes begun from here."""
    import torch

    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama with the bundled model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from cai.models import bundled

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(bundled.ensure("smollm2-135m"))
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape, **ids)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the datasets of two scripted runs, cut to a few rows: sft_set, prefs, best, unpaired, ranked."""
    from cai.flow.screen import Screen
    from cai.recipe.read import load_recipe
    from cai.run import start

    folder = tmp_path_factory.mktemp("sets")
    for name, made in (("scripted", ("sft_set", "prefs")), ("scored", ("best", "unpaired", "ranked"))):
        start(load_recipe(DATA / f"{name}.yaml"), folder / name, Screen(Console(quiet=True)))
        for each in made:
            (folder / each).mkdir()
            for split, rows in ROWS.items():
                table = parquet.read_table(folder / name / each / f"{split}.parquet")
                parquet.write_table(table.slice(0, rows), folder / each / f"{split}.parquet")
    return folder


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
