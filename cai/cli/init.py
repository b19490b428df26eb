"""``cai init``: files to start from, in a folder of the user's."""

import re
from collections.abc import Iterator
from pathlib import Path

from constitution.shipped import HOME, SHIPPED

STARTER = {
    "principles/harmless.yaml": "principles/harmless.yaml",
    "principles/quickstart.yaml": "principles/quickstart.yaml",
    "principles/README.md": "principles/README.md",
    "principles/prompts/redteam.jsonl": "principles/prompts/redteam.jsonl",
    "principles/prompts/helpful.jsonl": "principles/prompts/helpful.jsonl",
    "principles/prompts/short.jsonl": "principles/prompts/short.jsonl",
    "runs/quickstart.yaml": "runs/quickstart.yaml",
    "constitution/constitution.schema.json": "schemas/constitution.schema.json",
    "cai/recipe.schema.json": "schemas/recipe.schema.json",
}
"""Shipped file → where it goes in a project of the user's."""


def copy_starter(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Copy the starting files that are not there yet; yields each with whether it was copied."""
    for name, goes in STARTER.items():
        target = folder / goes
        new = not target.exists()
        if new:
            target.parent.mkdir(parents=True, exist_ok=True)
            root = HOME if name.endswith(".schema.json") else SHIPPED
            text = (root / name).read_text(encoding="utf-8")
            # Files name their schema in the first line, for editors.
            target.write_text(re.sub(r"\A(# .*\$schema=\.\./)\w+/", r"\1schemas/", text), encoding="utf-8")
        yield target, new
