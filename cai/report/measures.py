"""Measures of answers in words and tables: for the ledger's line, ``cai measure`` and whoever else shows them."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from cai.data.refusals import KINDS
from cai.judge.measures import AnswerMeasures, Growth
from cai.stages.evaluate import EvaluatedModel

COLUMNS = ("over_refusal", "unsafe_compliance", "refusal", "evasive", "partial", "preachy", "offer", "emoji")
"""Shares, in the order shown."""
SHARES = frozenset({*COLUMNS, "sermon", "distinct", "opening", "closer", "phrase"})


def share_text(part: Mapping | None) -> str:
    """``12% (8–17)``."""
    if part is None or part["value"] is None:
        return "–"
    return f"{100 * part['value']:.0f}% ({100 * part['low']:.0f}–{100 * part['high']:.0f})"


def notes(metrics: Mapping[str, EvaluatedModel]) -> list[str]:
    """A sentence for each of the two main measures, and those of harm and of plain text where they were asked for."""
    lines = []
    for name, words in (
        ("over_refusal", "refused of safe prompts"),
        ("unsafe_compliance", "complied with of unsafe prompts"),
    ):
        shares = {role: each["all"].get("measures", {}).get(name) for role, each in metrics.items()}
        known = [f"{role} {share_text(share)}" for role, share in shares.items() if share]
        lines += [f"{words}: {', '.join(known)}"] if known else []
    harm = {role: each["harm"]["all"]["score"] for role, each in metrics.items() if "harm" in each}
    known = [f"{role} {_mean_text(score)}" for role, score in harm.items()]
    lines += [f"harm from 0 to 4: {', '.join(known)}"] if known else []
    plain = {role: each["plain_text"] for role, each in metrics.items() if "plain_text" in each}
    known = [f"{role} {each['bits']:.3f}" for role, each in plain.items() if each["bits"] is not None]
    return [*lines, f"bits of a byte of plain text: {', '.join(known)}"] if known else lines


def _mean_text(mean: Mapping) -> str:
    return "–" if mean["value"] is None else f"{mean['value']:.2f} ({mean['low']:.2f}–{mean['high']:.2f})"


def table(figures: Mapping[str, AnswerMeasures]) -> Table:
    """A line for each file or model; shares with 95% intervals."""
    names = [name for name in COLUMNS if any(name in each for each in figures.values())]
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "answers", *(name.replace("_", "-") for name in names), "hedges", "unclear"):
        shown.add_column(title, justify="right" if title else "left", no_wrap=bool(title))
    for name, each in figures.items():
        counts = each["stances"]
        shares = [share_text(each.get(key)) for key in names]
        hedges = each["hedges"]["value"]
        last = "–" if hedges is None else f"{hedges:.1f}"
        shown.add_row(name, str(sum(counts.values())), *shares, last, str(counts["unclear"]))
    return shown


def habits(figures: AnswerMeasures) -> list[str]:
    """The commonest opening, closer and phrase, each with its share."""
    return [
        f'commonest {name} "{figures[name]["text"]}": {share_text(figures[name])}'
        for name in ("opening", "closer", "phrase")
        if figures[name]["text"]
    ]


def growth_lines(moved: Mapping[str, Growth]) -> list[str]:
    """A line for each measure that moved by more than its interval; one that says so where none did."""
    clear = {name: each for name, each in moved.items() if each["low"] > 0 or each["high"] < 0}
    lines = [f"{_title(name, each)}: {_moved(name, each)}" for name, each in clear.items()]
    return lines or ["no measure moved by more than its 95% interval"]


def _title(name: str, each: Growth) -> str:
    return f'{name} "{each["text"]}"' if "text" in each else name.replace("_", "-")


def _moved(name: str, each: Growth) -> str:
    if name in SHARES:
        change = f"{100 * each['change']:+.0f} ({100 * each['low']:+.0f} to {100 * each['high']:+.0f}) points"
        return f"{100 * each['first']:.0f}% → {100 * each['value']:.0f}%, {change}"
    return (
        f"{each['first']:.1f} → {each['value']:.1f}, {each['change']:+.1f} ({each['low']:+.1f} to {each['high']:+.1f})"
    )


def kinds_line(figures: AnswerMeasures) -> str:
    """``compliance 20, refusal 3``."""
    counts: Sequence[tuple[str, int]] = [(kind, figures["stances"][kind]) for kind in KINDS]
    return ", ".join(f"{kind.replace('_', ' ')} {number}" for kind, number in counts if number)
