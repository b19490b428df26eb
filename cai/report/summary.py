"""What the terminal shows of a run: its summary, its status, its rows."""

import time
from pathlib import Path
from typing import NotRequired, cast

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cai.errors import RunError, UserError
from cai.flow.purse import Purse, money
from cai.flow.terminal import Terminal
from cai.judge.reliability import Reliability
from cai.models.prices import Price
from cai.report.format import counts_text
from cai.report.rows import chain_text
from cai.stages import sets, trainers
from cai.stages.benchmarks import BenchmarkTable
from cai.stages.evaluate import EvaluatedModel
from cai.store.files import read_form
from cai.store.ledger import RoundVerdict, Seal, Wins
from cai.store.rows import Chain
from cai.store.run_folder import StageNote, run_note
from cai.store.spending import SPENT, Spending
from cai.store.stage import Stage
from constitution.source import InputError, read_yaml
from constitution.wording import count


class StageState(Seal):
    """A stage of a run; what its seal says is there once it is done.

    Attributes:
        state: "done", "open", "waiting", or "not run".
        so_far: how far it is, or why it is not run.
        rounds, round: of a step of a round.
    """

    name: str
    kind: str
    reads: str
    rounds: NotRequired[str]
    round: NotRequired[int]
    state: str
    so_far: str


def run_folder(run: str) -> Path:
    """The folder of a run, given itself, its name or its recipe.

    Raises:
        UserError: there is none.
    """
    path = Path(run)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        try:
            data = read_yaml(path).data
        except InputError as error:
            raise UserError(str(error)) from None
        path = Path("runs") / str(data.get("name") if isinstance(data, dict) else path.stem)
    for folder in (path, Path("runs") / run):
        if (folder / "run.json").is_file():
            return folder
    raise UserError(f"there is no run at {run}; give a run's folder (runs/<name>), its name or its recipe")


def stages_of(folder: Path) -> list[StageState]:
    """Every stage of the recipe with its state, and its seal or what is written so far.

    The state is "done", "open", "waiting", or "not run" for what belongs to a round after one that was not accepted.
    """
    states: list[StageState] = []
    purse = purse_of(folder)
    for note in run_note(folder)["stages"]:
        stage = Stage(folder / note["name"])
        seal = stage.seal
        state = "done" if seal else "open" if (stage.folder / "begun.json").exists() else "waiting"
        so_far = "" if seal else _so_far(folder, note, stage)
        if state == "waiting" and (verdict := _end_verdict(states, note)):
            state, so_far = "not run", f"{verdict['policy']} was not accepted: {' and '.join(verdict['why'])}"
        bill = purse.bill(note["name"])
        states.append(cast("StageState", {**note, "state": state, "so_far": so_far, **(seal or {}), **bill}))
    return states


def purse_of(folder: Path) -> Purse:
    """What a run has spent; what no cost was kept of, by the prices that its recipe had when it last ran."""
    prices = cast("dict[str, Price]", run_note(folder).get("prices", {}))
    return Purse(Spending(folder / SPENT), prices)


def spent_line(folder: Path) -> str:
    """``Spent: 12.30 (policy 2.10, judge 10.20)``; empty where nothing has a price."""
    purse = purse_of(folder)
    return f"Spent: {money(purse.spent)} ({purse.by_role()})" if purse.words() else ""


def evaluated(folder: Path) -> dict[str, EvaluatedModel]:
    """An evaluation's figures by role.

    Raises:
        RunError: they are gone, or damaged.
    """
    path = folder / "metrics.json"
    if figures := read_form(path, dict[str, EvaluatedModel]):
        return figures
    raise RunError(f"{path} is gone; put it back, or do it again with: --redo {folder.name}")


def judged(folder: Path) -> Reliability | None:
    """Who judged an evaluation, and how far that can be believed; None of one of before this was kept, or without comparisons.

    Raises:
        RunError: the file is damaged.
    """
    return read_form(folder / "judge.json", Reliability)


def benchmarked(folder: Path) -> BenchmarkTable:
    """What models reached in tasks, by role and task; raises as ``evaluated``."""
    path = folder / "metrics.json"
    if (table := read_form(path, BenchmarkTable)) is not None:
        return table
    raise RunError(f"{path} is gone; put it back, or do it again with: --redo {folder.name}")


def _end_verdict(before: list[StageState], note: StageNote) -> RoundVerdict | None:
    """The verdict that ended the rounds before a stage of a later one."""
    earlier = (each for each in before if note.get("round", 0) > each.get("round", 0))
    mine = (each.get("verdict") for each in earlier if each.get("rounds") == note.get("rounds"))
    return next((each for each in mine if each and not each["accepted"]), None)


def _so_far(folder: Path, note: StageNote, stage: Stage) -> str:
    """How far a stage is that is not done: rows done, or training steps."""
    if steps := stage.metrics()[-1:]:
        return f"step {steps[0].get('step')} of {steps[0].get('steps')}"
    done = stage.count_done()
    total = (
        sum(tally.rows_out for tally in Stage(folder / note["reads"]).part_tallies().values()) if note["reads"] else 0
    )
    return (f"{done} of {count(total, 'row')} done" if total else f"{count(done, 'row')} done") if done else ""


def ledger_line(seal: Seal) -> str:
    """``revise: 57 in = 57 kept + 0 dropped; 57 out; 28,000 tokens in 95 s``."""
    if text := outcome(seal):
        return f"{seal['stage']}: {text}"
    dropped = seal["dropped"]
    reasons = f" ({counts_text(dropped)})" if dropped else ""
    line = (
        f"{seal['stage']}: {seal['rows_in']} in = {seal['rows_kept']} kept + {sum(dropped.values())} dropped{reasons}"
    )
    if seal["rows_out"]:
        line += f"; {seal['rows_out']} out"
    if seal["counts"]:
        line += f" ({counts_text(seal['counts'])})"
    if seal["tokens_out"]:
        line += f"; {seal['tokens_out']:,} tokens in {seal['seconds']:.0f} s"
    if "cost" in seal:
        line += f"; {money(seal['cost'])} spent"
    return "; ".join([line, *seal.get("notes", [])])


def outcome(seal: Seal) -> str:
    """What became of a round, or of all of them; empty for other stages."""
    return sentence(seal["verdict"]) if "verdict" in seal else seal.get("says", "")


def ledger_table(stages: list[StageState]) -> Table:
    """Rows in = rows kept + rows dropped, stage by stage."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    priced = any("cost" in each for each in stages)
    numeric = ("in", "kept", "dropped", "out", "tokens", "seconds", *(("cost",) if priced else ()))
    for name in ("stage", "state", *numeric, "counts and reasons"):
        table.add_column(name, justify="right" if name in numeric else "left", no_wrap=name == "stage")
    for each in stages:
        cost = [money(each["cost"]) if "cost" in each else ""] if priced else []
        if each["state"] != "done":
            table.add_row(each["name"], each["state"], *[""] * 6, *cost, each["so_far"])
            continue
        note = outcome(each) or counts_text({**each["counts"], **each["dropped"]})
        note = "; ".join(filter(None, [note, *each.get("notes", [])]))
        numbers = (each["rows_in"], each["rows_kept"], sum(each["dropped"].values()), each["rows_out"])
        usage = (f"{each['tokens_out']:,}" if each["tokens_out"] else "", f"{each['seconds']:.0f}")
        table.add_row(each["name"], "done", *map(str, numbers), *usage, *cost, note)
    return table


def print_status(folder: Path) -> None:
    """The state of every stage."""
    console = plain_console()
    console.print(ledger_table(stages_of(folder)))
    if line := spent_line(folder):
        console.print(line)


def watch_status(folder: Path, seconds: float = 2.0) -> None:
    """The state of every stage, anew every so many seconds until all are done; from any terminal, it reads files alone."""
    console = plain_console()
    with Live(console=console, auto_refresh=False) as live:
        while True:
            stages = stages_of(folder)
            live.update(ledger_table(stages), refresh=True)
            if all(each["state"] in ("done", "not run") for each in stages):
                break
            time.sleep(seconds)
    if not console.is_terminal:
        console.print()  # in a pipe or a file, Live leaves its last line open


def print_summary(folder: Path, console: Console) -> None:
    """Where everything is, one row whole, and the ledger."""
    console = plain_console() if not console.is_terminal else console
    stages = stages_of(folder)
    for each in stages:
        chains = Stage(folder / each["name"]) if each["kind"] == "revise" else None
        row = next((row for row in chains.all_rows(Chain) if len(row.drafts) > 1), None) if chains else None
        if row:
            console.print("\nOne row, whole", style="bold")
            console.print(chain_text(row), markup=False)
            break
    console.print("\nLedger (rows in = rows kept + rows dropped)", style="bold")
    console.print(ledger_table(stages))
    if line := spent_line(folder):
        console.print(line)
    outputs = {each["name"]: path for each in stages if each["state"] != "not run" and (path := _output(folder, each))}
    if outputs:
        console.print("\nOutputs", style="bold")
        wide = max(12, *map(len, outputs))
        for name, path in outputs.items():
            console.print(f"{name:<{wide}} {path}", markup=False)


def _output(folder: Path, stage: StageState) -> Path | None:
    own = folder / stage["name"]
    match stage["kind"]:
        case kind if kind in sets():
            return own
        case kind if kind in trainers():
            return own / "model"
        case "evaluate" | "verify" | "robustness" | "benchmarks":
            return own / "metrics.json"
        case "report":
            return own / "report.html"
        case "rounds" if not stage.get("round"):
            return own / "model"
    return None


def plain_console() -> Console:
    """The terminal, or a log that is wide enough for tables."""
    console = Terminal()
    if not console.is_terminal:
        console.width = 160  # a log has no edge; tables should not be cut at 80 columns
    return console


def sentence(verdict: RoundVerdict) -> str:
    """What became of a round, with its numbers."""
    length = "unknown" if verdict["length"] is None else f"{verdict['length']:.2f}"
    distance = (
        f"against {verdict['initial']} its KL is {verdict['kl']:.3g} nats an answer and its length ratio {length}"
    )
    became = f"not accepted, as {' and '.join(verdict['why'])}" if verdict["why"] else "accepted"
    return f"{became}; {_won(verdict['compared'], verdict['against'])}; {distance}"


def _won(wins: Wins, against: str) -> str:
    if not wins["decided"]:
        return f"no comparison with {against} was decided"
    share = f"{wins['win_rate']:.0%}; 95%: {wins['low']:.0%} to {wins['high']:.0%}"
    return f"it won {wins['won']} of {wins['decided']} decided comparisons with {against} ({share})"
