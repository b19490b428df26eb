"""What a search tries: the forms that a constitution, a judge and the command line leave open, and how many requests they are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from cai.cli.judge_eval import EXAMINED, SETTABLE, JudgeEval
from cai.errors import UserError
from cai.judge.methods import BESIDE, METHODS
from cai.judge.search import MEANS, PUBLISHED, USUAL, Asking, Grid, Value
from constitution import judging
from constitution.model import Constitution
from constitution.naming import LETTERS, NAMINGS, SHOWN, unnamed
from constitution.source import nearest, parse_yaml

METHODS_TRIED = ("logprob", "cot", "score", "propositions")
OURS = ("calibration", "orders", "both_share")
"""Settings that a search has to have as they are: what the judge itself says, in both orders."""
FEW = 2
"""Exemplars, beside none and all of them (Lee et al. 2023 found two to be best on harmlessness)."""
_SAMPLES = re.compile(r"(?:cot\.)?samples=(\d+)")


def grid_of(exam: JudgeEval, constitution: Constitution) -> tuple[Grid, list[str]]:
    """What is searched, and sentences on what cannot be tried.

    Raises:
        UserError: a method or a setting is none that a search can have.
    """
    fixed, worked = own(exam.settings), len(judging.exemplars(constitution))
    methods = _methods(exam, constitution)
    names, notes = _names(constitution)
    counts = dict.fromkeys((None, 0, FEW if worked > FEW else None)) if worked else {None: None}
    choices: dict[str, Sequence[Value]] = {
        "names": names,
        "layout": tuple(SHOWN),
        "exemplars": tuple(counts),
        "method": methods,
        "mean": MEANS,
    }
    start = replace(Asking(methods[0]), **fixed)
    given = {key: fixed[key] for key in ("exemplars", "mean") if key in fixed}
    fitted = {
        source: replace(each, **{"exemplars": _few(each.exemplars, worked), **given})
        for source, each in PUBLISHED.items()
    }
    open_to = {key: values for key, values in choices.items() if key not in fixed and len(values) > 1}
    whole = {source: each for source, each in fitted.items() if _may_be(each, start, open_to)}
    return Grid(start.plain(), whole, open_to), notes


def _may_be(form: Asking, start: Asking, open_to: Mapping[str, Sequence[Value]]) -> bool:
    """Whether a form keeps to what is fixed."""
    return all(
        getattr(form, key) in open_to[key] if key in open_to else getattr(form, key) == getattr(start, key)
        for key in USUAL
    )


def _few(count: int | None, worked: int) -> int | None:
    """As many exemplars as there are at most; all of them are None."""
    return None if count is None or count >= worked else count


def _methods(exam: JudgeEval, constitution: Constitution) -> tuple[str, ...]:
    """The methods that are tried, first those whose forms differ in more than the method."""
    given = exam.methods if exam.methods and "all" not in exam.methods else ()
    for name in given:
        if METHODS[name].model_kind != "text" or name == "rank":
            raise UserError(f"--search asks a judge about two answers, which {name} does not; leave it out")
        if not any(map(METHODS[name].judges_by, constitution.principles)):
            raise UserError(f"no principle of {constitution.name} can be judged by {name}; leave it out")
    tried = given or METHODS_TRIED
    able = [name for name in tried if any(map(METHODS[name].judges_by, constitution.principles))]
    if not able:
        raise UserError(
            f"no principle of {constitution.name} says what to judge by; give one a `judgment` or `propositions`"
        )
    return tuple(sorted(able, key=lambda name: name not in BESIDE))


def _names(constitution: Constitution) -> tuple[tuple[str, ...], list[str]]:
    """What answers may be called, and why not otherwise."""
    places = dict.fromkeys(place for layout in SHOWN for place in unnamed(constitution, layout))
    if not places:
        return NAMINGS, []
    why = f"{', '.join(places)} of {constitution.name} name the answers otherwise than as (A) and (B)"
    return (LETTERS, "brackets"), [f"Numbers and words as names were not tried: {why}."]


def own(settings: Sequence[str]) -> dict[str, Value]:
    """The keys of a form that the command line fixes.

    Raises:
        UserError: a setting is none of a judge's, or none that a search can have.
    """
    fixed: dict[str, Value] = {}
    for text in settings:
        method, key = split(text)
        if key.partition(".")[0] not in SETTABLE:
            raise UserError(f'"{text}": there is no such setting of a judge; {nearest(key, sorted(SETTABLE))}')
        if key in OURS:
            raise UserError(
                f'"{text}": a search asks in both orders, and reads what the judge itself says; take it out'
            )
        if key in USUAL and method:
            raise UserError(f'"{text}": {key} is searched for all methods; set it for all, as {key}=…, or leave it out')
        if key in USUAL:
            fixed[key] = _value(text)
    return fixed


def _value(text: str) -> Value:
    """What stands behind a setting's ``=``."""
    value: object = parse_yaml(text.partition("=")[2] or "null", Path(text)).data
    if isinstance(value, list | dict):
        key = text.partition("=")[0]
        raise UserError(f'"{text}": {key} takes one value; name one, or leave it out and all are tried')
    return cast("Value", value)


def split(text: str) -> tuple[str, str]:
    """The method that a setting is for, if it names one, and its key."""
    head, _, rest = text.partition("=")[0].partition(".")
    return (head, rest) if head in EXAMINED and head not in SETTABLE else ("", text.partition("=")[0])


def requests(grid: Grid, exam: JudgeEval, constitution: Constitution, halves: tuple[int, int]) -> int:
    """The most requests that a search may need, but for thoughts that come before an answer.

    Args:
        halves: the pairs of each.
    """
    samples = max([1, *(int(found[1]) for text in exam.settings if (found := _SAMPLES.fullmatch(text)))])
    propositions = max((len(each.propositions) for each in constitution.principles), default=0)
    cost = {"cot": 2 * (1 + samples), "debate": 6, "critique": 4, "score": 4, "propositions": 2 * propositions}

    def most(methods: Sequence[Value]) -> int:
        return max(cost.get(str(each), 2) for each in methods)

    beside = [each.method for each in (grid.start, *grid.whole.values())]
    methods = grid.choices.get("method", (grid.start.method,))
    searched = sum(count * most(methods if key == "method" else beside) for key, count in grid.most())
    return halves[0] * searched + halves[1] * (most(methods) + most([grid.start.method]))
