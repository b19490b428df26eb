"""The arguments and options of a constitution's author, each with its help; ``authoring.py`` puts them together.

A command's signature then reads as the command is typed: names, types and what holds unless told.
"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Paths = list[Path] | None
Texts = list[str] | None

# What several commands take.
Constitution = Annotated[Path, Argument(metavar="CONSTITUTION", help="The constitution's file.")]
Model = Annotated[
    str,
    Option(
        metavar="MODEL",
        help="A Hub id, a folder or bundled/smollm2-135m; a server's URL (URL#NAME where it has several models); a script "
        "of answers (FILE.yaml); or a recipe's block: '{vllm: ID, max_len: 8192}'.",
    ),
]
Overrides = Annotated[Texts, Argument(metavar="[key=value]…", help="Settings to change, such as revise.rounds=2.")]
Exemplars = Annotated[int | None, Option(metavar="N", min=0, max=1000, help="Exemplars shown; all unless told.")]
FiguresAsJson = Annotated[bool, Option("--json", help="Print all figures as JSON.")]

# cai check
Checkables = Annotated[Paths, Argument(metavar="PATH…", help="Constitutions, recipes, folders; all here unless told.")]
TokensOf = Annotated[
    str | None, Option(metavar="MODEL", help="Count prompts in this model's tokens: a Hub id, a folder.")
]
MaxLen = Annotated[int | None, Option(metavar="TOKENS", min=1, help="The model's context, where less than its own.")]
PromptFiles = Annotated[Paths, Option(metavar="FILE", help="Prompts that principles have to apply to.")]
Rules = Annotated[bool, Option("--rules", help="Print every rule with what it means.")]
FindingsAsJson = Annotated[bool, Option("--json", help="Print the findings as JSON.")]

# cai look
Sources = Annotated[Texts, Argument(metavar="FILE…", help="Files, folders, paths with wildcards, or hub:OWNER/NAME.")]
PromptColumn = Annotated[str, Option(metavar="NAME", help="The column that holds the prompt; a.b in a struct.")]
IdColumn = Annotated[str | None, Option("--id", metavar="NAME", help="The column of the id.")]
TrackColumn = Annotated[str | None, Option(metavar="NAME", help="The column of the track.")]
SystemColumn = Annotated[str | None, Option(metavar="NAME", help="The column of the system message.")]
ContextColumn = Annotated[
    str | None, Option(metavar="NAME", help='The column of what comes before the question; "" for none.')
]
ToolsColumn = Annotated[
    str | None, Option(metavar="NAME", help='The column of the tools that may be called; "" for none.')
]
PairColumns = Annotated[
    Texts,
    Option(
        metavar="WHAT=COLUMN",
        help="Of pairs: prompt=…, a=…, b=…, label=…, system=…, context=…, tools=…; or first=VALUE, scale=…, as in a recipe.",
    ),
]
AnswerFiles = Annotated[
    list[str], Argument(metavar="FILE…", help="Files of prompts with answers: JSONL, CSV, Parquet …")
]
AnswerColumn = Annotated[
    str, Option(metavar="NAME", help="The column of the answer; answer, completion, response … unless told.")
]
TrackOfAll = Annotated[
    str, Option(metavar="TRACK", help="helpful or redteam, of prompts that do not say it themselves.")
]
KindShown = Annotated[
    str,
    Option(
        metavar="KIND", help="Show the answers of this kind too, with the sentence that decided: refusal, evasion …"
    ),
]
Split = Annotated[str, Option(help="The split, of a folder or a Hub dataset.")]
Config = Annotated[str, Option(help="The configuration, of a folder or a Hub dataset.")]
FrontRows = Annotated[
    int | None,
    Option(metavar="N", min=1, max=10**9, help="Rows from the front; all unless told, of a Hub dataset 1000."),
]
TemplateOf = Annotated[
    str,
    Option(metavar="MODEL", help="Show a model's chat template instead: what it asks, and what is trained on."),
]
AccountsAsJson = Annotated[bool, Option("--json", help="Print the accounts as JSON.")]

# cai test
OnlyPrinciples = Annotated[Texts, Option(metavar="ID", help="Only this principle; may be given more than once.")]
Method = Annotated[str, Option(help="logprob, cot, debate, critique, score or rank; as in a recipe's label.")]
ReasoningTokens = Annotated[int, Option(metavar="N", min=1, max=10**7, help="The most tokens of the reasoning.")]
AnswerNames = Annotated[str, Option(help="What answers are called: letters, numbers, words or brackets.")]
Failed = Annotated[
    bool, Option("--failed", help="Show each example that was not right: answers, the judge's words, what it was sent.")
]
Threshold = Annotated[
    float | None, Option(metavar="SHARE", min=0, max=1, help="Exit with 1 under this accuracy, such as 0.8.")
]
Junit = Annotated[Path | None, Option(metavar="FILE", help="Write JUnit XML for CI.")]

# cai judge-eval
ComparedPairs = Annotated[str, Argument(metavar="DATA", help="Pairs that people compared: a file, or hub:OWNER/NAME.")]
JudgesBy = Annotated[Path, Option(metavar="CONSTITUTION", help="What the judge judges by.")]
LabelSettings = Annotated[
    Texts, Argument(metavar="[key=value]…", help="Of a recipe's label, such as choice=all, or cot.samples=8.")
]
Judge = Annotated[str | None, Option(metavar="MODEL", help="The judge, named as for cai test.")]
RewardModel = Annotated[
    str | None, Option(metavar="MODEL", help="A reward model, for the method reward: a Hub id or a folder.")
]
Methods = Annotated[
    Texts,
    Option(
        metavar="METHOD",
        help="logprob unless told, with --search also cot, score, propositions; more than once, or all.",
    ),
]
Limit = Annotated[int | None, Option(metavar="N", min=1, max=10**9, help="Rows to take from the front.")]
JudgedColumns = Annotated[
    Texts,
    Option(metavar="WHAT=COLUMN", help="prompt=…, a=…, b=…, label=…; or first=VALUE, scale=…, as in a recipe."),
]
HubSplit = Annotated[str, Option(help="The Hub dataset's split.")]
Calibrate = Annotated[
    str | None, Option(metavar="KIND", help="Fit what the probabilities stand for: temperature or isotonic.")
]
CalibrationName = Annotated[
    str | None,
    Option(metavar="NAME", help="Save the calibration under this name, for `calibration:` in recipes."),
]
Search = Annotated[bool, Option("--search", help="Try forms of asking on half of the pairs, the best on the other.")]
DrawSeed = Annotated[int, Option(min=0, max=2**31 - 1, help="Another seed, other draws.")]
ExamFolder = Annotated[
    Path | None, Option(metavar="DIR", help="Where it goes; runs/exam-<data> or search-<data> unless told.")
]

# cai chat
ChatModel = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help="A run's role (RUN/ROLE), a recipe's (RECIPE.yaml#ROLE), or a model named as for cai test.",
    ),
]
OtherModel = Annotated[
    str | None,
    Option("--vs", metavar="MODEL", help="Another model, to answer the same beside it; vote with 1, 2 or t."),
]
System = Annotated[str, Option(metavar="TEXT", help="The system message.")]
Blind = Annotated[bool, Option("--blind", help="With --vs: hide whose answer is whose until you vote, or the end.")]
AnswerSeed = Annotated[int, Option(min=0, max=2**31 - 1, help="Another seed, other answers.")]

# cai try
Question = Annotated[str, Argument(metavar="PROMPT", help="What the person asks.")]
RoundPrinciples = Annotated[Texts, Option(metavar="ID", help="Under this principle; one for each round, in turn.")]
Rounds = Annotated[
    int | None, Option(metavar="N", min=1, max=1000, help="Critique-revision rounds; not with --choice all.")
]
Choice = Annotated[str, Option(help="How principles are drawn: uniform, weighted, distinct, by_tag, all.")]
Track = Annotated[str, Option(help="The prompt's track: redteam or helpful.")]
Tags = Annotated[Texts, Option(metavar="TAG", help="A tag of the prompt.")]
ReplyTokens = Annotated[int, Option(metavar="N", min=1, max=10**7, help="The most tokens of one reply.")]
Temperature = Annotated[float, Option(min=0, max=100, help="Sampling temperature.")]
TopP = Annotated[float, Option(min=0.01, max=1, help="Nucleus sampling.")]
ChainSeed = Annotated[int, Option(min=0, max=2**31 - 1, help="Another seed, another chain.")]
ShowPrompt = Annotated[bool, Option("--show-prompt", help="Show the exact text of each request.")]

# cai diff
Former = Annotated[Path, Argument(metavar="A", help="A constitution, or a run for the one it used.")]
Other = Annotated[Path, Argument(metavar="B", help="The other one.")]
TouchedRun = Annotated[str | None, Option(metavar="RUN", help="Tell what B would mean for the rows of this run.")]
ChangesAsJson = Annotated[bool, Option("--json", help="Print all as JSON, with the ids of the rows.")]

# cai verify
Verified = Annotated[
    str, Argument(metavar="MODEL", help="A Hub id, a folder, a server's URL, a script, or a recipe's block.")
]
ByConstitution = Annotated[Path, Option(metavar="CONSTITUTION", help="Whose examples are asked, and judged by.")]
ClearPairs = Annotated[
    Texts,
    Option(
        metavar="SOURCE", help="Clear pairs too: RUN/label, or a file of pairs that people compared; more than once."
    ),
]
Against = Annotated[
    Texts, Option(metavar="MODEL", help="Tell by how few cases it is told from this model; more than once.")
]
AnswerJudge = Annotated[
    str, Option(metavar="MODEL", help="Compares its answers with the known ones; else by whether they decline.")
]
AnswerMethod = Annotated[str, Option(help="How the judge compares: logprob, cot, debate, critique or score.")]
By = Annotated[str, Option(metavar="WAY", help="How it is asked: answer, likelihood or both.")]
OnlyExamples = Annotated[Texts, Option(metavar="ID", help="Only this principle's examples; more than once.")]
Margin = Annotated[
    float, Option(metavar="D", min=0, max=1, help="Pairs are clear from this difference of probabilities on.")
]
Voices = Annotated[
    int, Option(metavar="N", min=1, max=1000, help="How many say the same of a pair: a judge's principles, or people.")
]
MostCases = Annotated[int | None, Option(metavar="N", min=1, max=10**6, help="Pairs at the most, the clearest first.")]
PassShare = Annotated[
    float, Option(metavar="SHARE", min=0, max=1, help="Exit with 1 under this share of cases passed.")
]
Failures = Annotated[int, Option(metavar="N", min=0, max=10**6, help="How many of the cases not passed are shown.")]
