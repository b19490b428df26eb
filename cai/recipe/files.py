"""The files that a recipe names: beside it, in the current folder, or among the shipped ones."""

import re
from collections.abc import Callable
from pathlib import Path

from cai.data import harnesses, locations
from cai.data.prompts import PromptSource, read
from cai.errors import UserError
from cai.judge import calibration
from cai.judge.calibration import Calibration
from cai.judge.plain_text import PLAIN_TEXT, plain_text_fault
from cai.recipe.models import read_weights
from cai.stages.benchmarks import BenchmarkTask
from cai.stages.evaluate import HUB
from cai.store.rows import Prompt
from constitution.shipped import FOLDERS, find, missing
from constitution.source import Keys, Yaml

_COLUMN = re.compile(r"; name one of: (.*?) \(key `column`.*?\)")
"""What is advised of a source of prompts, which has a key for its column."""


class Files:
    """Finds them, and tells of those that are not there.

    Args:
        beside: the recipe's folder.
        wrong: is told each problem: where it stands, and a sentence.
    """

    def __init__(self, beside: Path, wrong: Callable[[Keys, str], None]) -> None:
        self.beside, self.wrong = beside, wrong

    def file(self, keys: Keys, name: str) -> Path | None:
        """One file; None, and a problem, where it is not there."""
        path = find(name, self.beside)
        if path is None:
            self.wrong(keys, missing(name, "the recipe", FOLDERS if keys[-1] != "constitution" else ("principles",)))
        return path

    def block(self, kind: str, block: Yaml, keys: Keys) -> Yaml:
        """A step's block with its files found."""
        if kind == "prompts":
            block = self._sources(block, keys)
        if kind == "pairs":
            block = self._locate(block, keys)
        for key in ("exam", "constitution"):
            if block.get(key) and not block[key].startswith(HUB):
                block[key] = str(self.file((*keys, key), block[key]) or block[key])
        if block.get("translations"):
            path = self.file((*keys, "translations", "path"), block["translations"]["path"])
            block["translations"] = {**block["translations"], "path": str(path or block["translations"]["path"])}
        if kind == "benchmarks":
            block["tasks"] = self._tasks(block, (*keys, "tasks"))
            block["data"] = {
                name: self._data(each, (*keys, "data", name)) for name, each in block.get("data", {}).items()
            }
        if "decontaminate" in block:
            where = (*keys, "decontaminate")
            block["decontaminate"] = [self._evaluation(where, each) for each in block["decontaminate"]]
        if block.get("plain_text"):
            block["plain_text"] = self._plain_text(block["plain_text"], (*keys, "plain_text"))
        if block.get("calibration"):
            block["calibration"] = self._calibrations(block, (*keys, "calibration"))
        if block.get("chat_template"):
            block["chat_template"] = self._template(block["chat_template"], (*keys, "chat_template"))
        return block

    def _tasks(self, block: Yaml, keys: Keys) -> list[BenchmarkTask]:
        """Tasks with their files found, each under a label of its own."""
        tasks: list[BenchmarkTask] = []
        for number, item in enumerate(block["tasks"]):
            entry: Yaml = {"task": item} if isinstance(item, str) else item
            place, name = harnesses.split(entry["task"])
            if place.endswith(".py") and (file := self.file((*keys, number), place)):
                entry = {**entry, "task": f"{file.resolve()}{name and '@'}{name}"}
            label = entry.get("as") or re.sub(r"[^a-z0-9_-]+", "-", (name or Path(place).stem).lower()).strip("-")
            if not label:
                self.wrong((*keys, number), "its name has no letter or digit for a folder; give it one with `as:`")
            elif label in (each.label for each in tasks):
                self.wrong(
                    (*keys, number), f'there is already a task "{label}"; give this one a name of its own with `as:`'
                )
            tasks.append(BenchmarkTask(entry["task"], label, entry.get("args", {})))
        return tasks

    def _data(self, source: str | Yaml, keys: Keys) -> str | dict[str, str]:
        """What is on disk of a task's data, found."""
        if isinstance(source, str):
            return str(self.file(keys, source) or source)
        return {split: str(self.file((*keys, split), name) or name) for split, name in source.items()}

    def _evaluation(self, keys: Keys, name: str) -> str:
        """A file of an evaluation's prompts; one without any would clean nothing."""
        path = self.file(keys, name)
        try:
            _ = path and any(isinstance(row, Prompt) for row in read({"redteam": [PromptSource(str(path))]}))
        except UserError as error:
            self.wrong(keys, _COLUMN.sub(r", but \1; rename in the file the column that holds the prompts", str(error)))
        return str(path or name)

    def _plain_text(self, name: str, keys: Keys) -> str:
        """A text with passages, found; "default" is the shipped one."""
        path = self.file(keys, PLAIN_TEXT if name == "default" else name)
        if path and (why := plain_text_fault(path)):
            self.wrong(keys, f"{name} {why}")
        return str(path or name)

    def _template(self, name: str, keys: Keys) -> str:
        """A chat template's file or model, found; "chatml" is a word of its own."""
        if name == "chatml":
            return name
        return (
            str(self.file(keys, name) or name)
            if name.endswith(".jinja")
            else read_weights(name, keys, self.beside, self.wrong)
        )

    def _calibrations(self, block: Yaml, keys: Keys) -> dict[str, Calibration]:
        """Role → the fit that is named for it."""
        value = block["calibration"]
        fits = {}
        for role, name in (value if isinstance(value, dict) else {block.get("model", ""): value}).items():
            try:
                fits[role] = calibration.load(name, self.beside)
            except UserError as error:
                self.wrong(keys, str(error))
        return fits

    def _sources(self, block: Yaml, keys: Keys) -> Yaml:
        for track in ("redteam", "helpful"):
            value = block.get(track) or []
            items = value if isinstance(value, list) else [value]
            block[track] = [self._source(item, (*keys, track)) for item in items]
        if not block["redteam"] and not block["helpful"]:
            self.wrong(keys, "needs prompts: name a file under redteam or helpful")
        return block

    def _source(self, item: str | Yaml, keys: Keys) -> PromptSource:
        fields = self._locate({"path": item} if isinstance(item, str) else item, keys)
        return PromptSource(**{**fields, "tags": tuple(fields.get("tags", ()))})

    def _locate(self, source: Yaml, keys: Keys) -> Yaml:
        """A source with its files found."""
        if bool(source.get("path")) == bool(source.get("hub")):
            self.wrong(keys, "needs exactly one of path and hub")
            return source
        if not source.get("path"):
            return source
        path = self._path(keys, source["path"])
        if path is None:
            return source
        try:
            origin = {key: source[key] for key in ("split", "config") if key in source}
            locations.files(PromptSource(path, **origin))
        except UserError as error:
            self.wrong(keys, str(error))
        return {**source, "path": path}

    def _path(self, keys: Keys, name: str) -> str | None:
        """One file or folder, or a path with wildcards, where it matches; None, and a problem, where there is none."""
        if not locations.WILD.search(name) or find(name, self.beside):
            path = self.file(keys, name)
            return str(path) if path else None
        places = [str(self.beside / Path(name).expanduser()), name]
        return next((each for each in places if locations.fits(each)), places[-1])
