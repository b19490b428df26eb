"""``cai judge-eval``: a judge's exam on pairs that people compared, by one method or several.

The exam is a run like any other: a ``pairs`` stage, and a ``label`` stage for each method, in a folder with parts and
seals. So a killed exam goes on where it was, rows can be shown, and what was asked is kept only while nothing changed
that decides it: data, model, constitution, settings, and the code that puts the questions.
"""

import asyncio
import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cai import calibration, methods, redo
from cai.agreement import agreement
from cai.calibration import KINDS
from cai.errors import UserError
from cai.files import read_json, write_json
from cai.marks import marked, marks
from cai.methods import METHODS
from cai.models import ModelSpec
from cai.recipe import Recipe, read_recipe
from cai.rows import Preference
from cai.run import Run
from cai.screen import Screen
from constitution.model import Constitution
from constitution.source import SHIPPED, nearest, parse_yaml

JUDGE, REWARD = "judge", "reward-model"
ALL = "all"
EXAMINED = tuple(name for name in METHODS if name != "people")  # who would be right by what they are measured by


@dataclass(frozen=True, slots=True)
class Exam:
    """What is to be examined.

    Attributes:
        data: the pairs' file, or ``hub:OWNER/NAME``.
        methods: names, or "all".
        settings: of the label blocks, ``key=value`` for all methods or ``method.key=value`` for one.
        pairs: of the pairs block: limit, columns and so on.
        kind: "temperature" or "isotonic", to fit a calibration too.
        name: to save it under; needs a single method.
    """

    data: str
    constitution: Path
    methods: tuple[str, ...] = ("logprob",)
    settings: tuple[str, ...] = ()
    pairs: tuple[tuple[str, Any], ...] = ()
    seed: int = 0
    kind: str = ""
    name: str = ""


def judge_eval(
    exam: Exam, model: ModelSpec | None, reward: ModelSpec | None, out: Path, screen: Screen
) -> dict[str, Any]:
    """Sit the exam; returns all figures, which are in ``out/exam.json`` too.

    Raises:
        InputError: something named does not exist or does not go together.
        RunError: a model failed; what was judged stays.
    """
    _sensible(exam)
    models = {JUDGE: model, REWARD: reward}
    recipe = _recipe(exam, {role: replace(spec, role=role) for role, spec in models.items() if spec}, out)
    run = Run(recipe, out, screen)
    _set_aside_stale(run)
    asyncio.run(run.walk())
    figures = {
        "data": exam.data,
        "constitution": recipe.constitution.name,
        "constitution_version": recipe.constitution.version,
        "seed": exam.seed,
        "pairs": (run.stage("pairs").seal or {}),
        "methods": {block.name: _figures(run, block.name, exam.kind) for block in recipe.blocks[1:]},
    }
    write_json(out / "exam.json", figures)
    return figures


def save_calibration(exam: Exam, out: Path, figures: dict[str, Any], folder: Path) -> Path:
    """Fit a calibration on all pairs and write it under its name; returns the file."""
    [(method, found)] = figures["methods"].items()
    pairs = [each for each in marked(_rows(out, method)) if each.p is not None]
    fitted = calibration.fit(exam.kind, [each.p or 0.0 for each in pairs], [each.people for each in pairs])
    begun = read_json(out / method / "begun.json")
    about = {
        "data": figures["data"],
        "pairs": len(pairs),
        "ece_before": found["ece"],
        "ece_after": found["calibrated"]["ece"],
    }
    judge = {key: begun["block"][key] for key in calibration.DECIDES}
    [model] = begun["models"].values() or [{}]
    judge |= {"constitution": begun["constitution"], "model": model.get("model") or found["model"]}
    path = folder / calibration.FOLDER / f"{exam.name}.json"
    calibration.save(replace(fitted, judge=judge, about=about), path)
    return path


def _sensible(exam: Exam) -> None:
    for name in exam.methods:
        if name not in (*EXAMINED, ALL):
            raise UserError(f'--method: there is no "{name}"; {nearest(name, [*EXAMINED, ALL])}')
    if exam.kind and exam.kind not in KINDS:
        raise UserError(f'--calibrate: there is no "{exam.kind}"; {nearest(exam.kind, list(KINDS))}')
    if exam.name and not exam.kind:
        raise UserError("--name is for a calibration; add --calibrate temperature or isotonic")
    if exam.name and (len(exam.methods) != 1 or ALL in exam.methods):
        raise UserError("--name saves the calibration of one judge; give a single --method")


def _recipe(exam: Exam, models: dict[str, ModelSpec], out: Path) -> Recipe:
    """The exam as a recipe; raises as ``load_recipe``."""
    pairs: dict[str, Any] = dict(exam.pairs)
    pairs |= {"hub": exam.data.removeprefix("hub:")} if exam.data.startswith("hub:") else {"path": exam.data}
    names = _methods(exam, models)
    labels = [{"label": {**_roles(name, models), "method": name, "as": name}} for name in names]
    stages = [{"pairs": pairs}, *({"label": block["label"]} for block in labels)]
    data = {"name": "exam", "seed": exam.seed, "constitution": str(exam.constitution), "stages": stages}
    source = parse_yaml(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), Path("exam"))
    keyed = [each.partition("=")[0] for each in exam.settings]
    spread = [
        text if "." in key else f"{name}.{text}"
        for text, key in zip(exam.settings, keyed, strict=True)
        for name in (names if "." not in key else names[:1])
    ]
    return read_recipe(source, spread, models=models)


def _methods(exam: Exam, models: dict[str, ModelSpec]) -> list[str]:
    """The methods that are meant; "all" are those that the models and the constitution at hand allow."""
    if ALL not in exam.methods:
        return list(dict.fromkeys(exam.methods))
    from constitution.load import load

    known = load(exam.constitution)
    return [name for name in EXAMINED if _can(name, models, known)]


def _can(name: str, models: dict[str, ModelSpec], constitution: Constitution) -> bool:
    method = METHODS[name]
    there = {"text": JUDGE in models, "reward": REWARD in models, "": True}[method.asks]
    return there and (not method.by or any(map(method.judges_by, constitution.principles)))


def _roles(name: str, models: dict[str, ModelSpec]) -> dict[str, str]:
    asks = METHODS[name].asks
    role = {"text": JUDGE, "reward": REWARD, "": ""}[asks]
    if role and role not in models:
        option = "--model" if role == JUDGE else "--reward"
        raise UserError(f"the method {name} needs {option}; name a model")
    return {"model": role} if role else {}


def _set_aside_stale(run: Run) -> None:
    """What was asked under other settings, or by other code, is set aside and asked anew."""
    code, file = _code(), run.folder / "code.json"
    same = file.exists() and read_json(file) == {"code": code}
    for block in run.recipe.blocks:
        was = run.stage(block.name).begun
        if was is not None and (not same or was != run.settings(block.name).plain()):
            redo.stage(run, block.name)
            run.screen.say(f"{block.name}: something changed since it was done; set aside, and asked anew")
    write_json(file, {"code": code})


def _code() -> str:
    """A fingerprint of all that puts questions and reads answers."""
    folders = SHIPPED / "constitution", Path(methods.__file__).parent
    files = sorted(file for folder in folders for file in folder.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _rows(out: Path, method: str) -> Any:
    from cai.store import Stage

    return Stage(out / method).all_rows(Preference)


def _figures(run: Run, name: str, kind: str) -> dict[str, Any]:
    seal = run.stage(name).seal or {}
    pairs = list(marked(_rows(run.folder, name)))
    if not pairs:
        raise UserError(
            f"{run.recipe.name}: no pair has a label of people's; name the label's column with --columns label=…"
        )
    models = dict.fromkeys(vote.model for each in pairs for vote in each.row.votes)
    found = marks(pairs, kind)
    plain = {key: _plain(value) for key, value in found.items()}
    cost = {key: seal[key] for key in ("tokens_in", "tokens_cached", "tokens_out", "seconds")}
    people = agreement(pairs)
    return {"model": ", ".join(models), "left_out": seal["dropped"], **plain, "people": people, "cost": cost}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
