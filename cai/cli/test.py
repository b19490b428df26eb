"""``cai test``: how well a judge applies each principle, by the examples that the constitution carries."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cai.cli.shared import one_of, with_model
from cai.errors import UserError
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.judge import examples
from cai.judge.methods import BESIDE, METHODS
from cai.judge.settings import Judging
from cai.models.types import Model
from cai.recipe.models import command_model
from cai.report import examples as examples_report
from cai.report import failures
from constitution.load import load
from constitution.model import Constitution
from constitution.naming import LETTERS, NAMINGS, RENAMED, unnamed
from constitution.visible import json_text


@dataclass(frozen=True, slots=True)
class Showing:
    """What is shown of a test.

    Attributes:
        junit: a file for CI.
        failed: whether each example that was not right is shown, rather than the table alone.
    """

    junit: Path | None = None
    as_json: bool = False
    failed: bool = False


def examine_constitution(path: Path, model: str, principles: Sequence[str], want: Judging, show: Showing) -> float:
    """Judge every example, show what came of it, and return the accuracy over all."""
    one_of("--method", want.method, [name for name, each in METHODS.items() if each.needs == "judgment"])
    constitution, spec, screen = load(path), command_model(model), Screen()
    _check_names(constitution, want)
    if show.junit:
        _check_writable(show.junit)
    if show.as_json:
        screen.console.stderr = True
    cases = examples.testable(constitution, principles)
    began = time.monotonic()

    async def judge(up: Model) -> tuple[str, list[examples.JudgedExample]]:
        with screen.bars():
            bar = screen.bar("test", len(cases), unit="examples")
            return up.name, await examples.examine(constitution, principles, up, want, bar.advance)

    name, results = with_model(spec, screen, judge)
    if show.as_json:
        more = {"failed": failures.plain(results)} if show.failed else {}
        line(json_text({**examples_report.as_json(constitution, name, want.method, results), **more}))
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
        if show.failed:
            failures.show(results, screen.console)
    if show.junit:
        examples_report.write_junit(show.junit, constitution, results)
    return examples.score(results).accuracy or 0.0


def _check_names(constitution: Constitution, want: Judging) -> None:
    """Before the judge is asked in words that do not go together.

    Raises:
        UserError: there are no such names, the method shows none, or the constitution has letters of its own.
    """
    one_of("--names", want.names, NAMINGS)
    if want.names != LETTERS and want.method not in BESIDE:
        raise UserError(
            f"--names is for two answers beside each other, which {want.method} does not show; leave it out"
        )
    if want.names in RENAMED and (place := next(unnamed(constitution, want.layout), "")):
        raise UserError(
            f"--names {want.names}: {place} of {constitution.name} calls answers by letters that cannot be replaced; write them "
            "there as (A) and (B), or leave --names out"
        )


def _check_writable(path: Path) -> None:
    """Before the judge has worked for a result that could not be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise UserError(f"--junit: {path} cannot be written: {error.strerror}; name another file") from None
