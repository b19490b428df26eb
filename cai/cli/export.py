"""``cai export``: a run's transcripts and tables in forms that other programs read."""

from collections.abc import Iterator
from pathlib import Path

from cai.cli.shared import one_of
from cai.errors import UserError
from cai.flow.terminal import data_line, line
from cai.report import inspect_logs, tables
from cai.report.summary import run_folder
from cai.store.files import write_lines
from constitution.wording import count

FORMS = ("csv", "jsonl", "inspect")


def export_run(run: str, form: str, stage: str, table: str, out: Path | None, limit: int | None) -> None:
    """Write a run's logs for Inspect to a folder, or a table to a file or to stdout.

    Raises:
        UserError: a word is none of those known, or there is nothing of that kind.
    """
    one_of("--to", form, FORMS)
    one_of("--table", table, tables.TABLES)
    folder = run_folder(run)
    if form != "inspect":
        rows = tables.table(folder, stage, table)
        _write(tables.as_csv(rows, limit) if form == "csv" else tables.jsonl(rows, limit), out)
        return
    if table != "rows":
        raise UserError(f"--table {table} is for csv and jsonl; take it out, or take --to csv")
    place = out or folder / "logs" / "inspect"
    files = inspect_logs.write_logs(folder, place, stage, limit)
    line(f"{count(len(files), 'log')} written; open them with: inspect view --log-dir {place}")


def _write(lines: Iterator[str], out: Path | None) -> None:
    """To a file, whole or not there; or to stdout, where a terminal is shown no controls."""
    if out:
        write_lines(out, lines)
        line(out, error=True)
        return
    for each in lines:
        data_line(each)
