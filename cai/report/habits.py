"""Measures of answers in words and tables: for the ledger's line, ``cai measure`` and whoever else shows them."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from cai.data.refusals import KINDS
from cai.judge.measures import LEAST, AnswerMeasures, Growth
from cai.stages.evaluate import EvaluatedModel

COLUMNS = ("over_refusal", "unsafe_compliance", "refusal", "evasive", "partial", "preachy", "offer", "emoji")
"""Shares, in the order shown."""
EQUAL = "all are equal, which gives no interval"
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
    plain = {role: each["plain_text"]["bits"] for role, each in metrics.items() if "plain_text" in each}
    known = [f"{role} {_mean_text(bits)}" for role, bits in plain.items() if bits["value"] is not None]
    return [*lines, f"bits of a byte of plain text: {', '.join(known)}"] if known else lines


def _mean_text(mean: Mapping) -> str:
    if mean["value"] is None:
        return "–"
    if mean["low"] is None:
        return f"{mean['value']:.2f}" + (f" ({EQUAL})" if mean["of"] >= LEAST else "")
    return f"{mean['value']:.2f} ({mean['low']:.2f}–{mean['high']:.2f})"


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
    """A line for each measure that moved by more than its interval, or everywhere by the same; one that says so where none did."""
    if all(each["of"] < LEAST for each in moved.values()):
        return [f"fewer than {LEAST} prompts, of which nothing can be told"]
    clear = {name: each for name, each in moved.items() if _is_clear(each)}
    lines = [f"{_title(name, each)}: {_moved(name, each)}" for name, each in clear.items()]
    return lines or ["no measure moved by more than its 95% interval"]


def _is_clear(each: Growth) -> bool:
    """Whether its interval leaves out 0; where every prompt moved alike, whether it moved."""
    low, high = each["low"], each["high"]
    if low is None or high is None:
        return each["of"] >= LEAST and each["change"] != 0
    return low > 0 or high < 0


def _title(name: str, each: Growth) -> str:
    return f'{name} "{each["text"]}"' if "text" in each else name.replace("_", "-")


def _moved(name: str, each: Growth) -> str:
    by, unit, points = (100, "%", " points") if name in SHARES else (1, "", "")
    low, high = each["low"], each["high"]
    ends = EQUAL if low is None or high is None else f"{by * low:+.1f} to {by * high:+.1f}"
    form = ".0f" if unit else ".1f"
    moved = f"{by * each['first']:{form}}{unit} → {by * each['value']:{form}}{unit}"
    return f"{moved}, {by * each['change']:+.1f} ({ends}){points}"


def kinds_line(figures: AnswerMeasures) -> str:
    """``compliance 20, refusal 3``."""
    counts: Sequence[tuple[str, int]] = [(kind, figures["stances"][kind]) for kind in KINDS]
    return ", ".join(f"{kind.replace('_', ' ')} {number}" for kind, number in counts if number)
