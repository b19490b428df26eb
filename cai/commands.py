"""What the commands of a constitution's author do: ``cai test``, ``cai judge-eval``, ``cai try``, ``cai diff``."""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from cai import change, trial
from cai.errors import UserError
from cai.judge import examples
from cai.judge.methods import METHODS
from cai.judge.settings import Judging
from cai.judge_eval import Exam, judge_eval, save_calibration
from cai.models import Model, ModelSpec, bundled, open_model
from cai.models.naming import named
from cai.plan import plan
from cai.recipe import load_recipe
from cai.report import change as change_report
from cai.report import exam as exam_report
from cai.report import judge_eval as judge_report
from cai.report import plan as plan_report
from cai.report.summary import run_folder
from cai.rows import is_text
from cai.screen import Screen
from cai.stages.prompts import TRACKS
from cai.store import described
from cai.trial import Trial
from constitution import draw
from constitution.diff import changes
from constitution.load import load
from constitution.model import Constitution
from constitution.source import nearest

T = TypeVar("T")


def examine_constitution(
    path: Path, model: str, principles: Sequence[str], want: Judging, junit: Path | None, as_json: bool
) -> float:
    """Judge every example, show what came of it, and return the accuracy over all."""
    _one_of("--method", want.method, [name for name, each in METHODS.items() if each.needs == "judgment"])
    constitution, spec, screen = load(path), named(model), Screen()
    if junit:
        _check_writable(junit)
    if as_json:
        screen.console.stderr = True
    tested = examples.testable(constitution, principles)
    began = time.monotonic()

    async def judge(up: Model) -> tuple[str, list[examples.JudgedExample]]:
        with screen.bars():
            bar = screen.bar("test", len(tested), unit="examples")
            return up.name, await examples.examine(constitution, principles, up, want, bar.advance)

    name, judged = _with_model(spec, screen, judge)
    if as_json:
        print(json.dumps(exam_report.as_json(constitution, name, want.method, judged), indent=2, ensure_ascii=False))
    else:
        screen.say(
            f"{constitution.name}, judged by {name} ({want.method}, both orders), {time.monotonic() - began:.0f} s"
        )
        screen.console.print(exam_report.table(judged), soft_wrap=True)
        if untested := examples.untested(constitution, principles):
            screen.say(f"not tested, as they have no examples or no judgment question: {', '.join(untested)}")
    if junit:
        exam_report.write_junit(junit, constitution, judged)
    return examples.score(judged).accuracy or 0.0


def examine_judge(exam: Exam, models: tuple[str | None, str | None], out: Path | None, as_json: bool) -> None:
    """Sit the exam, show its table, write its page, and save a calibration where one is named."""
    screen = Screen()
    screen.console.stderr = as_json
    model, reward = models
    judge = named(model) if model else None
    scorer = named(reward, prefer="reward") if reward else None
    stem = Path(exam.data.removeprefix("hub:")).name.partition(".")[0]
    folder = out or Path("runs") / f"exam-{stem}"
    figures = judge_eval(exam, judge, scorer, folder, screen)
    judge_report.write(folder, figures)
    if as_json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    else:
        screen.console.print(judge_report.table(figures, screen.console.width))
        for line in judge_report.sentences(figures):
            screen.say(line)
    if exam.name:
        screen.say(f"calibration: {save_calibration(exam, folder, figures, Path())}")
    screen.say(f"{folder / 'exam.html'}, {folder / 'exam.json'}")


def try_constitution(path: Path, model: str, tried: Trial) -> None:
    """One chain in the terminal."""
    _one_of("--choice", tried.want.choice, draw.CHOICES)
    _one_of("--track", tried.want.tracks[0], TRACKS)
    if not tried.prompt.strip():
        raise UserError("PROMPT is empty; write what the person asks")
    if not is_text(tried.prompt):
        raise UserError("PROMPT is not UTF-8 text; check the terminal's encoding")
    # One chain asks one thing at a time, and a model loads into this process sooner than a server comes up.
    constitution, spec, screen = load(path), named(model, prefer="local"), Screen()
    screen.console.soft_wrap = False
    _with_model(spec, screen, lambda up: trial.run(tried, constitution, up, screen.console))


def diff_constitutions(old: Path, new: Path, run: str | None, as_json: bool) -> None:
    """What changed, and what a run would have to do again."""
    before, after = _constitution(old), _constitution(new)
    found = list(changes(before, after))
    effects = list(change.effects(run_folder(run), after)) if run else []
    if as_json:
        print(json.dumps(change_report.as_json(found, effects), indent=2, ensure_ascii=False))
    else:
        console = Screen().console
        console.soft_wrap = False
        change_report.show(before, after, found, effects, console)


def plan_run(
    recipe: Path,
    overrides: Sequence[str],
    counts: tuple[int, int | None, int],
    price: float | None,
    out: Path,
    as_json: bool,
) -> None:
    """What a run will take; see ``cai.plan.plan`` for the counts."""
    screen = Screen()
    screen.console.stderr = as_json
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".plan-") as folder:
        found = plan(load_recipe(recipe, list(overrides)), Path(folder), *counts, screen)
    if as_json:
        print(json.dumps(plan_report.as_json(found, price), indent=2))
    else:
        screen.console.print(plan_report.table(found))
        screen.say(plan_report.sentence(found, price))
        if found.trainers:
            screen.console.print(plan_report.memory_table(found))
        for line in found.short:
            screen.say(line)


def _constitution(path: Path) -> Constitution:
    """A constitution's file, or the one that a run used, given its folder or its name."""
    for folder in (path, Path("runs") / path):
        if (folder / "run.json").is_file():
            return change.former(folder, described(folder)["constitution_digest"])
    return load(path)


def _with_model(spec: ModelSpec, screen: Screen, work: Callable[[Model], Awaitable[T]]) -> T:
    async def whole() -> T:
        if spec.hosted:
            screen.say(f"starting {spec.kind} with {spec.title} …")
        async with open_model(spec, bundled.cache_folder().parent / "logs") as up:
            return await work(up)

    return asyncio.run(whole())


def _check_writable(path: Path) -> None:
    """Before the judge has worked for a result that could not be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise UserError(f"--junit: {path} cannot be written: {error.strerror}; name another file") from None


def _one_of(option: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise UserError(f'{option}: there is no "{word}"; {nearest(word, list(known))}')
