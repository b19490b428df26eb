"""What several tests share: small recipes on scripted models, and the command as a user runs it."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run import start

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"


@pytest.fixture
def cai() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own, from the project's folder."""

    def run(*line: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cai.cli", *map(str, line)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)

    return run


@pytest.fixture
def scripted_run(tmp_path: Path) -> Callable[..., Path]:
    """Runs tests/data/scripted.yaml in this process; returns the run's folder."""

    def run(*overrides: str, out: Path = tmp_path, redo: str | None = None, only_changed: bool = False) -> Path:
        recipe = load_recipe(DATA / "scripted.yaml", overrides)
        start(recipe, out / recipe.name, Screen(Console(quiet=True)), redo, only_changed)
        return out / recipe.name

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text file into the test's folder."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def jsonl(rows: Sequence[str]) -> str:
    """Prompt lines from plain texts."""
    return "".join(f'{{"prompt": "{row}"}}\n' for row in rows)
