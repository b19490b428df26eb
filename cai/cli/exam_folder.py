"""An exam's folder: which it is, whose, and what in it is stale."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cai.errors import UserError
from cai.recipe.block import Block
from cai.run import redo
from cai.run.context import Run
from cai.store.files import RunLock, read_form, write_json
from cai.store.run_folder import run_note
from constitution.shipped import HOME
from constitution.visible import without_password

MADE_BY, DATA = "made-by.json", "data"
"""The file that says what an exam was made by, and its key for the pairs that it is on."""
CODE = (
    *("constitution/*.py", "cai/judge/methods/*.py", "cai/models/*.py", "cai/stages/label.py", "cai/stages/pairs.py"),
    *("cai/judge/compare.py", "cai/judge/settings.py", "cai/judge/settle.py", "cai/judge/calibration.py"),
    "cai/data/*.py",
)
"""What puts questions, reads answers and settles votes: a change of it makes an exam stale."""


def of(data: str, name: str) -> Path:
    """The folder of an exam on these pairs, unless told; two inputs of one name do not share one.

    Args:
        name: of the recipe of an exam.
    """
    folder = Path("runs") / f"{name}-{Path(data.removeprefix('hub:')).name.partition('.')[0]}"
    if _examined(folder) in ("", _place(data)):
        return folder
    return folder.with_name(f"{folder.name}-{hashlib.sha256(_place(data).encode()).hexdigest()[:6]}")


def free(out: Path, data: str, name: str) -> None:
    """Only the folder of an exam on these pairs may be taken; what is stale is set aside in it.

    Args:
        name: of the recipe of an exam.

    Raises:
        UserError: it is somebody else's.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is a file; name a folder")
    if (out / "run.json").exists() and run_note(out)["recipe"] != name:
        raise UserError(f"--out: {out} is a run's folder; name another one")
    if (other := _examined(out)) not in ("", _place(data)):
        raise UserError(f"--out: {out} has the exam on {other}; name another folder")


def _place(data: str) -> str:
    """Where pairs are, wherever the command is called from."""
    return data if data.startswith("hub:") else str(Path(data).resolve())


def _examined(folder: Path) -> str:
    """The pairs of the exam in a folder; empty where there is none, or nobody knows."""
    return (read_form(folder / MADE_BY, dict[str, str]) or {}).get(DATA, "")


@contextmanager
def renewed(run: Run, data: str) -> Iterator[dict[str, Path]]:
    """Set aside what is stale, to be asked anew; what nothing came of in place of is put back, so that a failure costs no exam.

    Stale is what was asked under other settings, of another model or by other code.

    Yields:
        where each stage has gone; a stage that is set aside later is to be added.
    """
    file = run.folder / MADE_BY
    before = read_form(file, dict[str, str]) or {}
    with RunLock(run.folder):
        aside = set_aside_stale(run, data)
    try:
        yield aside
    except BaseException:
        if names := _put_back(run, aside):
            write_json(file, (read_form(file, dict[str, str]) or {}) | {name: before.get(name, "") for name in names})
            run.screen.say(f"{', '.join(names)}: what was done before is put back, as nothing came of asking anew")
        raise


def set_aside_stale(run: Run, data: str, blocks: Sequence[Block] = ()) -> dict[str, Path]:
    """Set aside what is stale, under the run's lock.

    Args:
        blocks: those to look at; all of the recipe's unless given.

    Returns:
        where each stage has gone; what all are made by now is written.
    """
    known = (read_form(run.folder / MADE_BY, dict[str, str]) or {}) | {DATA: _place(data)}
    aside: dict[str, Path] = {}
    for block in blocks or run.recipe.blocks:
        was, made_by = run.stage(block.name).begun, _made_by(run, block)
        if was is not None and (known.get(block.name) != made_by or was != run.settings(block.name).plain()):
            aside |= redo.afresh(run, block.name)
            run.screen.say(f"{block.name}: something changed since it was done; set aside, and asked anew")
        known[block.name] = made_by
    write_json(run.folder / MADE_BY, known)
    return aside


def _put_back(run: Run, aside: dict[str, Path]) -> list[str]:
    """Put stages back that have no new row; none where the pairs are others and there are rows of those. Returns their names."""
    names = [block.name for block in run.recipe.blocks]
    sources = {block.name for block in run.recipe.blocks if block.table.shape == "source"}
    if sources & aside.keys() and any(run.stage(name).count_done() for name in names if name not in sources):
        return []
    idle = [name for name in aside if name in sources or not run.stage(name).count_done()]
    with RunLock(run.folder):
        for name in reversed(idle):  # the pairs first, on which the others are built
            shutil.rmtree(run.folder / name, ignore_errors=True)
            aside[name].rename(run.folder / name)
    return idle


def _made_by(run: Run, block: Block) -> str:
    """A fingerprint of what settings do not hold: the code that puts questions and reads answers, and where the model is."""
    found = hashlib.sha256()
    for pattern in CODE:
        files = sorted(HOME.glob(pattern))
        assert files, f"{pattern} names no file: what puts the questions has moved"
        for file in files:
            found.update(file.read_bytes())
    for role in block.roles():
        spec = run.spec(role)
        found.update(repr((tuple(map(without_password, spec.endpoints)), spec.model)).encode())
    return found.hexdigest()[:16]
