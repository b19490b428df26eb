"""``cai test``: how well a judge applies each principle, by the examples that the constitution carries."""

import time
from collections.abc import Sequence
from pathlib import Path

from cai.cli.shared import one_of, with_model
from cai.errors import UserError
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.judge import examples
from cai.judge.methods import METHODS
from cai.judge.settings import Judging
from cai.models.types import Model
from cai.recipe.models import command_model
from cai.report import examples as examples_report
from constitution.load import load
from constitution.visible import json_text


def examine_constitution(
    path: Path, model: str, principles: Sequence[str], want: Judging, junit: Path | None, as_json: bool
) -> float:
    """Judge every example, show what came of it, and return the accuracy over all."""
    one_of("--method", want.method, [name for name, each in METHODS.items() if each.needs == "judgment"])
    constitution, spec, screen = load(path), command_model(model), Screen()
    if junit:
        _check_writable(junit)
    if as_json:
        screen.console.stderr = True
    cases = examples.testable(constitution, principles)
    began = time.monotonic()

    async def judge(up: Model) -> tuple[str, list[examples.JudgedExample]]:
        with screen.bars():
            bar = screen.bar("test", len(cases), unit="examples")
            return up.name, await examples.examine(constitution, principles, up, want, bar.advance)

    name, results = with_model(spec, screen, judge)
    if as_json:
        line(json_text(examples_report.as_json(constitution, name, want.method, results)))
    else:
        screen.say(
            f"{constitution.name}, judged by {name} ({want.method}, by {examples_report.read_as(results)}, both orders), "
            f"{time.monotonic() - began:.0f} s"
        )
        screen.console.print(examples_report.table(results), soft_wrap=True)
        if question := examples.question(results):
            screen.say(f"Worse than a coin. {question}")
        if untested := examples.untested(constitution, principles):
            screen.say(f"not tested, as they have no examples or no judgment question: {', '.join(untested)}")
    if junit:
        examples_report.write_junit(junit, constitution, results)
    return examples.score(results).accuracy or 0.0


def _check_writable(path: Path) -> None:
    """Before the judge has worked for a result that could not be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise UserError(f"--junit: {path} cannot be written: {error.strerror}; name another file") from None
