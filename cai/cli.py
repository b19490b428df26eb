"""The commands. Each imports what it needs when it is called, so that help is instant.

Exit codes: 0 done, 1 failed, 2 the user's input is wrong. Errors for people are sentences; ``--debug`` shows the trace.
"""

import errno
import io
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


ConstitutionArgument = Annotated[Path, typer.Argument(metavar="CONSTITUTION", help="The constitution's file.")]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="A Hub id, a folder or bundled/smollm2-135m; a server's URL (URL#NAME where it has several models); a script "
        "of answers (FILE.yaml); or a recipe's block: '{vllm: ID, max_len: 8192}'.",
    ),
]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's file, such as runs/quickstart.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]…", help="Settings to change, such as revise.rounds=2.")
    ] = None,
    redo: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Set this stage and all built on it aside, and do it again.")
    ] = None,
    redo_changed: Annotated[
        bool, typer.Option("--redo-changed", help="Do again only what a changed constitution touches.")
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
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Serve /metrics for Prometheus here.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Run a recipe; run it again to go on where it stopped."""
    from cai.cluster import join
    from cai.recipe import load_recipe
    from cai.report.summary import print_summary
    from cai.run import start
    from cai.screen import Screen

    screen = Screen()
    loaded = load_recipe(recipe, overrides or [])
    folder = out / loaded.name
    if prometheus:
        from cai.metrics import serve

        serve(screen, prometheus)
    start(loaded, folder, screen, redo, redo_changed, join(ray, store, folder, screen))
    print_summary(folder, screen.console)


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe's file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value]…", help="Settings to change, such as revise.rounds=2.")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Prompts of the whole run; those of its files unless told.")
    ] = None,
    sample: Annotated[
        int, typer.Option(metavar="N", help="Prompts to measure; more than are in flight at once.")
    ] = 128,
    replicas: Annotated[int, typer.Option(metavar="N", min=1, help="Times the servers that the sample has.")] = 1,
    price: Annotated[
        float | None, typer.Option(metavar="P", min=0, help="What an hour of one such server costs.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The sample goes to DIR/.plan/ and is deleted.")] = Path(
        "runs"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Measure a sample of a run, and say what the whole will take."""
    from cai.commands import plan_run

    plan_run(recipe, overrides or [], (sample, prompts, replicas), price, out / ".plan", as_json)


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH…", help="Constitutions, recipes or folders of them.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Count prompts in this model's tokens: a Hub id, a folder.")
    ] = None,
    max_len: Annotated[
        int | None, typer.Option(metavar="TOKENS", min=1, help="The model's context, where less than its own.")
    ] = None,
    prompts: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Prompts that principles have to apply to.")
    ] = None,
    list_rules: Annotated[bool, typer.Option("--rules", help="Print every rule with what it means.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Check constitutions and recipes before they cost."""
    from cai.checking import check_paths, context
    from constitution.check import documented

    if list_rules:
        for name, (level, about) in documented().items():
            print(f"{name} ({level}): {about}")
        return
    checked, findings = check_paths(_given(paths, "PATH…"), context(model, max_len, prompts or []))
    if as_json:
        print(json.dumps([each.plain() for each in findings], indent=2, ensure_ascii=False))
    else:
        for each in findings:
            print(each)
        levels = Counter(each.level for each in findings)
        print(f"{checked} files checked: {levels['error']} errors, {levels['warning']} warnings")
    if any(each.level == "error" for each in findings):
        raise typer.Exit(2)


@app.command("test")
def examine(
    constitution: ConstitutionArgument,
    model: ModelOption,
    principle: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this principle; may be given more than once.")
    ] = None,
    method: Annotated[str, typer.Option(help="logprob, or cot to let the judge reason first.")] = "logprob",
    exemplars: Annotated[int | None, typer.Option(metavar="N", min=0, help="Exemplars shown; all unless told.")] = None,
    max_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="The most tokens of the reasoning.")] = 512,
    threshold: Annotated[
        float | None, typer.Option(metavar="SHARE", min=0, max=1, help="Exit with 1 under this accuracy, such as 0.8.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for CI.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Test how well a judge applies each principle, by its examples."""
    from cai.commands import examine_constitution
    from cai.stages.label import Label

    want = Label("model", method=method, exemplars=exemplars, max_tokens=max_tokens, disagree="average")
    accuracy = examine_constitution(constitution, model, principle or [], want, junit, as_json)
    if threshold is not None and accuracy < threshold:
        print(f"accuracy {accuracy:.2f} is under the threshold {threshold:.2f}", file=sys.stderr)
        raise typer.Exit(1)


@app.command("try")
def attempt(
    constitution: ConstitutionArgument,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the person asks.")],
    model: ModelOption,
    principle: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Under this principle; one for each round, in turn.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Critique-revision rounds; not with --choice all.")
    ] = None,
    choice: Annotated[
        str, typer.Option(help="How principles are drawn: uniform, weighted, distinct, by_tag, all.")
    ] = "uniform",
    track: Annotated[str, typer.Option(help="The prompt's track: redteam or helpful.")] = "redteam",
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A tag of the prompt.")] = None,
    exemplars: Annotated[int | None, typer.Option(metavar="N", min=0, help="Exemplars shown; all unless told.")] = None,
    max_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="The most tokens of one reply.")] = 512,
    temperature: Annotated[float, typer.Option(min=0, help="Sampling temperature.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1, help="Nucleus sampling.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another chain.")] = 0,
    show_prompt: Annotated[bool, typer.Option("--show-prompt", help="Show the exact text of each request.")] = False,
    debug: Debug = False,
) -> None:
    """Try one chain: draft, critique, revision, and what changed."""
    from cai.commands import try_constitution
    from cai.stages.revise import Revise
    from cai.trial import Trial

    ids = principle or []
    if rounds and choice == "all":
        raise typer.BadParameter("--choice all has a round for each principle; leave --rounds out")
    want = Revise("model", rounds or len(ids) or 1, choice, (track,), max_tokens, temperature, top_p, exemplars)
    try_constitution(constitution, model, Trial(prompt, tag or [], ids, want, seed, show_prompt))


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="A", help="A constitution, or a run for the one it used.")],
    new: Annotated[Path, typer.Argument(metavar="B", help="The other one.")],
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="Tell what B would mean for the rows of this run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all as JSON, with the ids of the rows.")] = False,
    debug: Debug = False,
) -> None:
    """Show what changed between two constitutions, and which rows it touches."""
    from cai.commands import diff_constitutions

    diff_constitutions(old, new, run, as_json)


@app.command()
def status(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print the seals as JSON.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Show it anew every two seconds until the run is done.")] = False,
    debug: Debug = False,
) -> None:
    """Show how far a run is: stage by stage, with its ledger."""
    from cai.report.summary import print_status, run_folder, stages_of, watch_status

    folder = run_folder(run)
    if live:
        watch_status(folder)
    elif as_json:
        print(json.dumps(stages_of(folder), indent=2, ensure_ascii=False))
    else:
        print_status(folder)


@app.command()
def show(
    run: RunArgument,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="The stage's name, such as revise.")],
    count: Annotated[int, typer.Option("-n", metavar="N", help="How many rows.")] = 3,
    drops: Annotated[bool, typer.Option("--drops", help="Show the rows left out, with their reasons.")] = False,
    row: Annotated[str, typer.Option("--id", metavar="ID", help="Show the row with this id.")] = "",
    principle: Annotated[str, typer.Option(metavar="ID", help="Only rows made or judged under this principle.")] = "",
    reason: Annotated[str, typer.Option(metavar="REASON", help="Only rows left out for this reason.")] = "",
    text: Annotated[str, typer.Option(metavar="TEXT", help="Only rows that hold this text.")] = "",
    diff: Annotated[bool, typer.Option("--diff", help="Show what each revision changed, word by word.")] = False,
    debug: Debug = False,
) -> None:
    """Show rows of a stage, whole."""
    from cai.report.rows import Wanted, print_rows
    from cai.report.summary import plain_console, run_folder

    print_rows(run_folder(run), stage, Wanted(count, drops, row, principle, reason, text, diff), plain_console())


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


def _given(paths: list[Path] | None, what: str) -> list[Path]:
    if not paths:
        raise typer.BadParameter(f"name at least one {what}")
    return paths


def main() -> None:
    """The entry point: errors become sentences and exit codes here, and nowhere else."""
    from constitution.source import InputError

    for stream in (sys.stdout, sys.stderr):  # a path may hold bytes that are no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except InputError as error:
        _fail(error, 2)
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        # A path that cannot be is the user's input; a full disk or a lost connection is not.
        wrong = error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
        _fail(OSError(f"{error.filename}: {error.strerror}") if error.filename else error, 2 if wrong else 1)
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
