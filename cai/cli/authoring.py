"""The commands of a constitution's author, from check to diff; ``app.py`` puts them beside the others."""

from dataclasses import replace

import typer

from cai.cli import options


def check(
    paths: options.Checkables = None,
    model: options.TokensOf = None,
    max_len: options.MaxLen = None,
    prompts: options.PromptFiles = None,
    list_rules: options.Rules = False,
    as_json: options.FindingsAsJson = False,
) -> None:
    """Check constitutions and recipes before they cost."""
    from cai.cli.check import check_project, context, print_rules

    if list_rules:
        print_rules()
    elif not check_project(paths, context(model, max_len, prompts or []), as_json):
        raise typer.Exit(2)


def look(
    files: options.Sources = None,
    column: options.PromptColumn = "",
    id_column: options.IdColumn = None,
    track: options.TrackColumn = None,
    system: options.SystemColumn = None,
    context: options.ContextColumn = None,
    tools: options.ToolsColumn = None,
    columns: options.PairColumns = None,
    split: options.Split = "train",
    config: options.Config = "",
    limit: options.FrontRows = None,
    template: options.TemplateOf = "",
    as_json: options.AccountsAsJson = False,
) -> None:
    """Show what is understood of prompts or pairs.

    Columns, forms of the rows, what is left out, and one row as it is asked.
    """
    if template:
        _show_template(template, files, as_json)
        return
    from cai.cli.look import Look, look_at
    from cai.data.prompt_source import PROMPT, PromptSource

    source = PromptSource(split=split, config=config, column=column or PROMPT, limit=limit)
    source = replace(source, id=id_column, track=track, system=system, context=context, tools=tools)
    if not files:
        raise typer.BadParameter("name at least one FILE…")
    look_at(files, Look(source, _columns(columns)), as_json)


def measure(
    files: options.AnswerFiles,
    column: options.PromptColumn = "",
    answer: options.AnswerColumn = "",
    track: options.TrackOfAll = "",
    show: options.KindShown = "",
    limit: options.FrontRows = None,
    as_json: options.FiguresAsJson = False,
) -> None:
    """Measure answers without a judge: refusals, warnings, habits.

    Of several files each is compared with the first, over the prompts that both answer.
    """
    from cai.cli.measure import measure_files
    from cai.data.answers import AnswerSource
    from cai.data.prompt_source import PROMPT, TRACKS
    from cai.data.refusals import KINDS

    for name, value, known in (("--track", track, TRACKS), ("--show", show, KINDS)):
        if value and value not in known:
            raise typer.BadParameter(f'there is no {name} "{value}"; say {", ".join(known)}')
    measure_files(files, AnswerSource("", column or PROMPT, answer, track, limit), show, as_json)


def examine(
    constitution: options.Constitution,
    model: options.Model,
    principle: options.OnlyPrinciples = None,
    method: options.Method = "logprob",
    exemplars: options.Exemplars = None,
    max_tokens: options.ReasoningTokens = 512,
    names: options.AnswerNames = "letters",
    failed: options.Failed = False,
    threshold: options.Threshold = None,
    junit: options.Junit = None,
    as_json: options.FiguresAsJson = False,
) -> None:
    """Test how well a judge applies each principle, by its examples."""
    from cai.cli.test import Showing, examine_constitution
    from cai.flow.terminal import line
    from cai.judge.settings import Judging

    want = Judging(method, exemplars=exemplars, max_tokens=max_tokens, disagree="average", names=names)
    accuracy = examine_constitution(constitution, model, principle or [], want, Showing(junit, as_json, failed))
    if threshold is not None and accuracy < threshold:
        line(f"accuracy {accuracy:.2f} is under the threshold {threshold:.2f}", error=True)
        raise typer.Exit(1)


def judge_eval(
    data: options.ComparedPairs,
    constitution: options.JudgesBy,
    settings: options.LabelSettings = None,
    model: options.Judge = None,
    reward: options.RewardModel = None,
    method: options.Methods = None,
    limit: options.Limit = None,
    columns: options.JudgedColumns = None,
    split: options.HubSplit = "test",
    calibrate: options.Calibrate = None,
    name: options.CalibrationName = None,
    search: options.Search = False,
    seed: options.DrawSeed = 0,
    out: options.ExamFolder = None,
    as_json: options.FiguresAsJson = False,
) -> None:
    """Examine a judge on pairs that people compared."""
    from cai.cli.judge_eval import JudgeEval, examine_judge
    from cai.cli.search import search_judge

    if name == "":
        raise typer.BadParameter("--name is empty; give the calibration a name, or leave it out")
    hub_split = split if data.startswith("hub:") else None
    pairs = {"limit": limit, "columns": _columns(columns) or None, "split": hub_split}
    keys = tuple((key, value) for key, value in pairs.items() if value is not None)
    methods = tuple(method or ([] if search else ["logprob"]))
    exam = JudgeEval(data, constitution, methods, tuple(settings or ()), keys, seed, calibrate or "", name or "")
    if search:
        search_judge(exam, model, out, as_json)
    else:
        examine_judge(exam, (model, reward), out, as_json)


def attempt(
    constitution: options.Constitution,
    prompt: options.Question,
    model: options.Model,
    principle: options.RoundPrinciples = None,
    rounds: options.Rounds = None,
    choice: options.Choice = "uniform",
    track: options.Track = "redteam",
    tag: options.Tags = None,
    exemplars: options.Exemplars = None,
    max_tokens: options.ReplyTokens = 512,
    temperature: options.Temperature = 1.0,
    top_p: options.TopP = 1.0,
    seed: options.ChainSeed = 0,
    show_prompt: options.ShowPrompt = False,
) -> None:
    """Try one chain: draft, critique, revision, and what changed."""
    from cai.cli.trial import Trial, try_constitution
    from cai.stages.revise import Revise

    ids = principle or []
    if rounds and choice == "all":
        raise typer.BadParameter("--choice all has a round for each principle; leave --rounds out")
    want = Revise("model", rounds or len(ids) or 1, choice, (track,), max_tokens, temperature, top_p, exemplars)
    try_constitution(constitution, model, Trial(prompt, tag or [], ids, want, seed, show_prompt))


def chat(
    model: options.ChatModel,
    vs: options.OtherModel = None,
    blind: options.Blind = False,
    system: options.System = "",
    max_tokens: options.ReplyTokens = 512,
    temperature: options.Temperature = 1.0,
    seed: options.AnswerSeed = 0,
) -> None:
    """Talk with a model, or with two side by side.

    In a terminal /help lists what can be typed. From a pipe, each line is a turn.
    """
    from cai.cli.chat import chat as talk
    from cai.cli.chat_models import Sampling
    from cai.cli.chat_session import ChatWishes

    talk(model, vs, ChatWishes(system, Sampling(temperature, max_tokens, seed), blind))


def diff(
    old: options.Former, new: options.Other, run: options.TouchedRun = None, as_json: options.ChangesAsJson = False
) -> None:
    """Show what changed between two constitutions, and which rows it touches."""
    from cai.cli.diff import diff_constitutions

    diff_constitutions(old, new, run, as_json)


def verify(
    model: options.Verified,
    constitution: options.ByConstitution,
    pairs: options.ClearPairs = None,
    against: options.Against = None,
    judge: options.AnswerJudge = "",
    method: options.AnswerMethod = "logprob",
    by: options.By = "both",
    principle: options.OnlyExamples = None,
    margin: options.Margin = 0.6,
    voices: options.Voices = 2,
    cases: options.MostCases = None,
    columns: options.JudgedColumns = None,
    max_tokens: options.ReplyTokens = 512,
    threshold: options.PassShare = 1.0,
    failures: options.Failures = 5,
    as_json: options.FiguresAsJson = False,
) -> None:
    """Verify a model: an exam on clear cases, to be passed in full."""
    from cai.cli.verify import Verify, verify_model, ways
    from cai.flow.terminal import line
    from cai.judge.cases import Clarity
    from cai.judge.settings import Judging
    from cai.judge.verification import Exam
    from constitution.load import load

    want = Verify(
        *(model, load(constitution), tuple(dict.fromkeys(against or ())), judge, tuple(pairs or ()), _columns(columns)),
        *(tuple(principle or ()), Clarity(margin, voices), cases),
        Exam(ways(by), max_tokens, judging=Judging(method) if judge else None),
    )
    share = verify_model(want, failures, as_json)
    if share is None or share < threshold:
        passed = "no case could be told" if share is None else f"{share:.3f} of the cases were passed"
        line(f"not verified: {passed}, and the threshold is {threshold:g}", error=True)
        raise typer.Exit(1)


def _show_template(model: str, files: list[str] | None, as_json: bool) -> None:
    from cai.cli.template import show
    from cai.errors import UserError

    if files:
        raise UserError("--template is for a model, and files are shown by themselves; take one of the two out")
    show(model, as_json)


def _columns(texts: list[str] | None) -> dict[str, object]:
    """What is what; several labels are a list."""
    pairs = [_pair_of(text) for text in texts or ()]
    labels = [column for what, column in pairs if what == "label"]
    return {**dict(pairs), **({"label": labels} if len(labels) > 1 else {})}


def _pair_of(text: str) -> tuple[str, str]:
    what, equals, column = text.partition("=")
    if not equals or not column:
        raise typer.BadParameter(f'"{text}" is not of the form WHAT=COLUMN, such as label=winner')
    return what, column
