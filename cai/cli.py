"""The commands. Each imports what it needs when it is called, so that help is instant.

Exit codes: 0 done, 1 failed, 2 the user's input is wrong. Errors for people are sentences; ``--debug`` shows the trace.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a constitution in YAML to a harmless, helpful assistant.",
)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, its name, or its recipe.")]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's file, such as runs/quickstart.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]…", help="Settings to change, such as revise.rounds=2.")
    ] = None,
    redo: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Set this stage and all built on it aside, and do it again.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Outputs go to DIR/<recipe name>/.")] = Path("runs"),
    debug: Debug = False,
) -> None:
    """Run a recipe; run it again to go on where it stopped."""
    from cai.recipe import load_recipe
    from cai.report.summary import print_summary
    from cai.run import start
    from cai.screen import Screen

    screen = Screen()
    loaded = load_recipe(recipe, overrides or [])
    folder = out / loaded.name
    start(loaded, folder, screen, redo)
    print_summary(folder, screen.console)


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Constitutions, recipes or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Check constitutions and recipes before they cost."""
    from cai.checking import check_paths

    checked, findings = check_paths(paths)
    if as_json:
        print(json.dumps([each.plain() for each in findings], indent=2, ensure_ascii=False))
    else:
        for each in findings:
            print(each)
        levels = Counter(each.level for each in findings)
        print(f"{checked} files checked: {levels['error']} errors, {levels['warning']} warnings")
    if any(each.level == "error" for each in findings):
        raise typer.Exit(2)


@app.command()
def status(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print the seals as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Show how far a run is: stage by stage, with its ledger."""
    from cai.report.summary import print_status, run_folder, stages_of

    folder = run_folder(run)
    if as_json:
        print(json.dumps(stages_of(folder), indent=2, ensure_ascii=False))
    else:
        print_status(folder)


@app.command()
def show(
    run: RunArgument,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="The stage's name, such as revise.")],
    count: Annotated[int, typer.Option("-n", metavar="N", help="How many rows.")] = 3,
    drops: Annotated[bool, typer.Option("--drops", help="Show the rows left out, with their reasons.")] = False,
    row: Annotated[str | None, typer.Option("--id", metavar="ID", help="Show the row with this id.")] = None,
    debug: Debug = False,
) -> None:
    """Show rows of a stage, whole."""
    from cai.report.summary import print_rows, run_folder

    print_rows(run_folder(run), stage, count, drops, row)


@app.command()
def report(run: RunArgument, debug: Debug = False) -> None:
    """Write the run's report again, on one HTML page."""
    from cai.report.page import write_report
    from cai.report.summary import run_folder

    folder = run_folder(run)
    path = folder / "report" / "report.html"
    write_report(folder, path)
    print(path)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to put them.")] = Path(),
    debug: Debug = False,
) -> None:
    """Copy files to start from; yours stay as they are."""
    from cai.checking import copy_starter

    for path, copied in copy_starter(folder):
        print(f"{path}: {'written' if copied else 'is there already, left as it is'}")
    print(f"Next: edit {folder / 'principles' / 'harmless.yaml'}, then: cai run {folder / 'runs' / 'quickstart.yaml'}")


def main() -> None:
    """The entry point: errors become sentences and exit codes here, and nowhere else."""
    from constitution.source import InputError

    try:
        app()
    except InputError as error:
        _fail(error, 2)
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        _fail(error, 1)
    except Exception as error:
        from cai.errors import CaiError

        if not isinstance(error, CaiError):
            raise
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    if "--debug" in sys.argv:
        raise error
    print(f"error: {error}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
