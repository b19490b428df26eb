"""How good each of several models is, in Elo points above a baseline, with an interval by prompt.

The strengths are those of Bradley and Terry (1952), P(i beats j) = s_i / (s_i + s_j), fitted by evalica (Ustalov 2025) and
written on Elo's scale, 400 log10(s_i / s_baseline). A tie is half a win for each; what a judge could not decide is left out,
and counted. Intervals are bootstrapped over prompts, all comparisons of a prompt together (Field and Welsh 2007).

A likelihood has no maximum where no chain of wins leads from one model to another (Ford 1957). There a fit by iteration gives a
number all the same, which means nothing; here it is a sentence, and in a resample an end that is open.
"""

from collections.abc import Sequence
from typing import cast

import numpy
from numpy.typing import NDArray

from cai.judge.bouts import Bout, Rating
from constitution.wording import count

Numbers = NDArray[numpy.float64]
RESAMPLES = 1000
FEW = 20
"""Prompts, of which a bootstrap knows too little."""

SCALE = 400 / numpy.log(10)
MOST_STEPS, EXACT = 100_000, 1e-9
"""Of evalica's iteration."""
ALIKE = 1e-4
"""Points, of which the iteration knows no fewer."""


def ratings(
    all_bouts: Sequence[Bout], models: Sequence[str], baseline: str, resamples: int = RESAMPLES
) -> dict[str, Rating]:
    """Each model's rating.

    Args:
        models: the baseline among them.
    """
    decided = [each for each in all_bouts if each.won is not None]
    table = _by_prompt(decided, models)
    place = models.index(baseline)
    points, drawn = _points(table.sum(0), place), _resampled(table, place, resamples)
    about = {
        "comparisons": len(decided),
        "ties": sum(each.won == 0.5 for each in decided),
        "undecided": len(all_bouts) - len(decided),
        "prompts": len(table),
    }
    numbers = {
        model: _rated(points[number], drawn[:, number], baseline, len(table)) for number, model in enumerate(models)
    }
    numbers[baseline] = {"elo": 0.0, "low": 0.0, "high": 0.0, "says": ""}
    return {model: cast("Rating", {**numbers[model], **about}) for model in models}


def _by_prompt(decided: Sequence[Bout], models: Sequence[str]) -> Numbers:
    """Prompts × models × models: how often the one beat the other."""
    prompts = {prompt: number for number, prompt in enumerate(dict.fromkeys(each.prompt for each in decided))}
    places = {model: number for number, model in enumerate(models)}
    table = numpy.zeros((len(prompts), len(models), len(models)))
    for each in decided:
        row, first, second = prompts[each.prompt], places[each.first], places[each.second]
        table[row, first, second] += each.won
        table[row, second, first] += 1 - (each.won or 0.0)
    return table


def _resampled(table: Numbers, baseline: int, resamples: int) -> Numbers:
    """Resamples × models: the points where prompts are drawn again."""
    if len(table) < FEW:
        return numpy.full((1, table.shape[1]), numpy.nan)
    drawn = numpy.random.default_rng(0).multinomial(len(table), [1 / len(table)] * len(table), resamples)
    return numpy.array([_points(wins, baseline) for wins in numpy.tensordot(drawn.astype(float), table, 1)])


def _points(wins: Numbers, baseline: int) -> Numbers:
    """Points above the baseline: ±infinity where wins lead one way alone, not a number where they lead neither way."""
    beats = _reach(wins)
    over, under = beats[:, baseline], beats[baseline]
    points = numpy.full(len(wins), numpy.nan)
    points[over & ~under], points[under & ~over] = numpy.inf, -numpy.inf
    level = numpy.flatnonzero(over & under)
    logs = _log_strengths(wins[numpy.ix_(level, level)])
    points[level] = SCALE * (logs - logs[list(level).index(baseline)])
    return points


def _reach(wins: Numbers) -> NDArray[numpy.bool_]:
    """Whether a chain of wins, or of ties, leads from the one to the other; from each to itself it does."""
    reach = (wins > 0) | numpy.eye(len(wins), dtype=bool)
    for _ in range(len(wins).bit_length()):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    return reach


def _log_strengths(wins: Numbers) -> Numbers:
    """Of models that chains of wins connect both ways; of two it is the log of their odds."""
    if len(wins) == 1:
        return numpy.zeros(1)
    if len(wins) == 2:
        return numpy.log([wins[0, 1], wins[1, 0]])
    from evalica import Winner, bradley_terry  # with pandas, which two models do not need

    over, under = numpy.nonzero(wins)
    fit = bradley_terry(
        over.tolist(),
        under.tolist(),
        [Winner.X] * len(over),
        weights=wins[over, under].tolist(),
        tolerance=EXACT,
        limit=MOST_STEPS,
    )
    return numpy.log(fit.scores.sort_index().to_numpy())


def _rated(points: float, drawn: Numbers, baseline: str, prompts: int) -> dict[str, float | str | None]:
    """The numbers that can be told, and why others cannot."""
    if not numpy.isfinite(points):
        return {"elo": None, "low": None, "high": None, "says": _boundless(points, baseline)}
    elo = float(points) if abs(points) > ALIKE else 0.0
    if prompts < FEW:
        says = f"too few for an interval: {count(prompts, 'prompt')}; {FEW} or more would do"
        return {"elo": elo, "low": None, "high": None, "says": says}
    low = _quantile(numpy.where(numpy.isnan(drawn), -numpy.inf, drawn), 0.025)
    high = _quantile(numpy.where(numpy.isnan(drawn), numpy.inf, drawn), 0.975)
    if low is not None and high is not None and high - low < ALIKE:
        says = (
            "no interval: every comparison says the same, so that none of these prompts shows how far others may differ"
        )
        return {"elo": elo, "low": None, "high": None, "says": says}
    ends = [word for word, end in (("lower", low), ("upper", high)) if end is None]
    says = f"its interval has no {' and no '.join(ends)} end: too few comparisons went the other way" if ends else ""
    return {"elo": elo, "low": low, "high": high, "says": says}


def _boundless(points: float, baseline: str) -> str:
    if numpy.isnan(points):
        return f"no chain of decided comparisons leads to {baseline}, so that there is no rating beside it"
    what = "lost to" if points < 0 else "beat"
    return f"it {what} {baseline}, or those between them, in every decided comparison, and no rating is high or low enough for that"


def _quantile(values: Numbers, share: float) -> float | None:
    """An order statistic, as infinite ones have no mean; None where it is one of these."""
    value = float(numpy.quantile(values, share, method="inverted_cdf"))
    return value if numpy.isfinite(value) else None
