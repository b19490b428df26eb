"""Constitutions edited again and again, runs cut off anywhere: what stands at the end is what a fresh run makes.

Each series draws a library file, ways to choose principles, edits of every kind and moments to be cut off from its seed.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from cai.errors import RunError
from cai.flow.screen import Screen
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request
from cai.recipe.read import load_recipe
from cai.run.walk import start
from constitution.diff import changes
from constitution.load import digest, load
from constitution.model import AppliesTo, Constitution
from constitution.save import dump

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
name: series
seed: 3
constitution: con.yaml
models:
  policy: {{scripted: script.yaml{slots}}}
  other: {{scripted: other.yaml}}
stages:
  - prompts:
      redteam: {{path: principles/prompts/redteam.jsonl, limit: 30}}
      helpful: {{path: principles/prompts/helpful.jsonl, limit: 6}}
      part_size: 7
      heldout: 0.2
  - revise: {{model: policy, rounds: 3, choice: {revise}}}
  - revise: {{as: again, model: policy, rounds: 1, choice: weighted, when_fine: stop}}
  - sft_set: {{from: revise}}
  - sample: {{model: policy, n: 4}}
  - label: {{as: reasoned, model: policy, method: cot, disagree: average, tie: 0, choice: {label}}}
  - label: {{model: policy, method: logprob, orders: one, choice: by_tag}}
  - prefs: {{from: label}}
  - evaluate: {{models: [policy, other], judge: policy, method: cot, disagree: average}}
  - report: {{}}
"""


def contents(folder: Path) -> dict[str, bytes]:
    """What a run made, but for what tells of time and of tokens."""
    names = ("part-*.jsonl", "drops.jsonl", "metrics.json", "*.parquet")
    paths = sorted(path for name in names for path in folder.rglob(name) if ".aside" not in path.parts)
    return {str(path.relative_to(folder)): re.sub(rb'"tokens":\[[^]]*\]', b"", path.read_bytes()) for path in paths}


def edited(constitution: Constitution, rng: Random) -> Constitution:
    """One change: of words, weights, what a principle applies to, the list of principles, templates or exemplars."""
    there = list(constitution.principles)
    at = rng.randrange(len(there))
    match rng.randrange(9):
        case 0:
            there[at] = replace(there[at], critique=f"{there[at].critique} And {rng.random():.3f}.")
        case 1:
            there[at] = replace(there[at], judgment=f"{there[at].judgment} Or {rng.random():.3f}?")
        case 2:
            there[at] = replace(there[at], weight=rng.choice([0.5, 2.0, 5.0]))
        case 3:
            shown = {each.principle for each in (*constitution.critique_revision, *constitution.judgment)}
            if there[at].id not in shown and len(there) > 4:
                there.pop(at)
        case 4:
            question = rng.choice(["Which is odder?", ""])
            there.insert(at, replace(there[at], id=f"new-{rng.randrange(10**6)}", critique="Odd?", judgment=question))
        case 5:
            applies = rng.choice([AppliesTo(track=("redteam",)), AppliesTo(tag=("nothing",))])
            there[at] = replace(there[at], applies_to=applies)
        case 6:
            rng.shuffle(there)
        case 7:
            templates = replace(constitution.templates, reasoning=f"{constitution.templates.reasoning} Briefly.")
            return replace(constitution, templates=templates)
        case _:
            return replace(constitution, judgment=tuple(rng.sample(constitution.judgment, len(constitution.judgment))))
    return replace(constitution, principles=tuple(there))


def run(recipe: Path, out: Path, calls: int | None, changed: bool) -> None:
    """A run that is cut off after so many replies, if any number is given."""
    left, real = iter(range(calls or 0)), Scripted.ask

    async def ask(self: Scripted, request: Request, row_id: str) -> Reply:
        if calls is not None and next(left, None) is None:
            raise RunError("cut off")
        return await real(self, request, row_id)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Scripted, "ask", ask)
        try:
            start(load_recipe(recipe), out, Screen(Console(quiet=True)), None, changed)
        except RunError as error:
            if str(error) != "cut off":
                raise


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 24))])
def test_after_any_series_of_edits_and_cuts_the_rows_are_a_fresh_run_s(
    seed: int, tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    rng = Random(seed)
    for name in ("script.yaml", "other.yaml"):
        write(name, (ROOT / "tests" / "data" / name).read_text(encoding="utf-8"))
    ways = {"revise": ["uniform", "weighted", "distinct", "by_tag"], "label": ["uniform", "weighted", "all"]}
    slots = rng.choice(["", ", concurrency: 2", ", concurrency: 5"])
    recipe = write("series.yaml", RECIPE.format(slots=slots, **{kind: rng.choice(way) for kind, way in ways.items()}))
    constitution = load(ROOT / "principles" / rng.choice(["harmless.yaml", "hhh.yaml", "general.yaml"]))
    write("con.yaml", dump(constitution))
    for session in range(rng.randint(1, 3)):
        run(recipe, tmp_path / "out", rng.choice([None, rng.randrange(1, 900)]), changed=session > 0)
        before = constitution
        for _ in range(rng.randint(1, 2)):
            constitution = edited(constitution, rng)
        assert digest(before) == digest(constitution) or list(changes(before, constitution))
        write("con.yaml", dump(constitution))
    if rng.random() < 0.4:
        run(recipe, tmp_path / "out", rng.randrange(1, 200), changed=True)
    run(recipe, tmp_path / "out", None, changed=True)
    run(recipe, tmp_path / "fresh", None, changed=False)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    for seal in map(json.loads, (path.read_text() for path in (tmp_path / "out").glob("*/seal.json"))):
        assert seal["rows_in"] == seal["rows_kept"] + sum(seal["dropped"].values())
