"""The commands. Each imports what it needs when it is called, so that help is instant.

Exit codes: 0 done, 1 failed, 2 the user's input is wrong. Errors for people are sentences; ``--debug`` shows the trace.
"""

import errno
import io
import logging
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cai.cli import authoring, options
from constitution.visible import visible, without_password

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a constitution in YAML to a harmless, helpful assistant.",
    epilog="Every command takes --debug: show the traceback of an error.",
)
DEBUG = "--debug"


def _version(value: bool) -> None:
    if value:
        from cai.store.ledger import versions

        packages = versions()
        own = packages.pop("cai", "of a folder that is not installed")
        typer.echo(f"cai {own} ({', '.join(map(' '.join, packages.items()))})")
        raise typer.Exit


@app.callback()
def before(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is, and leave.")
    ] = False,
) -> None:
    """What can be said before a command."""


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, its name, or its recipe.")]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's file, such as runs/quickstart.yaml.")],
    overrides: options.Overrides = None,
    redo: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Set this stage and all built on it aside, and do it again.")
    ] = None,
    redo_changed: Annotated[
        bool, typer.Option("--redo-changed", help="Do again only what a changed constitution touches.")
    ] = False,
    rejudge: Annotated[
        bool, typer.Option("--rejudge", help="Judge the answers of evaluate anew; no model answers again.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Outputs go to DIR/<recipe name>/.")] = Path("runs"),
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Map rows over this Ray cluster; auto: the one this machine belongs to."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="With --ray: what every node reaches (s3://…); the run's folder unless given."
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT", help="Serve /metrics for Prometheus; to this machine alone, unless HOST is given."
        ),
    ] = None,
) -> None:
    """Run a recipe; run it again to go on where it stopped."""
    from cai.cluster.hire import join
    from cai.errors import UserError
    from cai.flow.screen import Screen
    from cai.models.machine import this_machine
    from cai.recipe.read import load_recipe
    from cai.report.summary import print_summary
    from cai.run.walk import judge_again, start

    if rejudge and (redo or redo_changed):
        raise UserError("--rejudge beside --redo: give one of them, then the other")
    screen = Screen()
    loaded = load_recipe(recipe, overrides or [], this_machine(serves_here=ray is None))
    folder = out / loaded.name
    if prometheus:
        from cai.flow.prometheus import serve

        serve(screen, prometheus)
    cluster = join(ray, store, folder, screen)
    if rejudge:
        judge_again(loaded, folder, screen, cluster)
    else:
        start(loaded, folder, screen, redo, redo_changed, cluster)
    print_summary(folder, screen.console)


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's file.")],
    overrides: options.Overrides = None,
    prompts: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=10**12, help="Prompts of the whole run; those of its files unless told."),
    ] = None,
    sample: Annotated[
        int, typer.Option(metavar="N", max=10**9, help="Prompts to measure; more than are in flight at once.")
    ] = 128,
    replicas: Annotated[
        int, typer.Option(metavar="N", min=1, max=10**6, help="Times the servers that the sample has.")
    ] = 1,
    price: Annotated[
        float | None, typer.Option(metavar="P", min=0, help="What an hour of all that served the sample costs.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The sample goes to a folder in DIR, and is deleted.")
    ] = Path("runs"),
    as_json: options.FiguresAsJson = False,
) -> None:
    """Measure a sample of a run, and say what the whole will take."""
    from cai.cli.plan import plan_run

    plan_run(recipe, overrides or [], (sample, prompts, replicas), price, out, as_json)


app.command("check")(authoring.check)
app.command("look")(authoring.look)
app.command("measure")(authoring.measure)
app.command("test")(authoring.examine)
app.command("verify")(authoring.verify)
app.command("judge-eval")(authoring.judge_eval)
app.command("try")(authoring.attempt)
app.command("chat")(authoring.chat)
app.command("diff")(authoring.diff)


@app.command()
def status(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print the seals as JSON.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Show it anew every two seconds until the run is done.")] = False,
) -> None:
    """Show how far a run is: stage by stage, with its ledger."""
    from cai.flow.terminal import line
    from cai.report.summary import print_status, run_folder, stages_of, watch_status
    from constitution.visible import json_text

    folder = run_folder(run)
    if live:
        watch_status(folder)
    elif as_json:
        line(json_text(stages_of(folder)))
    else:
        print_status(folder)


@app.command()
def show(
    run: RunArgument,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="The stage's name, such as revise.")],
    count: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many rows.")] = 3,
    drops: Annotated[bool, typer.Option("--drops", help="Show the rows left out, with their reasons.")] = False,
    row: Annotated[str, typer.Option("--id", metavar="ID", help="Show the row with this id.")] = "",
    principle: Annotated[str, typer.Option(metavar="ID", help="Only rows made or judged under this principle.")] = "",
    reason: Annotated[str, typer.Option(metavar="REASON", help="Only rows left out for this reason.")] = "",
    text: Annotated[str, typer.Option(metavar="TEXT", help="Only rows that hold this text.")] = "",
    diff: Annotated[bool, typer.Option("--diff", help="Show what each revision changed, word by word.")] = False,
    thoughts: Annotated[bool, typer.Option("--thoughts", help="Show what a model thought before it answered.")] = False,
) -> None:
    """Show rows of a stage, whole."""
    from cai.report.robustness import print_table
    from cai.report.rows import RowQuery, print_rows
    from cai.report.summary import plain_console, run_folder
    from cai.report.verification import print_summary
    from cai.store.run_folder import kind_of

    query = RowQuery(count, drops, row, principle, reason, text, diff, thoughts)
    folder, console = run_folder(run), plain_console()
    if not drops and (first := {"robustness": print_table, "verify": print_summary}.get(kind_of(folder, stage))):
        first(folder / stage, console)
    print_rows(folder, stage, query, console)


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN…", help="Runs: folders, names, or recipes.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there; within the first run's report/ unless given.")
    ] = None,
    rows: Annotated[
        int, typer.Option(metavar="N", min=0, max=1000, help="Rows of each kind that are shown without a search.")
    ] = 8,
) -> None:
    """Write the report of a run, or of several side by side, on one HTML page."""
    from cai.flow.terminal import line
    from cai.report.page import report_path, write_reports
    from cai.report.summary import run_folder

    folders = [run_folder(run) for run in runs]
    path = out or report_path(folders)
    write_reports(folders, path, rows)
    line(path)


@app.command()
def export(
    run: RunArgument,
    to: Annotated[str, typer.Option("--to", metavar="FORM", help="csv, jsonl or inspect (logs for inspect view).")],
    stage: Annotated[str, typer.Option(metavar="STAGE", help="Which stage; inspect takes all unless told.")] = "",
    table: Annotated[
        str,
        typer.Option(
            metavar="TABLE", help="Of a stage rows, answers, votes, harm, drops or metrics; or the run's ledger."
        ),
    ] = "rows",
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A file, or inspect's folder; stdout, or RUN/logs/inspect else.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many rows of a stage.")] = None,
) -> None:
    """Write a run's tables or transcripts for other programs."""
    from cai.cli.export import export_run

    export_run(run, to, stage, table, out, limit)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to put them.")] = Path(),
) -> None:
    """Copy files to start from; yours stay as they are."""
    from cai.cli.init import copy_starter
    from cai.flow.terminal import line

    for path, copied in copy_starter(folder):
        line(f"{path}: {'written' if copied else 'is there already, left as it is'}")
    line(f"Next: edit {folder / 'principles' / 'harmless.yaml'}, then: cai run {folder / 'runs' / 'quickstart.yaml'}")


def main() -> None:
    """The entry point: errors become sentences and exit codes here, and nowhere else."""
    from constitution.source import InputError

    for stream in (sys.stdout, sys.stderr):  # a path may hold bytes that are no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort:
        logging.lastResort.setFormatter(_Line())
    try:
        app([each for each in sys.argv[1:] if each != DEBUG])
    except InputError as error:
        _fail(error, 2)
    except KeyboardInterrupt:
        _end("stopped", 1)  # what a run keeps, its own sentence says
    except OSError as error:
        # A path that cannot be is the user's input; a full disk or a lost connection is not.
        wrong = error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
        sentence = f"{error.filename}: {error.strerror}; check the path, your rights to it and the room there"
        _fail(OSError(sentence) if error.filename else error, 2 if wrong else 1)
    except Exception as error:
        from cai.errors import CaiError

        if not isinstance(error, CaiError):
            _end("".join(traceback.format_exception(error)), 1)
        _fail(error, 1)


class _Line(logging.Formatter):
    """What libraries say of themselves on stderr, which may quote a server."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _fail(error: Exception, code: int) -> None:
    _end("".join(traceback.format_exception(error)) if DEBUG in sys.argv else f"error: {error}", code)


def _end(text: str, code: int) -> NoReturn:
    """The last line; a traceback is shown like any other text, for it may hold what a server said."""
    from cai.flow.terminal import line

    line(without_password(text), error=True)
    sys.exit(code)
