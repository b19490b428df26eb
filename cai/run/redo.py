"""Rows that are done, to be done again: a stage with all that is built on it, or only what a changed constitution touches.

What is under way stands in the run's ``redo.json`` from before anything is set aside until all of it is sealed again. So a
redo that was stopped goes on, by the same command or without its option, and what was done since is not set aside again.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, TypeVar

from cai.errors import RunError, UserError
from cai.recipe.block import Block
from cai.run import effects, rounds
from cai.run.context import Run
from cai.run.effects import Effect
from cai.store import reopen
from cai.store.files import RunLock, read_form, write_json
from cai.store.ledger import Fingerprint, PlainFingerprint
from cai.store.run_folder import StageNote, is_stage
from cai.store.stage import Stage
from constitution.source import nearest
from constitution.wording import count

T = TypeVar("T")


class Record(TypedDict):
    """What is under way.

    Attributes:
        stages: the stage named → it and all that is built on it.
        aside: what is still to be moved, in order.
        changed: whether a changed constitution's effects are being applied.
    """

    stages: dict[str, list[str]]
    aside: list[str]
    changed: bool


RECORD = "redo.json"


def stage(run: Run, name: str) -> str:
    """Set a stage and all that is built on it aside, to be done again, or go on with doing so; returns a line that says it.

    Where this redo is under way, what was done since stands, but for what was done under other settings or cannot be
    gone on with.

    Raises:
        UserError: the recipe has no such stage.
    """
    names = [block.name for block in run.recipe.blocks]
    if name not in names:
        raise UserError(f'--redo {name}: the recipe has no stage "{name}"; {nearest(name, names)}')
    with RunLock(run.folder):
        take_up_moves(run)
        record = _under_way(run)
        stale = built_on(run, {name})
        underway = name in record["stages"]
        spoilt = built_on(run, {each for each in stale if _spoilt(run, each)}) if underway else stale
        moves = [each for each in stale if each in spoilt and (run.folder / each).exists()]
        record["stages"][name], record["aside"] = stale, moves
        _write(run, record)
        take_up_moves(run)
    text = f"set aside: {', '.join(moves) or 'nothing'}"
    return f"the redo of {name} goes on, {text}; to begin it anew, delete {run.folder / RECORD}" if underway else text


def afresh(run: Run, name: str) -> dict[str, Path]:
    """Set a stage and all that is built on it aside, whatever is under way, under the run's lock; returns where each has gone."""
    return _set_aside(run, built_on(run, {name}))


def changed(run: Run) -> list[str]:
    """Let what a changed constitution leaves as it is stand, and open what it touches; a line for each stage.

    See ``cai.run.effects.effect`` for what becomes of a stage; one that stands is stamped with the new settings.

    Raises:
        UserError: something else than the constitution changed too, or the former constitution is not kept.
        RunError: rows are gone from which others were made.
    """
    with RunLock(run.folder):
        take_up_moves(run)
        return _changed(run)


def take_up(run: Run) -> list[str]:
    """Finish what a killed redo had begun to set aside or to open, under the run's lock; lines as of ``changed``.

    Raises:
        UserError, RunError: as ``changed``.
    """
    take_up_moves(run)
    return _changed(run) if _record(run)["changed"] else []


def take_apart(run: Run, names: list[str]) -> list[str]:
    """Set stages aside, or folders within stages, which are then no longer done, under the run's lock; goes on after a kill.

    Returns:
        those that there were.
    """
    there = [name for name in names if (run.folder / name).exists()]
    _write(run, {**_record(run), "aside": there})
    take_up_moves(run)
    return there


def unseal(run: Run, name: str) -> None:
    """Let a stage be no longer done."""
    (run.folder / name / "seal.json").unlink(missing_ok=True)


def take_up_moves(run: Run) -> None:
    """Put every folder where a killed redo was about to put it."""
    reopen.take_up(run.folder)
    record = _record(run)
    if record["aside"]:
        _set_aside(run, record["aside"])
        _write(run, {**record, "aside": []})


def forget(run: Run) -> None:
    """Strike out what is done again."""
    _write(run, _under_way(run))


def _record(run: Run) -> Record:
    path, nothing = run.folder / RECORD, Record(stages={}, aside=[], changed=False)
    with suppress(RunError):
        record: Record = read_form(path, Record) or nothing
        if all(map(is_stage, (*record["stages"], *record["aside"]))):
            return record
    raise RunError(f"{path} is damaged; delete it, then name again what is to be done again with: --redo STAGE")


def _write(run: Run, record: Record) -> None:
    if any(record.values()):
        write_json(run.folder / RECORD, record)
    else:
        (run.folder / RECORD).unlink(missing_ok=True)


def _under_way(run: Run) -> Record:
    """The record without the redos whose stages are sealed again."""
    record = _record(run)
    blocks = {block.name: block for block in run.recipe.blocks}
    unsealed = {name for name in blocks if not (run.folder / name / "seal.json").exists()}
    unfinished = {name for name in unsealed if not _not_run(run, blocks[name])}
    return {**record, "stages": {name: stale for name, stale in record["stages"].items() if unfinished & {*stale}}}


def _not_run(run: Run, block: Block) -> bool:
    """As ``rounds.not_run``; False where a verdict is damaged, which may be what is to be done again."""
    with suppress(RunError):
        return rounds.not_run(run, block)
    return False


def built_on(run: Run, names: set[str]) -> list[str]:
    """Stages and all that is built on them, in order; last those that the recipe has no more, but may have again."""
    inputs = {block.name: run.settings(block.name).inputs.keys() for block in run.recipe.blocks}
    inputs |= {name: stage.begun["inputs"].keys() for name, stage in _others(run).items() if stage.begun}
    stale = set(names)
    while more := {name for name, needs in inputs.items() if stale & needs} - stale:
        stale |= more
    return [name for name in inputs if name in stale]


def _others(run: Run) -> dict[str, Stage]:
    """The stages in the run's folder that its recipe does not have."""
    ids = {block.name for block in run.recipe.blocks}
    folders = [path.parent for depth in ("*", "*/*") for path in run.folder.glob(f"{depth}/begun.json")]
    # Those within another stage's folder, such as an evaluation's comparisons, go with it.
    names = [str(path.relative_to(run.folder)) for path in folders if path.parent not in folders]
    return {name: run.stage(name) for name in sorted(names) if name not in ids and not name.startswith(".")}


def _spoilt(run: Run, name: str) -> bool:
    """Whether a stage that was begun again cannot be gone on with: other settings decide it now, or its rows are no use."""
    block, stage = next((each for each in run.recipe.blocks if each.name == name), None), run.stage(name)
    if block is None or not stage.folder.exists():
        return False
    try:
        run.whole(block)
        is_empty = stage.tally().rows_in > 0 and not stage.tally().rows_out and not stage.open_parts()
        return is_empty or stage.begun != run.settings(name).plain()
    except RunError:
        return True


def _set_aside(run: Run, names: list[str]) -> dict[str, Path]:
    there = [name for name in reversed(names) if (run.folder / name).exists()]
    for name in there:
        unseal(run, str(Path(name).parent))  # where it is a folder in another stage
    # In this order: killed in between, no stage is left that looks newer than its input.
    return {name: reopen.set_aside(run.stage(name), run.folder) for name in there}


def _changed(run: Run) -> list[str]:
    run.keep_constitution()
    plan: list[Effect] = []
    for block in run.recipe.blocks:
        plan += _effect(run, block, {each.stage for each in plan if each.action != "stands"})
    _write(run, {**_record(run), "changed": True})
    # What is built on a stage goes first, so that a kill in between leaves no stage that looks newer than its input.
    for each in reversed(plan):
        _apply(run, each)
    _write(run, {**_record(run), "changed": False})
    return [_line(each) for each in plan]


def _effect(run: Run, block: Block, stale: set[str]) -> list[Effect]:
    settings, stage = run.settings(block.name), run.stage(block.name)
    was = stage.begun and _current(run, block.name, stage.begun)
    if was is None or was == settings.plain():
        return []
    effects.only_constitution(block.name, was, settings)
    run.whole(block)
    note: StageNote = {"name": block.name, "kind": block.kind, "reads": block.reads}
    return [effects.effect(run.folder, note, run.constitution_of(block), stale)]


def _apply(run: Run, effect: Effect) -> None:
    stage, settings = run.stage(effect.stage), run.settings(effect.stage)
    if effect.action == "aside":
        reopen.set_aside(stage, run.folder)
        return
    for name, (ids, _) in effect.touched.items():
        inner = Stage(run.folder / name)
        if ids and inner.folder != stage.folder:  # an evaluation's comparisons: it is sealed when they are done again
            (stage.folder / "seal.json").unlink(missing_ok=True)
        if ids:
            reopen.reopen(inner, run.folder, _within(settings, stage, inner), set(ids))
    stamp(stage, settings)


def stamp(stage: Stage, settings: Fingerprint) -> None:
    """Let a stage's rows, and those in folders of its own, stand as made under settings that would make the very same ones.

    What is stamped last is the stage itself: killed before, the same command finds it changed and goes on.
    """
    for file in stage.folder.glob("*/begun.json"):
        inner = Stage(file.parent)
        inner.restamp(_within(settings, stage, inner))
    stage.restamp(settings)


def renew(run: Run, name: str) -> None:
    """Bring what a stage was begun under into the words of today; its rows are the same."""
    stage, now = run.stage(name), run.settings(name)
    begun = stage.begun
    if begun is None or begun == now.plain() or (current := _current(run, name, begun)) == begun:
        return
    if current == now.plain():
        stamp(stage, now)
    else:
        write_json(stage.folder / "begun.json", current)


def _current(run: Run, name: str, begun: PlainFingerprint) -> PlainFingerprint:
    """What a stage was begun under, in today's words where models stand in it by the names of their files."""
    now, former = run.settings(name).plain(), run.settings(name, former=True).plain()
    models = now["models"] if begun["models"] == former["models"] else begun["models"]
    block = _renewed(begun["block"], former["block"], now["block"])
    inputs = _renewed(begun["inputs"], former["inputs"], now["inputs"])
    return {**begun, "models": models, "block": block, "inputs": inputs}


def _renewed(begun: dict[str, T], former: dict[str, T], now: dict[str, T]) -> dict[str, T]:
    """What was begun, in today's words where they say the same."""
    return begun | {key: now[key] for key, was in begun.items() if key in now and was == former[key]}


def _within(settings: Fingerprint, stage: Stage, inner: Stage) -> Fingerprint:
    """The settings of a stage inside another one's folder, such as an evaluation's comparisons."""
    return settings if inner.folder == stage.folder else replace(settings, stage=f"{stage.name}/{inner.name}")


def _line(effect: Effect) -> str:
    match effect.action:
        case "aside":
            return f"{effect.stage}: set aside, to be done again"
        case "reopen":
            return f"{effect.stage}: {len(effect.ids)} of {count(effect.rows, 'row')} done again, the others stand"
    return f"{effect.stage}: stands as it is"
