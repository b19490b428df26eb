"""What the terminal shows of a run: its summary, its status, its rows."""

import json
import textwrap
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cai.errors import UserError
from cai.store import Stage, described
from constitution.source import InputError, nearest, read_yaml

WIDTH = 100


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


def stages_of(folder: Path) -> list[dict[str, Any]]:
    """Every stage of the recipe with its state: "done", "open" or "waiting", and its seal or what is written so far."""
    found = []
    for known in described(folder)["stages"]:
        stage = Stage(folder / known["name"])
        seal = stage.seal
        state = "done" if seal else "open" if (stage.folder / "begun.json").exists() else "waiting"
        found.append({**known, "state": state, "so_far": "" if seal else _so_far(stage), **(seal or {})})
    return found


def _so_far(stage: Stage) -> str:
    """How far a stage is that is not done: rows written, or training steps."""
    files = [*stage.folder.glob("part-*.jsonl"), *stage.folder.glob("part-*.open")]
    rows = sum(1 for path in files for _ in path.open("rb"))
    steps = stage.metrics()[-1:]
    return f"{rows} rows written" if rows else f"step {steps[0]['step']} of {steps[0]['steps']}" if steps else ""


def ledger_line(seal: dict[str, Any]) -> str:
    """``revise: 57 in = 57 kept + 0 dropped; 57 out; 28,000 tokens in 95 s``."""
    dropped = seal["dropped"]
    reasons = f" ({words(dropped)})" if dropped else ""
    line = (
        f"{seal['stage']}: {seal['rows_in']} in = {seal['rows_kept']} kept + {sum(dropped.values())} dropped{reasons}"
    )
    if seal["rows_out"]:
        line += f"; {seal['rows_out']} out"
    if seal["counts"]:
        line += f" ({words(seal['counts'])})"
    if seal["tokens_out"]:
        line += f"; {seal['tokens_out']:,} tokens in {seal['seconds']:.0f} s"
    return line


def words(counts: dict[str, int]) -> str:
    """``tie 3, ok 20``."""
    return ", ".join(f"{word.replace('_', ' ')} {count}" for word, count in counts.items())


def ledger_table(stages: list[dict[str, Any]]) -> Table:
    """Rows in = rows kept + rows dropped, stage by stage."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "state", "in", "kept", "dropped", "out", "tokens", "seconds", "counts and reasons"):
        numeric = name in ("in", "kept", "dropped", "out", "tokens", "seconds")
        table.add_column(name, justify="right" if numeric else "left", no_wrap=name == "stage")
    for each in stages:
        if each["state"] != "done":
            table.add_row(each["name"], each["state"], "", "", "", "", "", "", each["so_far"])
            continue
        note = words({**each["counts"], **each["dropped"]})
        numbers = (each["rows_in"], each["rows_kept"], sum(each["dropped"].values()), each["rows_out"])
        spent = (f"{each['tokens_out']:,}" if each["tokens_out"] else "", f"{each['seconds']:.0f}")
        table.add_row(each["name"], "done", *map(str, numbers), *spent, note)
    return table


def print_status(folder: Path) -> None:
    """The state of every stage."""
    _console().print(ledger_table(stages_of(folder)))


def print_summary(folder: Path, console: Console) -> None:
    """Where everything is, one row whole, and the ledger."""
    console = _console() if not console.is_terminal else console
    stages = stages_of(folder)
    for each in stages:
        chains = Stage(folder / each["name"]) if each["kind"] == "revise" else None
        row = next((row for row in chains.all_rows(dict) if len(row["drafts"]) > 1), None) if chains else None
        if row:
            console.print("\n[bold]One row, whole[/bold]")
            console.print(chain_text(row), markup=False)
            break
    console.print("\n[bold]Ledger[/bold] (rows in = rows kept + rows dropped)")
    console.print(ledger_table(stages))
    console.print("\n[bold]Outputs[/bold]")
    for each in stages:
        if path := _output(folder, each):
            console.print(f"{each['name']:<12} {path}", markup=False)


def _output(folder: Path, stage: dict[str, Any]) -> Path | None:
    own = folder / stage["name"]
    match stage["kind"]:
        case "sft_set" | "prefs":
            return own
        case "sft" | "reward" | "dpo":
            return own / "model"
        case "evaluate":
            return own / "metrics.json"
        case "report":
            return own / "report.html"
    return None


def print_rows(folder: Path, name: str, count: int, drops: bool, row_id: str | None) -> None:
    """Rows of a stage, or its drops.

    Raises:
        UserError: there is no such stage, or nothing in it to show.
    """
    known = [each["name"] for each in described(folder)["stages"]]
    if name not in known:
        raise UserError(f'the run has no stage "{name}"; {nearest(name, known)}')
    stage = Stage(folder / name)
    rows = iter(stage.drops()) if drops else _rows(stage)
    if row_id is not None:
        rows = (row for row in rows if row_id in (row.get("id"), row.get("in")))
    shown = 0
    for row in islice(rows, count):
        _console().print(chain_text(row) if "drafts" in row else pair_text(row), markup=False)
        shown += 1
    if not shown:
        raise UserError(
            f"{stage.folder} has no {'drops' if drops else 'rows'} to show{f' with id {row_id}' if row_id else ''}"
        )


def _rows(stage: Stage) -> Any:
    if stage.parts():
        return stage.all_rows(dict)
    import pyarrow.parquet as parquet

    files = sorted(stage.folder.glob("*.parquet"))
    return (row for file in files for batch in parquet.ParquetFile(file).iter_batches(64) for row in batch.to_pylist())


def chain_text(row: dict[str, Any]) -> str:
    """A chain as a person reads it: prompt, draft, critique, revision."""
    lines = [f"── {row['id']} ({row['track']})", _block("prompt", row["messages"][-1]["content"])]
    for number, draft in enumerate(row["drafts"]):
        if number:
            lines.append(_block(f"critique {number}, under {draft['principle']}", draft["critique"]))
        lines.append(_block(f"revision {number}" if number else f"draft, by {draft['model']}", draft["text"]))
    return "\n".join(lines)


def pair_text(row: dict[str, Any]) -> str:
    """Any other row: its texts one below the other, the rest as JSON."""
    pair = row.get("pair", row)
    if "a" not in pair or "messages" not in pair:
        return json.dumps(row, indent=2, ensure_ascii=False)
    lines = [f"── {row['id']}", _block("prompt", pair["messages"][-1]["content"])]
    lines += [_block("answer a", pair["a"]["text"]), _block("answer b", pair["b"]["text"])]
    for vote in row.get("votes", ()):
        lines.append(_block(f"vote under {vote['principle']}, order {vote['order']}: {vote['status']}", _said(vote)))
    if "status" in row:
        lines.append(
            _block("preference", f"{row['status']}, P(a is better) = {row['p_a']}, as a label {row['p_label']}")
        )
    return "\n".join(lines)


def _said(vote: dict[str, Any]) -> str:
    read = f"P(a) = {vote['p_a']:.3f}" if vote["p_a"] is not None else "not read"
    return f"{vote['rationale']}\n{read}".strip()


def _block(title: str, text: str) -> str:
    return f"{title}:\n" + textwrap.indent("\n".join(textwrap.fill(line, WIDTH) for line in text.splitlines()), "    ")


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a log has no edge; tables should not be cut at 80 columns
    return console
