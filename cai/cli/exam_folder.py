"""An exam's folder: which it is, whose, and what in it is stale."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cai.errors import UserError
from cai.recipe.block import Block
from cai.run import redo
from cai.run.context import Run
from cai.store.files import read_form, write_json
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


def set_aside_stale(run: Run, data: str, blocks: Sequence[Block] = ()) -> None:
    """What was asked under other settings, of another model or by other code, is set aside and asked anew; under the run's lock.

    Args:
        blocks: those to look at; all of the recipe's unless given.
    """
    file = run.folder / MADE_BY
    known = (read_form(file, dict[str, str]) or {}) | {DATA: _place(data)}
    for block in blocks or run.recipe.blocks:
        was, made_by = run.stage(block.name).begun, _made_by(run, block)
        if was is not None and (known.get(block.name) != made_by or was != run.settings(block.name).plain()):
            redo.afresh(run, block.name)
            run.screen.say(f"{block.name}: something changed since it was done; set aside, and asked anew")
        known[block.name] = made_by
    write_json(file, known)


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
