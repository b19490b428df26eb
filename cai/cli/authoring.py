"""The commands of a constitution's author: check, look, test, judge-eval, try, diff; ``app.py`` puts them beside the others."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

T = TypeVar("T", str, Path)

ConstitutionArgument = Annotated[Path, typer.Argument(metavar="CONSTITUTION", help="The constitution's file.")]
ModelOption = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="A Hub id, a folder or bundled/smollm2-135m; a server's URL (URL#NAME where it has several models); a script "
        "of answers (FILE.yaml); or a recipe's block: '{vllm: ID, max_len: 8192}'.",
    ),
]


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH…", help="Constitutions, recipes, folders; all here unless told."),
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
) -> None:
    """Check constitutions and recipes before they cost."""
    from cai.cli.check import check_paths, context, project
    from cai.cli.look import lines
    from cai.data.account import Account
    from cai.flow.terminal import line
    from constitution.check import catalogue
    from constitution.visible import json_text, without_password
    from constitution.wording import count

    if list_rules:
        for name, (level, about) in catalogue().items():
            line(f"{name} ({level}): {about}")
        return
    accounts: list[Account] = []
    checked, findings = check_paths(paths or project(), context(model, max_len, prompts or []), accounts)
    if as_json:
        line(without_password(json_text([each.plain() for each in findings])))
    else:
        for each in (*lines(accounts), *findings):
            line(without_password(str(each)))
        levels = Counter(each.level for each in findings)
        found = ", ".join(count(levels[level], level) for level in ("error", "warning"))
        line(f"{count(checked, 'file')} checked: {found}")
    if any(each.level == "error" for each in findings):
        raise typer.Exit(2)


def look(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE…", help="Files, folders, paths with wildcards, or hub:OWNER/NAME."),
    ] = None,
    column: Annotated[
        str, typer.Option(metavar="NAME", help="The column that holds the prompt; a.b in a struct.")
    ] = "",
    id_column: Annotated[str | None, typer.Option("--id", metavar="NAME", help="The column of the id.")] = None,
    track: Annotated[str | None, typer.Option(metavar="NAME", help="The column of the track.")] = None,
    system: Annotated[str | None, typer.Option(metavar="NAME", help="The column of the system message.")] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help='The column of what comes before the question; "" for none.')
    ] = None,
    tools: Annotated[
        str | None, typer.Option(metavar="NAME", help='The column of the tools that may be called; "" for none.')
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT=COLUMN",
            help="Of pairs: prompt=…, a=…, b=…, label=…, system=…, context=…, tools=…; or first=VALUE, scale=…, as in a recipe.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The split, of a folder or a Hub dataset.")] = "train",
    config: Annotated[str, typer.Option(help="The configuration, of a folder or a Hub dataset.")] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=10**9, help="Rows from the front; all unless told, of a Hub dataset 1000."
        ),
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            metavar="MODEL", help="Show a model's chat template instead: what it asks, and what is trained on."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the accounts as JSON.")] = False,
) -> None:
    """Show what is understood of prompts or pairs.

    Columns, forms of the rows, what is left out, and one row as it is asked.
    """
    if template:
        from cai.cli.template import show
        from cai.errors import UserError

        if files:
            raise UserError("--template is for a model, and files are shown by themselves; take one of the two out")
        show(template, as_json)
        return
    from cai.cli.look import Look, look_at
    from cai.data.prompt_source import PromptSource

    source = PromptSource(
        split=split,
        config=config,
        limit=limit,
        id=id_column,
        track=track,
        system=system,
        context=context,
        tools=tools,
    )
    source = replace(source, column=column) if column else source
    look_at(_given(files, "FILE…"), Look(source, _columns(columns or [])), as_json)


def examine(
    constitution: ConstitutionArgument,
    model: ModelOption,
    principle: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this principle; may be given more than once.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="logprob, cot, debate, critique, score or rank; as in a recipe's label.")
    ] = "logprob",
    exemplars: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=1000, help="Exemplars shown; all unless told.")
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(metavar="N", min=1, max=10**7, help="The most tokens of the reasoning.")
    ] = 512,
    threshold: Annotated[
        float | None, typer.Option(metavar="SHARE", min=0, max=1, help="Exit with 1 under this accuracy, such as 0.8.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for CI.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Test how well a judge applies each principle, by its examples."""
    from cai.cli.test import examine_constitution
    from cai.flow.terminal import line
    from cai.judge.settings import Judging

    want = Judging(method, exemplars=exemplars, max_tokens=max_tokens, disagree="average")
    accuracy = examine_constitution(constitution, model, principle or [], want, junit, as_json)
    if threshold is not None and accuracy < threshold:
        line(f"accuracy {accuracy:.2f} is under the threshold {threshold:.2f}", error=True)
        raise typer.Exit(1)


def judge_eval(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Pairs that people compared: a file, or hub:OWNER/NAME.")],
    constitution: Annotated[Path, typer.Option(metavar="CONSTITUTION", help="What the judge judges by.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[key=value]…", help="Of a recipe's label, such as choice=all, or cot.samples=8."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="The judge, named as for cai test.")] = None,
    reward: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A reward model, for the method reward: a Hub id or a folder.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(metavar="METHOD", help="logprob unless told; more than once, or all.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=10**9, help="Rows to take from the front.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT=COLUMN", help="prompt=…, a=…, b=…, label=…; or first=VALUE, scale=…, as in a recipe."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="The Hub dataset's split.")] = "test",
    calibrate: Annotated[
        str | None, typer.Option(metavar="KIND", help="Fit what the probabilities stand for: temperature or isotonic.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Save the calibration under this name, for `calibration:` in recipes."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Another seed, other draws.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the exam goes; runs/exam-<data> unless told.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Examine a judge on pairs that people compared."""
    from cai.cli.judge_eval import JudgeEval, examine_judge

    if name == "":
        raise typer.BadParameter("--name is empty; give the calibration a name, or leave it out")
    named = _columns(columns or [])
    pairs = {"limit": limit, "columns": named or None, "split": split if data.startswith("hub:") else None}
    exam = JudgeEval(
        data,
        constitution,
        tuple(method or ["logprob"]),
        tuple(settings or ()),
        tuple((key, value) for key, value in pairs.items() if value is not None),
        seed,
        calibrate or "",
        name or "",
    )
    examine_judge(exam, (model, reward), out, as_json)


def attempt(
    constitution: ConstitutionArgument,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the person asks.")],
    model: ModelOption,
    principle: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Under this principle; one for each round, in turn.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=1000, help="Critique-revision rounds; not with --choice all.")
    ] = None,
    choice: Annotated[
        str, typer.Option(help="How principles are drawn: uniform, weighted, distinct, by_tag, all.")
    ] = "uniform",
    track: Annotated[str, typer.Option(help="The prompt's track: redteam or helpful.")] = "redteam",
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A tag of the prompt.")] = None,
    exemplars: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=1000, help="Exemplars shown; all unless told.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(metavar="N", min=1, max=10**7, help="The most tokens of one reply.")] = 512,
    temperature: Annotated[float, typer.Option(min=0, max=100, help="Sampling temperature.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1, help="Nucleus sampling.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Another seed, another chain.")] = 0,
    show_prompt: Annotated[bool, typer.Option("--show-prompt", help="Show the exact text of each request.")] = False,
) -> None:
    """Try one chain: draft, critique, revision, and what changed."""
    from cai.cli.trial import Trial, try_constitution
    from cai.stages.revise import Revise

    ids = principle or []
    if rounds and choice == "all":
        raise typer.BadParameter("--choice all has a round for each principle; leave --rounds out")
    want = Revise("model", rounds or len(ids) or 1, choice, (track,), max_tokens, temperature, top_p, exemplars)
    try_constitution(constitution, model, Trial(prompt, tag or [], ids, want, seed, show_prompt))


def diff(
    old: Annotated[Path, typer.Argument(metavar="A", help="A constitution, or a run for the one it used.")],
    new: Annotated[Path, typer.Argument(metavar="B", help="The other one.")],
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="Tell what B would mean for the rows of this run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all as JSON, with the ids of the rows.")] = False,
) -> None:
    """Show what changed between two constitutions, and which rows it touches."""
    from cai.cli.diff import diff_constitutions

    diff_constitutions(old, new, run, as_json)


def _columns(texts: list[str]) -> dict[str, object]:
    """What is what; several labels are a list."""
    pairs = [_pair_of(text) for text in texts]
    labels = [column for what, column in pairs if what == "label"]
    return {**dict(pairs), **({"label": labels} if len(labels) > 1 else {})}


def _pair_of(text: str) -> tuple[str, str]:
    what, equals, column = text.partition("=")
    if not equals or not column:
        raise typer.BadParameter(f'"{text}" is not of the form WHAT=COLUMN, such as label=winner')
    return what, column


def _given(paths: list[T] | None, what: str) -> list[T]:
    if not paths:
        raise typer.BadParameter(f"name at least one {what}")
    return paths
