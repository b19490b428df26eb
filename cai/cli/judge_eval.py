"""``cai judge-eval``: a judge's exam on pairs that people compared, by one method or several.

The exam is a run like any other: a ``pairs`` stage, and a ``label`` stage for each method, in a folder with parts and
seals. So a killed exam goes on where it was, rows can be shown, and what was asked is kept only while nothing changed
that decides it: data, model, constitution, settings, and the code that puts the questions.
"""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import cast

import yaml

from cai.cli import exam_folder
from cai.cli.exam_words import typed
from cai.data.locations import WILD
from cai.errors import UserError, install
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.judge import calibration
from cai.judge.agreement import agreement
from cai.judge.calibration import KINDS
from cai.judge.exam import ExamFigures, MethodFigures, Share, doubt
from cai.judge.figures import figures, judged_pairs
from cai.judge.kinds import by_kind, read_as
from cai.judge.methods import METHODS
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.recipe.models import command_model
from cai.recipe.read import read_recipe
from cai.recipe.recipe import Recipe
from cai.report import judge as judge_report
from cai.run.context import Run
from cai.run.walk import go
from cai.stages.label import Label
from cai.store.files import write_json
from cai.store.rows import Preference
from cai.store.run_folder import run_note
from cai.store.stage import Stage
from constitution.model import Constitution
from constitution.shipped import advice, find
from constitution.source import InputError, nearest, parse_yaml
from constitution.visible import json_text

NAME = "exam"
JUDGE, REWARD = "judge", "reward-model"
ALL = "all"
NAMES = re.compile(r"[A-Za-z0-9](?!.*\.json$)[A-Za-z0-9._-]*")
SETTABLE = {each.name for each in fields(Label)} - {"model", "panel", "method"}
EXAMINED = tuple(name for name in METHODS if name != "people")  # who would be right by what they are measured by


@dataclass(frozen=True, slots=True)
class JudgeEval:
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
    pairs: tuple[tuple[str, object], ...] = ()
    seed: int = 0
    kind: str = ""
    name: str = ""


def examine_judge(exam: JudgeEval, models: tuple[str | None, str | None], out: Path | None, as_json: bool) -> None:
    """Sit the exam, show its table, write its page, and save a calibration where one is named."""
    screen = Screen()
    screen.console.stderr = as_json
    model, reward = models
    judge = command_model(model) if model else None
    scorer = command_model(reward, prefer="reward") if reward else None
    folder = out or exam_folder.of(exam.data, NAME)
    try:
        figures = judge_eval(exam, judge, scorer, folder, screen)
    except InputError as error:
        raise UserError(typed(str(error))) from None
    judge_report.write(folder, figures)
    if as_json:
        line(json_text(figures))
    else:
        screen.console.print(judge_report.table(figures, screen.console.width))
        for text in judge_report.sentences(figures):
            screen.say(text)
    screen.say(f"{folder / 'exam.html'}, {folder / 'exam.json'}")
    if exam.name:
        screen.say(f"calibration: {save_calibration(exam, folder, figures, Path())}")


def judge_eval(
    exam: JudgeEval, model: ModelSpec | None, reward: ModelSpec | None, out: Path, screen: Screen
) -> ExamFigures:
    """Sit the exam; returns all figures, which are in ``out/exam.json`` too.

    Raises:
        InputError: something named does not exist or does not go together.
        RunError: a model failed; what was judged stays.
    """
    sensible(exam)
    exam_folder.free(out, exam.data, NAME)
    models = {JUDGE: model, REWARD: reward}
    recipe = _recipe(exam, {role: replace(spec, role=role) for role, spec in models.items() if spec}, out)
    run = Run(recipe, out, screen)
    with exam_folder.renewed(run, exam.data):
        go(run)
    figures: ExamFigures = {
        "data": exam.data,
        "constitution": recipe.constitution.name,
        "constitution_version": recipe.constitution.version,
        "seed": exam.seed,
        "pairs": (run.stage("pairs").seal or {}),
        "methods": {block.name: figures_of(run, block, exam.kind) for block in recipe.blocks[1:]},
    }
    write_json(out / "exam.json", figures)
    return figures


def save_calibration(exam: JudgeEval, out: Path, figures: ExamFigures, folder: Path) -> Path:
    """Fit a calibration on all pairs and write it under its name; returns the file."""
    [(method, found)] = figures["methods"].items()
    pairs = [each for each in judged_pairs(_rows(out, method)) if each.p is not None]
    fitted = calibration.fit(exam.kind, [each.p or 0.0 for each in pairs], [each.people for each in pairs])
    begun = Stage(out / method).begun
    assert begun is not None  # its rows were judged a moment ago
    about = {
        "data": figures["data"],
        "pairs": len(pairs),
        "ece_before": found["ece"],
        "ece_after": found.get("calibrated", {}).get("ece"),
    }
    judge = {key: begun["block"][key] for key in calibration.DECIDES}
    [(role, model)] = begun["models"].items() or [("", {})]
    judge |= {"constitution": begun["constitution"], "model": run_note(out)["models"].get(role) or found["model"]}
    judge |= {"weights": model["weights"]} if model.get("weights") else {}
    judge |= {"names": begun["block"]["names"]} if "names" in begun["block"] else {}
    judge |= read_as(found.get("by_kind", {}))
    path = folder / calibration.FOLDER / f"{exam.name}.json"
    calibration.save(replace(fitted, judge=judge, about=about), path)
    return path


def sensible(exam: JudgeEval) -> None:
    """Raises UserError where something named does not exist or does not go together."""
    if importlib.util.find_spec("sklearn") is None or importlib.util.find_spec("statsmodels") is None:
        raise UserError(f"an exam needs the packages scikit-learn and statsmodels; run: {install('judge')}")
    if not exam.data.startswith("hub:") and not Path(exam.data).exists() and not WILD.search(exam.data):
        raise UserError(f"there is no file {exam.data or 'without a name'}; name the pairs' file, or hub:OWNER/NAME")
    if find(exam.constitution) is None:
        text = advice(exam.constitution, "name a constitution")
        raise UserError(f"--constitution: there is no file {exam.constitution}; {text}")
    for name in exam.methods:
        if name not in (*EXAMINED, ALL):
            raise UserError(f'--method: there is no "{name}"; {nearest(name, [*EXAMINED, ALL])}')
    if exam.kind and exam.kind not in KINDS:
        raise UserError(f'--calibrate: there is no "{exam.kind}"; {nearest(exam.kind, list(KINDS))}')
    if exam.name and not NAMES.fullmatch(exam.name):
        raise UserError(f'--name: "{exam.name}" is no name; take letters, digits, . - and _, without .json at its end')
    if exam.name and not exam.kind:
        raise UserError("--name is for a calibration; add --calibrate temperature or isotonic")
    if exam.name and (len(exam.methods) != 1 or ALL in exam.methods):
        raise UserError("--name saves the calibration of one judge; give a single --method")


def _recipe(exam: JudgeEval, models: dict[str, ModelSpec], out: Path) -> Recipe:
    """The exam as a recipe; raises as ``load_recipe``."""
    pairs = dict(exam.pairs)
    pairs |= {"hub": exam.data.removeprefix("hub:")} if exam.data.startswith("hub:") else {"path": exam.data}
    names = _methods(exam, models)
    labels = [{"label": {**_roles(name, models), "method": name, "as": name}} for name in names]
    stages = [{"pairs": pairs}, *({"label": block["label"]} for block in labels)]
    data = {"name": NAME, "seed": exam.seed, "constitution": str(exam.constitution), "stages": stages}
    source = parse_yaml(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), Path("exam"))
    spread = [each for text in exam.settings for each in _spread(text, names, exam)]
    return read_recipe(source, spread, models=models)


def _spread(text: str, names: Sequence[str], exam: JudgeEval) -> list[str]:
    """A setting for every method, or for the one that it names, as a recipe's override."""
    head, dot, rest = text.partition("=")[0].partition(".")
    if dot and head in EXAMINED and head not in (*names, *SETTABLE):
        raise UserError(f'"{text}": {head} is not examined here; add --method {head}')
    key = rest if dot and head in names and head not in SETTABLE else head
    if key.partition(".")[0] not in SETTABLE:
        raise UserError(f'"{text}": there is no such setting of a judge; {nearest(key, sorted(SETTABLE))}')
    if key == "calibration" and exam.kind:
        raise UserError(f'"{text}" beside --calibrate: fit what the judge itself says, without another calibration')
    if key != head:
        return [text]
    return [f"{name}.{text}" for name in names if head != "rules" or name == "rules"]


def _methods(exam: JudgeEval, models: dict[str, ModelSpec]) -> list[str]:
    """The methods that are meant; "all" are those that the models and the constitution at hand allow."""
    if ALL not in exam.methods:
        return list(dict.fromkeys(exam.methods))
    from constitution.load import load

    known = load(exam.constitution)
    return [name for name in EXAMINED if _can(name, models, known)]


def _can(name: str, models: dict[str, ModelSpec], constitution: Constitution) -> bool:
    method = METHODS[name]
    there = {"text": JUDGE in models, "reward": REWARD in models, "": True}[method.model_kind]
    return there and (not method.needs or any(map(method.judges_by, constitution.principles)))


def _roles(name: str, models: dict[str, ModelSpec]) -> dict[str, str]:
    asks = METHODS[name].model_kind
    role = {"text": JUDGE, "reward": REWARD, "": ""}[asks]
    if role and role not in models:
        option = "--model" if role == JUDGE else "--reward"
        raise UserError(f"the method {name} needs {option}; name a model")
    return {"model": role} if role else {}


def _rows(out: Path, method: str) -> Iterator[Preference]:
    return Stage(out / method).all_rows(Preference)


def figures_of(run: Run, block: Block, kind: str) -> MethodFigures:
    """All figures of a label block that is done; ``kind`` of a calibration to try."""
    seal = run.stage(block.name).seal
    assert seal is not None
    pairs = list(judged_pairs(_rows(run.folder, block.name)))
    models = dict.fromkeys(vote.model for each in pairs for vote in each.row.votes)
    found = figures(pairs, block.want, kind)
    found["by_kind"] = by_kind(pairs)
    plain = {key: _plain(value) for key, value in found.items()}
    cost = {key: seal[key] for key in ("tokens_in", "tokens_cached", "tokens_out", "seconds")}
    known = {"model": ", ".join(models), "left_out": seal["dropped"], "question": doubt(found["accuracy_read"].high)}
    return cast("MethodFigures", {**known, **plain, "people": agreement(pairs), "cost": cost})


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return asdict(value) if isinstance(value, Share) else value
