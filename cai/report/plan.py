"""What ``cai plan`` shows."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from cai.plan import Plan


def table(plan: Plan) -> Table:
    """A row for each stage, and one for all."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "rows", "tokens in", "tokens out", "storage", "tokens/s measured", "hours"):
        shown.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for each in plan.stages:
        speed, hours = (f"{each.speed:,.0f}", f"{each.hours:,.2f}") if each.speed else ("", "")
        shown.add_row(
            each.stage,
            f"{each.rows:,}",
            f"{each.tokens_in:,}" if each.tokens_in else "",
            f"{each.tokens_out:,}" if each.tokens_out else "",
            size(each.bytes),
            speed,
            hours,
        )
    shown.add_section()
    tokens = [f"{sum(getattr(each, key) for each in plan.stages):,}" for key in ("tokens_in", "tokens_out")]
    shown.add_row("all", "", *tokens, size(plan.bytes), "", f"{plan.hours:,.2f}", style="bold")
    return shown


def sentence(plan: Plan, price: float | None) -> str:
    """What was measured, and what it will cost."""
    text = f"{plan.prompts:,} prompts, from a sample of {plan.sample}, with {plan.replicas} times the servers it had"
    if price is not None:
        text += f"; {plan.hours * plan.replicas * price:,.2f} at {price:g} an hour and server"
    return f"{text}; training not counted"


def as_json(plan: Plan, price: float | None) -> dict[str, Any]:
    """All figures."""
    cost = None if price is None else plan.hours * plan.replicas * price
    return {**asdict(plan), "hours": plan.hours, "bytes": plan.bytes, "cost": cost}


def size(count: float) -> str:
    """``1.2 GB``, in powers of a thousand."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
