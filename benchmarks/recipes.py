"""A whole run of a recipe that a benchmark wrote, for figures that only a run has."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start


@contextmanager
def finished(recipe: Mapping[str, Any], overrides: Sequence[str], out: Path | None) -> Iterator[Path]:
    """The folder of the run, when it has ended; what it shows goes to standard error.

    Args:
        overrides: of the recipe, as ``cai run`` takes them.
        out: where the run is kept, and goes on if it was there; a folder that is gone afterwards unless given.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, path = out or Path(scratch) / "run", Path(scratch) / "recipe.yaml"
        path.write_text(json.dumps(recipe))  # JSON is YAML, too
        start(load_recipe(path, list(overrides)), folder, Screen(Console(stderr=True)))
        yield folder
