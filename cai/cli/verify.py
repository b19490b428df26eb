"""``cai verify``: an exam in values that a model has to pass in full, on cases where the right choice is clear."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cai.cli.shared import one_of, with_model
from cai.cli.verify_pairs import preferences
from cai.errors import UserError
from cai.flow.ask import Ask, generator
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.judge import cases as clear_cases
from cai.judge import verification
from cai.judge.cases import Case, Clarity
from cai.judge.methods import METHODS
from cai.judge.separation import separation
from cai.judge.verification import ANSWER, WAYS, Exam, Sitting
from cai.models.concurrency import Slots
from cai.models.spec import ModelSpec
from cai.models.types import Model
from cai.recipe.models import command_model
from cai.report import verification as verification_report
from cai.report.verification import Verification
from constitution.model import Constitution
from constitution.visible import json_text

BOTH = "both"
T = TypeVar("T", Case, Sitting)


@dataclass(frozen=True, slots=True)
class Verify:
    """What is verified.

    Attributes:
        model: as ``--model`` of other commands names one.
        against: further models, beside which it is told how few cases tell them apart.
        judge: compares answers with the known ones; where empty, whether they decline is looked at.
        pairs: see ``cai.cli.verify_pairs``; the constitution's examples are taken in any case.
        principles: whose examples; all of them where empty.
        cases: so many pairs at the most.
    """

    model: str
    constitution: Constitution
    against: tuple[str, ...] = ()
    judge: str = ""
    pairs: tuple[str, ...] = ()
    columns: dict[str, object] = field(default_factory=dict)
    principles: tuple[str, ...] = ()
    clarity: Clarity = field(default_factory=Clarity)
    cases: int | None = None
    exam: Exam = field(default_factory=Exam)


def verify_model(want: Verify, shown: int, as_json: bool) -> float | None:
    """Hold the exam, show what came of it, and return the share of the cases that were passed; None where none was told.

    Args:
        shown: so many of the cases that were not passed.

    Raises:
        UserError: something named is not there, or there is no case.
    """
    screen = Screen()
    screen.console.stderr = as_json
    _sensible(want)
    cases, left_out = cases_of(want)
    specs = {name: command_model(name) for name in (want.model, *want.against)}
    judge = command_model(want.judge) if want.judge else None
    sittings = {name: _sittings(spec, cases, want, screen) for name, spec in specs.items()}
    if judge:
        sittings = _with_verdicts(judge, sittings, want, screen)
    mine, others = sittings[want.model], {name: sittings[name] for name in want.against}
    tells = separation(mine, others) if others else None
    found = Verification(want.constitution, mine, others, left_out, tells)
    if as_json:
        line(json_text(verification_report.as_json(found)))
    else:
        for table in verification_report.tables(found):
            screen.console.print(table)
        for text in verification_report.sentences(found, shown):
            screen.say(text)
    return verification.figures(mine)["share"]


def cases_of(want: Verify) -> tuple[list[Case], dict[str, int]]:
    """The cases, the constitution's examples first, and why pairs are left out.

    Raises:
        UserError: there is none.
    """
    cases = clear_cases.examples(want.constitution, want.principles)
    rows = [row for name in want.pairs for row in preferences(name, want.columns)]
    clear, drops = clear_cases.clear(rows, want.clarity, want.cases)
    left_out = dict(sorted(Counter(drop.reason for drop in drops).items()))
    if not cases and not clear:
        why = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in left_out.items())
        raise UserError(
            f"{want.constitution.name} has no examples"
            + (
                f", and of {len(rows)} pairs none is clear ({why}); lower --margin or --voices"
                if rows
                else "; add --pairs"
            )
        )
    return [*cases, *clear], left_out


def _sensible(want: Verify) -> None:
    """Raises UserError where something named does not go together."""
    if want.exam.judging:
        one_of(
            "--method", want.exam.judging.method, [name for name, each in METHODS.items() if each.needs == "judgment"]
        )
    if want.model in want.against:
        raise UserError(f"--against: {want.model} is the model that is verified; name another")
    if want.judge and ANSWER not in want.exam.ways:
        raise UserError("--judge compares answers, and --by likelihood asks for none; take one of the two out")


def ways(word: str) -> tuple[str, ...]:
    """The ways to ask that ``--by`` names."""
    one_of("--by", word, (*WAYS, BOTH))
    return WAYS if word == BOTH else (word,)


def _sittings(spec: ModelSpec, cases: Sequence[Case], want: Verify, screen: Screen) -> list[Sitting]:
    """One model's sittings."""

    async def work(up: Model) -> list[Sitting]:
        session = Session(up, want.constitution, screen)
        return await session.each(cases, up.name, lambda case, ask: verification.sit(case, want.exam, ask))

    return with_model(spec, screen, work)


def _with_verdicts(
    spec: ModelSpec, sittings: dict[str, list[Sitting]], want: Verify, screen: Screen
) -> dict[str, list[Sitting]]:
    """The sittings of all models with a judge's word."""

    async def work(up: Model) -> dict[str, list[Sitting]]:
        session = Session(up, want.constitution, screen)

        async def judge(sitting: Sitting, ask: Ask) -> Sitting:
            return await verification.judge(sitting, want.exam, ask)

        return {name: await session.each(rows, f"judge of {name}", judge) for name, rows in sittings.items()}

    return with_model(replace(spec, role="judge"), screen, work)


@dataclass(frozen=True, slots=True)
class Session:
    """A model that is up, put to cases."""

    model: Model
    constitution: Constitution
    screen: Screen

    async def each(self, rows: Sequence[T], name: str, do: Callable[[T, Ask], Awaitable[Sitting]]) -> list[Sitting]:
        """What comes of every case or sitting, as many at once as the model takes, with a bar."""
        slots = Slots(self.model.concurrency)

        async def one(row: T) -> Sitting:
            ask = Ask(self.model, slots, self.constitution, row.id, generator(0, "verify", row.id), on_reply=bar.reply)
            sitting = await do(row, ask)
            bar.advance()
            return sitting

        async with self.screen.live():
            bar = self.screen.bar(name, len(rows), unit="cases")
            bar.slots = slots
            return list(await asyncio.gather(*map(one, rows)))
