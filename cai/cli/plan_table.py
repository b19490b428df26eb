"""What a plan says, and how ``cai plan`` shows it."""

from dataclasses import asdict, dataclass

from rich.table import Table

from cai.flow.purse import money
from cai.train.launch import memory
from constitution import wording

FULL = 4
"""Times as many prompts as requests in flight: fewer, and much of the time goes by while the last ones end."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one stage will take.

    Attributes:
        rows: it gives.
        tokens_in, tokens_out: of all its requests.
        bytes: on disk.
        hours: of generation, with the replicas asked for; 0 where no model is asked.
        speed: generated tokens/s that the sample reached.
        cost: of its tokens, where a role has a price.
    """

    stage: str
    rows: int
    tokens_in: int
    tokens_out: int
    bytes: int
    hours: float
    speed: float
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the whole will take.

    Attributes:
        prompts: of the whole.
        sample: prompts that were measured.
        replicas: times the servers that the sample had.
        flying: requests that were in flight at once, at the most.
        trainers: what each takes of memory, where its base is on this machine.
        short: a sentence for each of them that will not fit.
        unmeasured: a sentence for each data stage that is not in it.
    """

    prompts: int
    sample: int
    replicas: int
    flying: int
    stages: tuple[Estimate, ...]
    trainers: tuple[memory.Need, ...] = ()
    short: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """Of generation, one stage after the other."""
        return sum(each.hours for each in self.stages)

    @property
    def cost(self) -> float | None:
        """Of all tokens, by the prices of the roles; None where none has one."""
        costs = [each.cost for each in self.stages if each.cost is not None]
        return sum(costs) if costs else None

    @property
    def bytes(self) -> int:
        """On disk, without models."""
        return sum(each.bytes for each in self.stages)


def table(plan: Plan) -> Table:
    """A row for each stage, and one for all."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    priced = plan.cost is not None
    columns = ("stage", "rows", "tokens in", "tokens out", "storage", "tokens/s", "hours")
    for name in (*columns, "cost") if priced else columns:
        grid.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for each in plan.stages:
        speed, hours = (f"{each.speed:,.0f}", f"{each.hours:,.2f}") if each.speed else ("", "")
        grid.add_row(
            each.stage,
            count(each.rows),
            count(each.tokens_in) if each.tokens_in else "",
            count(each.tokens_out) if each.tokens_out else "",
            size(each.bytes),
            speed,
            hours,
            *([money(each.cost) if each.cost is not None else ""] if priced else []),
        )
    grid.add_section()
    tokens = [count(sum(getattr(each, key) for each in plan.stages)) for key in ("tokens_in", "tokens_out")]
    total = [] if plan.cost is None else [money(plan.cost)]
    grid.add_row("all", "", *tokens, size(plan.bytes), "", f"{plan.hours:,.2f}", *total, style="bold")
    return grid


def memory_table(plan: Plan) -> Table:
    """A row for each trainer: what it takes on each device, and what that has."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    parts = ("weights", "gradients", "optimizer", "reference", "scorers", "activations", "logits", "process")
    for name in ("training", *parts, "all", "there is"):
        grid.add_column(name, justify="left" if name == "training" else "right", no_wrap=True)
    for each in plan.trainers:
        grid.add_row(
            each.stage,
            *(size(getattr(each, part)) if getattr(each, part) else "" for part in parts),
            size(each.all),
            f"{size(each.there)} ({each.device})",
        )
    return grid


def sentence(plan: Plan, price: float | None) -> str:
    """What was measured, what it will cost, and whether the sample was large enough for its speed to be believed."""
    text = f"{wording.count(plan.prompts, 'prompt')}, from a sample of {plan.sample}, served by {plan.replicas} × what served it"
    if price is not None:
        text += f"; {plan.hours * plan.replicas * price:,.2f} at {price:g} an hour of what the sample had"
    if plan.cost is not None:
        text += f"; {money(plan.cost)} for the tokens, by the prices of the roles"
    text += "; tokens/s are the sample's; hours of training not counted"
    if plan.sample < FULL * plan.flying:
        were = "request was" if plan.flying == 1 else "requests were"
        text += (
            f"\n{plan.flying} {were} in flight at once: with --sample {FULL * plan.flying} or more the servers "
            "would have been full for most of the time, and the hours fewer"
        )
    return text


def as_json(plan: Plan, price: float | None) -> dict[str, object]:
    """All figures."""
    cost = None if price is None else plan.hours * plan.replicas * price
    trainers = [{**asdict(each), "all": each.all} for each in plan.trainers]
    return {
        **asdict(plan),
        "trainers": trainers,
        "hours": plan.hours,
        "bytes": plan.bytes,
        "cost": cost,
        "tokens_cost": plan.cost,
    }


def count(number: float) -> str:
    """``1,234``, ``61.7 billion``."""
    for unit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number:,.0f}"


def size(number: float) -> str:
    """``1.2 GB``, in powers of a thousand."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number:.0f} B"
