"""``cai judge-eval --search``: forms of asking tried on a judge, and the best beside the usual one on a held-out half.

The search is a run like any other: a ``pairs`` stage for each half, and a ``label`` stage for each form, under one start of the
model. Which form comes next follows from what was judged, so that a killed search goes on where it was.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import yaml

from cai.cli import exam_folder
from cai.cli.exam_words import typed
from cai.cli.judge_eval import JUDGE, JudgeEval, figures_of, sensible
from cai.cli.search_grid import grid_of, own, requests, split
from cai.errors import UserError
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.judge.exam import ExamFigures, SearchFigures
from cai.judge.figures import JudgedPair
from cai.judge.search import MEANS, USUAL, Asking, Mark, claim, difference, following, mark, outcomes
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.recipe.models import command_model
from cai.recipe.read import read_recipe
from cai.recipe.recipe import Recipe
from cai.report import judge as judge_report
from cai.report import search as search_report
from cai.run.context import Run
from cai.run.walk import go
from cai.stages.pairs import HALVES
from cai.store.files import write_json
from cai.store.rows import Pair, Preference
from constitution.source import InputError, parse_yaml
from constitution.visible import json_text

NAME = "search"
FIRST, HELD_OUT = HALVES
STAGES = {FIRST: "first-half", HELD_OUT: "held-out"}
"""Half of the pairs → the stage that reads it."""
UNSURE = "# the best of the first half, and not surely better than what is usual"
SILENT = 0.5
"""From this share of unread votes on, a form says nothing of the judge."""


def search_judge(exam: JudgeEval, model: str | None, out: Path | None, as_json: bool) -> None:
    """Search, show the forms, write the page, and print the lines of the best for a recipe."""
    if not model:
        raise UserError("--search asks a judge; name it with --model")
    if exam.kind:
        raise UserError("--search fits no calibration; take --calibrate out, and fit one for the form that was chosen")
    screen = Screen()
    screen.console.stderr = as_json
    folder = out or exam_folder.of(exam.data, NAME)
    try:
        figures = search(exam, command_model(model), folder, screen)
    except InputError as error:
        raise UserError(typed(str(error))) from None
    judge_report.write(folder, figures)
    if as_json:
        line(json_text(figures))
    else:
        search_report.show(figures, screen)
    screen.say(", ".join(str(folder / name) for name in ("exam.html", "search.json", "exam.json")))


def search(exam: JudgeEval, model: ModelSpec, out: Path, screen: Screen) -> ExamFigures:
    """Search; returns the exam of the usual form and the best on the held-out half, with the search in it.

    Raises:
        InputError: something named does not exist or does not go together.
        RunError: the model failed; what was judged stays.
    """
    sensible(exam)
    exam_folder.free(out, exam.data, NAME)
    trials = _Search(exam, replace(model, role=JUDGE), out, screen)
    with exam_folder.renewed(trials.run, exam.data) as trials.aside:
        go(trials.run, trials.more)
    figures = trials.figures()
    write_json(out / "search.json", figures.get("search"))
    write_json(out / "exam.json", figures)
    return figures


class _Search:
    """A search on its way: what was judged so far, and the run that judges.

    Attributes:
        most: how many requests it may need; 0 before its pairs are read.
        held: the forms that are judged on the held-out half; none before that.
        aside: where stages that were stale have gone, see ``exam_folder.renewed``.
    """

    def __init__(self, exam: JudgeEval, model: ModelSpec, out: Path, screen: Screen) -> None:
        self.exam, self.model = exam, model
        own(exam.settings)  # what cannot be is said before a file is read
        self.items: list[tuple[Asking, str]] = []
        self.run = Run(self._recipe(), out, screen)
        self.grid, self.notes = grid_of(exam, self.run.constitution)
        self.marks: dict[Asking, Mark] = {}
        self.most, self.held = 0, tuple[Asking, ...]()
        self.aside: dict[str, Path] = {}

    def more(self) -> Sequence[Block]:
        """The steps that follow from what was judged; none at the end."""
        if not self.most:
            self._announce()
        best, missing = following(self.grid, self.marks)
        while missing and all((each, FIRST) in self.items for each in map(_voted, missing)):
            self.marks |= {each: self._mark(each) for each in missing}
            best, missing = following(self.grid, self.marks)
        if missing:
            return self._further([(each, FIRST) for each in map(_voted, missing)])
        if self.held:
            return ()
        self.held = tuple(dict.fromkeys((self.grid.start, best)))
        return self._further([(each, HELD_OUT) for each in self.held])

    def _announce(self) -> None:
        """Say what is to come, before a model starts."""
        counts = tuple(self.run.stage(STAGES[half]).tally().rows_out for half in HALVES)
        self.most = requests(self.grid, self.exam, self.run.constitution, (counts[0], counts[1]))
        forms = sum(count for _, count in self.grid.most())
        self.run.screen.say(
            f"at most {forms} forms on {counts[0]} pairs, then 2 on {counts[1]} held-out ones: at most {self.most:,} requests"
        )

    def _further(self, items: Sequence[tuple[Asking, str]]) -> Sequence[Block]:
        """Blocks that judge these forms on a half, added to the run's recipe; those that are there already are left out."""
        self.items += [each for each in dict.fromkeys(items) if each not in self.items]
        known = {block.name for block in self.run.recipe.blocks}
        self.run.recipe = self._recipe()
        new = [block for block in self.run.recipe.blocks if block.name not in known]
        self.aside.update(exam_folder.set_aside_stale(self.run, self.exam.data, new))
        return new

    def _recipe(self) -> Recipe:
        """The search so far as a recipe; its forms draw alike, so that a pair has one principle under all of them."""
        exam = self.exam
        data = {"hub": exam.data.removeprefix("hub:")} if exam.data.startswith("hub:") else {"path": exam.data}
        stages: list[object] = [
            {"pairs": {**deepcopy(dict(exam.pairs)), **data, "half": half, "as": STAGES[half]}} for half in HALVES
        ]
        for asking, half in self.items:
            block = {"model": JUDGE, **asking.settings(), "as": _folder(asking, half), "from": STAGES[half]}
            stages.append({"label": block})
        text = {"name": NAME, "seed": exam.seed, "constitution": str(exam.constitution), "stages": stages}
        source = parse_yaml(yaml.safe_dump(text, sort_keys=False, allow_unicode=True), Path(NAME))
        recipe = read_recipe(source, list(self._overrides()), models={JUDGE: self.model})
        blocks = tuple(replace(each, draws="form") if each.kind == "label" else each for each in recipe.blocks)
        return replace(recipe, blocks=blocks)

    def _overrides(self) -> Iterator[str]:
        """The settings that are not searched, for each form that they are for."""
        for asking, half in self.items:
            for key, value in _others(self.exam, asking.method):
                yield f"{_folder(asking, half)}.{key}={value}"

    def _mark(self, asking: Asking) -> Mark:
        name = _folder(_voted(asking), FIRST)
        seal = self.run.stage(name).seal
        assert seal is not None
        source = next((source for source, each in self.grid.whole.items() if each == asking), "")
        return mark(asking, source, self._outcomes(asking, FIRST, name), seal)

    def _outcomes(self, asking: Asking, half: str, name: str) -> list[JudgedPair]:
        want = replace(self.run.recipe.block(name).want, mean=asking.mean)
        pairs = self.run.stage(STAGES[half]).all_rows(Pair)
        return outcomes(pairs, self.run.stage(name).all_rows(Preference), want)

    def figures(self) -> ExamFigures:
        """All figures, once everything was judged."""
        recipe, names = self.run.recipe, [_folder(each, HELD_OUT) for each in self.held]
        return {
            "data": self.exam.data,
            "constitution": recipe.constitution.name,
            "constitution_version": recipe.constitution.version,
            "seed": self.exam.seed,
            "pairs": self.run.stage(STAGES[HELD_OUT]).seal or {},
            "methods": {name: figures_of(self.run, recipe.block(name), "") for name in names},
            "search": self._search_figures(),
        }

    def _search_figures(self) -> SearchFigures:
        start, best = self.held[0], self.held[-1]
        sides = [self._outcomes(each, HELD_OUT, _folder(each, HELD_OUT)) for each in self.held]
        share = difference(sides[-1], sides[0]) if start != best else None
        return {
            "model": self.model.title,
            "requests": self.most,
            "pairs": self.marks[start].accuracy.of,
            "held_out": len(sides[0]),
            "forms": [each.figures for each in sorted(self.marks.values(), key=lambda each: each.rank)],
            "usual": start.title,
            "best": best.title,
            "difference": {"value": share.value, "low": share.low, "high": share.high, "of": share.of}
            if share
            else None,
            "says": claim(best, start, share),
            "notes": [*self.notes, *map(_silence, filter(_silent, self.marks.values()))],
            "recipe": self._lines(best)
            if start == best or (share and share.low > 0)
            else f"{UNSURE}\n{self._lines(best)}",
        }

    def _lines(self, best: Asking) -> str:
        """The best form as a step of a recipe."""
        others = {key: parse_yaml(value, Path(key)).data for key, value in _others(self.exam, best.method)}
        block = {"label": {"model": JUDGE, **best.settings(), **others}}
        return yaml.safe_dump([block], sort_keys=False, allow_unicode=True).strip()


def _voted(asking: Asking) -> Asking:
    """The form under which its votes are asked for: both means are of the same."""
    return replace(asking, mean=MEANS[0])


def _folder(asking: Asking, half: str) -> str:
    """The name of the stage that judges a form on a half; on the held-out half each mean has its own exam."""
    if half == FIRST:
        return asking.folder
    return f"{asking.folder}{'-logits' if asking.mean != MEANS[0] else ''}-{STAGES[half]}"


def _others(exam: JudgeEval, method: str) -> Iterator[tuple[str, str]]:
    """The settings that are not searched, with their values as text."""
    for text in exam.settings:
        of, key = split(text)
        if key not in USUAL and of in ("", method):
            yield key, text.partition("=")[2]


def _silent(mark: Mark) -> bool:
    return (mark.figures["unread"] or 0.0) > SILENT


def _silence(mark: Mark) -> str:
    """Why a form could hardly be read."""
    text = f"Of {mark.figures['form']} {100 * (mark.figures['unread'] or 0.0):.0f}% of the votes could not be read"
    if mark.figures["settings"].get("names") == "words":
        return (
            f"{text}: by log-probability a name has to be a single token of this judge's, as the first one tells; other words can "
            "stand in the constitution, under templates.first_word and second_word."
        )
    return f"{text}, and count as wrong."
