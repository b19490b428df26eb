"""A run's folder: what it says of itself, and the constitutions it was made under."""

import re
from contextlib import suppress
from pathlib import Path
from typing import NotRequired, TypedDict

from cai.errors import RunError, UserError
from cai.store.files import read_form
from cai.store.form import Amount, Count
from constitution.load import digest, load
from constitution.model import Constitution

OWN_FOLDERS = ("constitutions", "logs")
"""Folders of every run, which are no stage's."""


def is_stage(name: str) -> bool:
    """Whether it can be the name of a stage, or of a folder in one, and leads to nowhere outside of the run.

    Anybody may have written what a run's files say.
    """
    return all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", part) for part in name.split("/"))


class StageNote(TypedDict):
    """What a run says of one of its stages; the last two of those that belong to rounds."""

    name: str
    kind: str
    reads: str
    rounds: NotRequired[str]
    round: NotRequired[Count]


PriceNote = TypedDict("PriceNote", {"in": Amount, "out": Amount, "cached": NotRequired[Amount]})
"""What a million tokens of a role cost."""


class RunNote(TypedDict):
    """What a run says of itself.

    Attributes:
        principles: id → title.
        models: role → what its model is called.
        prices: role → what a million of its tokens costs, of those that have a price.
    """

    recipe: str
    seed: int
    constitution: str
    constitution_version: str
    constitution_digest: str
    principles: dict[str, str]
    models: dict[str, str]
    prices: NotRequired[dict[str, PriceNote]]
    stages: list[StageNote]


def run_note(folder: Path) -> RunNote:
    """What a run says of itself in ``run.json``: its recipe, its constitution, its stages.

    Raises:
        UserError: the file is not one that a run wrote.
    """
    path = folder / "run.json"
    with suppress(RunError):
        data: RunNote | None = read_form(path, RunNote)
        if data and all(is_stage(each["name"]) for each in data["stages"]):
            return data
    raise UserError(f"{path} is not what a run wrote there; run its recipe again, which writes it anew")


def constitution_file(folder: Path, key: str) -> Path:
    """Where a run keeps a constitution that it used, by its digest."""
    return folder / "constitutions" / f"{key}.yaml"


def former_constitution(folder: Path, key: str, stage: str = "") -> Constitution:
    """The constitution under which a run, or a stage of it, was made, by its digest.

    Raises:
        UserError: the run does not have it, or has another one in its place.
    """
    path, maker = constitution_file(folder, key), stage or "this run"
    todo = f"do {stage} again with: --redo {stage}" if stage else "name the constitution's file instead"
    if not path.exists():
        raise UserError(f"{path} is gone, the constitution that made {maker}; {todo}")
    if digest(former := load(path)) != key:
        raise UserError(f"{path} was changed since, and is not what made {maker}; put it back as it was, or {todo}")
    return former


def kind_of(folder: Path, name: str) -> str:
    """The word of a run's stage, such as "label"; empty where it has no such stage."""
    return next((each["kind"] for each in run_note(folder)["stages"] if each["name"] == name), "")
