"""Figures as text, and what pages are made of: their templates, and a point of a calibration curve as they draw it."""

from collections.abc import Mapping, Sequence

from cai.flow.purse import money
from cai.judge.exam import CurvePoint, PlainShare
from cai.judge.statistics import wilson
from cai.report import headline
from cai.report.curves import in_figures
from cai.store.ledger import Wins
from cai.store.rows import Message
from constitution.turns import conversation
from constitution.visible import visible
from constitution.wording import count

PLOT = 220
"""The side of a calibration curve's box, in pixels."""

KINDS = {
    "logprobs": "log-probability",
    "sampled": "samples",
    "structured": "samples and structured output",
    "scores": "a reward model's scores",
    "rules": "rules",
}
"""Kind of verdict → words for it."""


def bin_of(each: CurvePoint) -> dict[str, object]:
    """A point of the calibration curve in a PLOT × PLOT box, with its 95% interval; its area grows with its pairs."""
    low, high = wilson(each["accuracy"] * each["pairs"], round(each["pairs"]))
    return {
        **each,
        "x": (each["confidence"] - 0.5) * 2 * PLOT,
        "y": PLOT - each["accuracy"] * PLOT,
        "top": PLOT - high * PLOT,
        "bottom": PLOT - low * PLOT,
        "r": min(3 + each["pairs"] ** 0.5 / 3, 14),
    }


def page(name: str, **content: object) -> str:
    """A page from its template of jinja2, which escapes every text and takes nothing that is missing for empty."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("cai.report", ""), autoescape=True, undefined=StrictUndefined, finalize=_shown
    )
    pages.filters |= {"words": counts_text, "percent": percent, "interval": interval, "number": number, "money": money}
    pages.filters |= {"question": question, "counted": count, "duration": duration, "points": points, "ends": ends}
    pages.filters |= {"preferred": headline.figures, "told": told, "in_figures": in_figures, "by_track": by_track}
    return pages.get_template(name).render(content)


def _shown(value: object) -> object:
    """What a template is given, with the controls of a text written out, by which it could be shown turned around."""
    return visible(value) if type(value) is str else value


def question(messages: Sequence[Message]) -> str:
    """What an answer answers: a question alone in its own words, and otherwise the conversation with its speakers."""
    return conversation(messages) if messages[1:] else messages[0]["content"]


def percent(share: float | None) -> str:
    """``56%``."""
    return "–" if share is None else f"{100 * share:.0f}%"


def interval(share: PlainShare) -> str:
    """``52–60%``."""
    return "–" if share["value"] is None else f"{100 * share['low']:.0f}–{100 * share['high']:.0f}%"


def number(value: float | None) -> str:
    """``0.243``."""
    return "–" if value is None else f"{value:.3f}"


def counts_text(counts: dict[str, int]) -> str:
    """``tie 3, ok 20``."""
    return ", ".join(f"{word.replace('_', ' ')} {count}" for word, count in counts.items())


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def points(value: float | None) -> str:
    """``+74``."""
    return "–" if value is None else f"{value:+.0f}"


def ends(rating: Mapping[str, object]) -> str:
    """``+12 to +74`` or ``+12 to open``; of a rating without an interval nothing is open."""
    low, high = (value if isinstance(value := rating.get(key), int | float) else None for key in ("low", "high"))
    if low is None and high is None:
        return "–"
    return " to ".join("open" if each is None else points(each) for each in (low, high))


TOLD = {
    "won": "it is preferred",
    "lost": "the other is preferred",
    "nothing": "nothing",
    "undecided": "nothing was decided",
}
"""What a comparison's interval allows to say → words for it."""


def told(wins: Wins) -> str:
    """What a comparison's interval allows to say, in words."""
    return TOLD[headline.finding(wins)]


def by_track(figures: Mapping[str, Wins]) -> list[tuple[str, Wins]]:
    """Each track by itself, then all of them together: an answer for both at once hides what each says."""
    return sorted(figures.items(), key=lambda each: each[0] == "all")
