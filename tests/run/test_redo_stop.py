"""A redo that is stopped goes on: by the same command, by another one, and whenever it was killed."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cai.errors import RunError
from cai.flow.screen import Screen
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request, Sample
from cai.recipe.read import load_recipe
from cai.run.walk import start
from cai.store import reopen
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
Run = Callable[..., Path]
Write = Callable[[str, str], Path]
SLOTS = "models.policy.concurrency=2"
"""Few at once, so that rows end one after another."""


class Killed(BaseException):
    """Stands for ``kill -9``: nothing of ours catches it."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The row of every reply that scripted models give."""
    seen: list[str] = []
    real = Scripted.ask

    async def seeing(self: Scripted, request: Request, row_id: str) -> Reply:
        reply = await real(self, request, row_id)
        seen.append(row_id)
        return reply

    monkeypatch.setattr(Scripted, "ask", seeing)
    return seen


@contextmanager
def stopped(calls: int) -> Iterator[None]:
    """The run in it ends after so many replies."""
    left, real = iter(range(calls)), Scripted.ask

    async def ask(self: Scripted, request: Request, row_id: str) -> Reply:
        if next(left, None) is None:
            raise RunError("stopped")
        return await real(self, request, row_id)

    with pytest.raises(RunError, match="stopped"), patched(Scripted, "ask", ask):
        yield


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(owner, name, value)
        yield


@contextmanager
def killed_before(fatal: Callable[[Stage, Path], bool]) -> Iterator[None]:
    """The run in it is killed when it is about to move such a folder aside."""
    real = reopen.set_aside

    def moving(stage: Stage, root: Path) -> Path:
        if fatal(stage, root):
            raise Killed
        return real(stage, root)

    with pytest.raises(Killed), patched(reopen, "set_aside", moving):
        yield


def contents(folder: Path) -> dict[str, bytes]:
    """What a run made, but for what tells of time and of tokens."""
    names = ("part-*.jsonl", "drops.jsonl", "metrics.json", "*.parquet")
    paths = [path for name in names for path in folder.rglob(name) if ".aside" not in path.parts]
    return {
        str(path.relative_to(folder)): re.sub(rb'"tokens":\[[^]]*\]', b"", path.read_bytes()) for path in sorted(paths)
    }


def written(folder: Path, stage: str) -> set[str]:
    return {row["id"] for row in Stage(folder / stage).so_far(dict)}


def aside(folder: Path, stage: str) -> int:
    return len(list((folder / ".aside").glob(f"{stage}-2*")))


@pytest.mark.parametrize("again", ["revise", None])
def test_what_was_done_since_is_not_set_aside_again(scripted_run: Run, asked: list[str], again: str | None) -> None:
    folder = scripted_run(SLOTS)
    before = contents(folder)
    for calls in (60, 40):
        with stopped(calls):
            scripted_run(SLOTS, redo="revise")
    done = written(folder, "revise")
    assert done
    asked.clear()
    scripted_run(SLOTS, redo=again)
    assert asked and not done & set(asked)
    assert aside(folder, "revise") == 1
    assert contents(folder) == before
    assert not (folder / "redo.json").exists()


@pytest.mark.parametrize("stage", ["revise", "report"])
def test_once_it_is_sealed_the_next_one_is_new(scripted_run: Run, asked: list[str], stage: str) -> None:
    folder = scripted_run()
    for times in (1, 2):
        asked.clear()
        scripted_run(redo=stage)
        assert aside(folder, stage) == times
        assert bool(asked) == (stage == "revise")


def test_a_redo_of_what_is_not_there_yet_is_one_too(scripted_run: Run, tmp_path: Path) -> None:
    for calls in (60, 40):
        with stopped(calls):
            scripted_run(SLOTS, redo="revise")
    folder = tmp_path / "scripted"
    assert written(folder, "revise") and not aside(folder, "revise")


@pytest.mark.parametrize("again", ["revise", None])
@pytest.mark.parametrize("moved", range(3))
def test_killed_between_two_moves_all_are_made(
    scripted_run: Run, asked: list[str], moved: int, again: str | None
) -> None:
    folder = scripted_run()
    before = contents(folder)
    order = ("report", "sft_set", "revise")
    with killed_before(lambda stage, _: stage.name == order[moved]):
        scripted_run(redo="revise")
    asked.clear()
    scripted_run(redo=again)
    assert set(asked) == written(folder, "prompts")
    assert [aside(folder, stage) for stage in ("revise", "sft_set", "report", "sample")] == [1, 1, 1, 0]
    assert contents(folder) == before


def test_two_redos_are_under_way_beside_each_other(scripted_run: Run, asked: list[str]) -> None:
    folder = scripted_run(SLOTS)
    before = contents(folder)
    for stage in ("revise", "sample", "revise", "sample"):
        with stopped(30):
            scripted_run(SLOTS, redo=stage)
    assert [aside(folder, stage) for stage in ("revise", "sample", "label")] == [1, 1, 1]
    asked.clear()
    scripted_run(SLOTS)
    assert contents(folder) == before
    assert not (folder / "redo.json").exists()


def test_a_redo_within_one_that_is_under_way_is_new(scripted_run: Run) -> None:
    folder = scripted_run(SLOTS)
    with stopped(60):
        scripted_run(SLOTS, redo="sample")
    assert written(folder, "label")
    with stopped(0):
        scripted_run(SLOTS, redo="label")
    assert not written(folder, "label")
    assert [aside(folder, stage) for stage in ("sample", "label")] == [1, 2]


def test_what_other_settings_decide_is_set_aside_though_the_redo_goes_on(scripted_run: Run) -> None:
    folder = scripted_run(SLOTS)
    with stopped(60):
        scripted_run(SLOTS, redo="revise")
    scripted_run(SLOTS, "revise.rounds=1", redo="revise")
    assert aside(folder, "revise") == 2
    assert max(len(row["drafts"]) for row in Stage(folder / "revise").all_rows(dict)) == 2


def test_what_lost_rows_is_set_aside_though_the_redo_goes_on(scripted_run: Run) -> None:
    folder = scripted_run(SLOTS)
    before = contents(folder)
    with stopped(130):
        scripted_run(SLOTS, redo="revise")
    part = folder / "revise" / "part-00000.jsonl"
    part.write_text(part.read_text().partition("\n")[0] + "\n")
    with pytest.raises(RunError, match="--redo revise"):
        scripted_run(SLOTS)
    scripted_run(SLOTS, redo="revise")
    assert contents(folder) == before


def test_a_stage_that_kept_no_row_is_set_aside_though_the_redo_goes_on(scripted_run: Run) -> None:
    folder = scripted_run()

    async def silent(self: Scripted, request: Request, row_id: str) -> Reply:
        return Reply((Sample(""),))

    with pytest.raises(RunError, match="sample kept none"), patched(Scripted, "ask", silent):
        scripted_run(redo="sample")
    scripted_run(redo="sample")
    assert written(folder, "sample")


def test_a_stage_that_the_recipe_has_no_more_does_not_outlive_its_input(tmp_path: Path, write: Write) -> None:
    text = (DATA / "scripted.yaml").read_text(encoding="utf-8").replace("  - report: {}\n", "")
    for name in ("script.yaml", "other.yaml"):
        write(name, (DATA / name).read_text(encoding="utf-8"))
    recipe = write("mine.yaml", text)
    screen = Screen(Console(quiet=True))
    start(load_recipe(recipe), tmp_path / "out", screen)
    recipe.write_text(text.replace("  - prefs: {}\n", ""), encoding="utf-8")
    start(load_recipe(recipe), tmp_path / "out", screen, "label")
    assert not (tmp_path / "out" / "prefs").exists()
    recipe.write_text(text, encoding="utf-8")
    start(load_recipe(recipe), tmp_path / "out", screen)
    assert (tmp_path / "out" / "prefs" / "seal.json").exists()
    assert aside(tmp_path / "out", "prefs") == 1


def test_what_a_killed_reopening_left_never_takes_the_place_of_newer_rows(scripted_run: Run, write: Write) -> None:
    constitution = write("mine.yaml", (ROOT / "principles" / "harmless.yaml").read_text(encoding="utf-8"))
    recipe = f"constitution={constitution}", SLOTS
    folder = scripted_run(*recipe)
    text = constitution.read_text(encoding="utf-8")
    constitution.write_text(text.replace("Say where the assistant's", "Say plainly where the assistant's"), "utf-8")
    with killed_before(lambda stage, root: (root / ".aside" / f".{stage.name}.reopening").exists()):
        scripted_run(*recipe, only_changed=True)
    left = next((folder / ".aside").glob(".*.reopening"))
    with stopped(30):
        scripted_run(*recipe, redo=left.name.removeprefix(".").removesuffix(".reopening"))
    assert not left.exists()


@pytest.mark.parametrize(
    "record",
    [
        {"stages": {}, "aside": ["../victim"], "changed": False},
        {"stages": {"../victim": ["../victim"]}, "aside": [], "changed": False},
        {"stages": {"label": ["label"]}, "aside": ["label", "{victim}"], "changed": False},
        {"stages": {}, "aside": ["revise/../../victim"], "changed": False},
        {"stages": {}, "aside": ["."], "changed": False},
        5,
    ],
)
def test_a_record_that_no_run_wrote_moves_nothing(scripted_run: Run, tmp_path: Path, record: object) -> None:
    folder, victim = scripted_run(), tmp_path / "victim"
    victim.mkdir()
    text = json.dumps(record).replace("{victim}", str(victim))
    (folder / "redo.json").write_text(text)
    for redo in (None, "label"):
        with pytest.raises(RunError, match=r"redo\.json is damaged; delete it, then name again"):
            scripted_run(redo=redo)
    assert victim.is_dir() and (folder / "label" / "seal.json").exists()
    (folder / "redo.json").unlink()
    scripted_run()


def test_a_reopened_stage_takes_no_place_outside_of_the_run(scripted_run: Run, tmp_path: Path) -> None:
    folder, victim = scripted_run(), tmp_path / "victim"
    victim.mkdir()
    (folder / ".aside" / "...+place.reopening").mkdir(parents=True)
    (folder / ".aside" / "...+place.reopening" / "earlier.json").write_text("{}")
    (folder / ".aside" / ".label.reopening").symlink_to(victim)
    scripted_run()
    assert victim.is_dir() and not (tmp_path / "place").exists()
    assert not [*(folder / ".aside").glob(".*")]
