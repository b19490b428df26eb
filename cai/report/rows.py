"""``cai show``: rows of a stage as a person reads them, those that were asked for."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from math import inf
from pathlib import Path

from rich.console import Console
from rich.padding import Padding

from cai.data import dataset
from cai.errors import RunError, UserError
from cai.judge.kinds import doubt
from cai.judge.verification import Sitting
from cai.report.differences import difference
from cai.report.format import KINDS, question
from cai.report.verification import sitting_lines
from cai.stages import STAGES
from cai.store import audit
from cai.store.rows import Answers, Chain, Draft, Pair, Preference, Scored, Vote, decode
from cai.store.run_folder import kind_of, run_note
from cai.store.stage import Stage, part_number
from constitution.source import nearest
from constitution.visible import json_text
from constitution.wording import count

Row = Mapping[str, object]
WIDTH = 100
UNREVISED = {"fine": "the critique found nothing", "not_better": "the judge did not find it better"}
"""Flag of a draft that is the one before it once more → why."""
INNER = ("votes-*", "judged-*", "sittings-*", "answers-*-*")
"""Where an evaluation, an exam in values and a test of robustness have their rows, the last that were made of them first."""
PEOPLE = {1.0: "a is better", 0.0: "b is better", 0.5: "even"}


@dataclass(frozen=True, slots=True)
class RowQuery:
    """Which rows, and how they are shown.

    Attributes:
        count: at most so many.
        drops: the rows left out instead of those that were kept.
        id: the row with this id alone.
        principle: rows made or judged under this principle.
        reason: rows left out for this reason; implies ``drops``.
        text: rows that hold this text, in any case.
        diff: revisions as word-level differences from the draft before.
        thoughts: what was thought before a text, instead of how long that is.
    """

    count: int = 3
    drops: bool = False
    id: str = ""
    principle: str = ""
    reason: str = ""
    text: str = ""
    diff: bool = False
    thoughts: bool = False


def print_rows(folder: Path, name: str, query: RowQuery, console: Console) -> None:
    """Rows of a stage, or its drops.

    Raises:
        UserError: there is no such stage or principle, or nothing in it to show.
    """
    run = run_note(folder)
    _require("the run has no stage", name, [each["name"] for each in run["stages"]])
    if query.principle:
        _require("--principle: the run's constitution has no principle", query.principle, list(run["principles"]))
    stage = Stage(folder / name)
    drops = query.drops or bool(query.reason)
    kind = kind_of(folder, name)
    rows = [*islice(_fitting(drops_of(stage) if drops else rows_of(stage), query), query.count)]
    if not rows:
        raise UserError(_nothing(stage, query, drops) + _instead(folder, stage, kind))
    if query.diff and not any("drafts" in row for row in rows):
        raise UserError(
            f"--diff shows what revisions changed, and {name} has none; take it out, or name a revise stage"
        )
    for row in rows:
        try:
            _print(row, query, console)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            where = f"a row of {stage.folder} is damaged ({row.get('id', 'without an id')})"
            raise RunError(f"{where}; put its file back as it was, or do it again with: --redo {name}") from error


def _require(what: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise UserError(f'{what} "{name}"; {nearest(name, names)}')


def _fitting(rows: Iterable[Row], query: RowQuery) -> Iterator[Row]:
    for row in rows:
        if query.id and query.id not in (row.get("id"), row.get("in")):
            continue
        if query.reason and row.get("reason") != query.reason:
            continue
        if query.principle and query.principle not in _principles(row):
            continue
        if query.text and query.text.lower() not in json.dumps(row, ensure_ascii=False).lower():
            continue
        yield row


def _principles(row: Row) -> set[str]:
    """The principles a row was made or judged under, whatever its kind."""
    parts = [row, *(each for key in ("drafts", "votes", "partial") for each in _list(row.get(key)))]
    own = [part["principle"] for part in parts if isinstance(part, Mapping) and part.get("principle")]
    return {each for each in (*_list(row.get("principles")), *own) if isinstance(each, str)}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _nothing(stage: Stage, query: RowQuery, drops: bool) -> str:
    filters = {"id": query.id, "principle": query.principle, "reason": query.reason, "text": query.text}
    words = [f"{key} {value}" for key, value in filters.items() if value]
    reasons = sorted({drop["reason"] for drop in stage.drops()}) if query.reason else []
    hint = f"; reasons there: {', '.join(reasons) or 'none'}" if query.reason else ""
    return f"{stage.folder} has no {'drops' if drops else 'rows'} to show{' with ' if words else ''}{', '.join(words)}{hint}"


def _instead(folder: Path, stage: Stage, kind: str) -> str:
    """Where to look for what a stage without rows of its own made; empty for others."""
    if not stage.begun:
        return ", as it is not begun"
    match STAGES[kind].shape if kind in STAGES else "":
        case "train":
            return f"; it trains a model ({stage.folder / 'model'}), whose curves are in: cai report {folder}"
        case "evaluate":
            return f"; its answers are in {stage.folder}/answers-*, its figures in {stage.folder / 'metrics.json'}"
        case "verify" | "robustness":
            return f"; its rows are in the folders of {stage.folder}, its figures in {stage.folder / 'metrics.json'}"
        case "benchmarks":
            return f"; its scores are in {stage.folder / 'metrics.json'}, and each program's own log in {stage.folder}/ROLE/TASK"
        case "rounds":
            return f"; the steps of its rounds are stages, see: cai status {folder}"
        case "report":
            return f"; open {stage.folder / 'report.html'}"
        case _:
            return ""


def _print(row: Row, query: RowQuery, console: Console) -> None:
    if "drafts" not in row:
        console.print(_text(row, query.thoughts), markup=False, soft_wrap=True)  # no line break within JSON's texts
    elif not query.diff:
        console.print(chain_text(decode(Chain, row), query.thoughts), markup=False)
    else:
        _print_differences(decode(Chain, row), query.thoughts, console)


def _print_differences(chain: Chain, thoughts: bool, console: Console) -> None:
    console.print(chain_text(replace(chain, drafts=chain.drafts[:1]), thoughts), markup=False)
    for number, (old, new) in enumerate(pairwise(chain.drafts), 1):
        critique = [
            *_thought(new.critique_thinking, thoughts),
            _block(f"critique {number}, under {new.principle}", new.critique),
        ]
        console.print("\n".join(critique), markup=False)
        if why := unrevised(new):
            console.print(f"no revision in round {number}: {why}", markup=False)
            continue
        title = [*_thought(new.thinking, thoughts), f"revision {number}, as it differs:"]
        console.print("\n".join(title), markup=False)
        console.print(Padding(difference(old.text, new.text, console.is_terminal), (0, 0, 0, 4), expand=False))


def rows_of(stage: Stage) -> Iterator[Row]:
    """What a stage made, file after file, each once it was looked at."""
    folders = filter(None, (sorted(stage.folder.glob(pattern)) for pattern in INNER))
    for each in map(Stage, next(folders, [stage.folder])):
        for part in audit.unchanged(each, map(each.path, each.parts()), stage.name):
            yield from each.rows(dict, part_number(part))
        yield from each.rows_in_progress(dict)
    for file in audit.unchanged(stage, dataset.all_files(stage.folder)):
        yield from dataset.rows(file)


def drops_of(stage: Stage) -> Iterator[Row]:
    """The rows left out; of an evaluation also the pairs that were not judged."""
    drops = stage.folder / "drops.jsonl"
    for _ in audit.unchanged(stage, [drops] if drops.exists() else []):
        yield from stage.drops()
    for each in sorted(stage.folder.glob("pairs-*")):
        yield from Stage(each).drops()


def unrevised(draft: Draft) -> str:
    """Why a round left the answer as it was; empty where it did not."""
    return next((why for flag, why in UNREVISED.items() if flag in draft.flags), "")


def chain_text(row: Chain, thoughts: bool = False) -> str:
    """A chain as a person reads it: prompt, draft, critique, revision."""
    lines = [f"── {row.id} ({row.track})", _block("prompt", question(row.messages))]
    for number, draft in enumerate(row.drafts):
        if number:
            lines += _thought(draft.critique_thinking, thoughts)
            lines.append(_block(f"critique {number}, under {draft.principle}", draft.critique))
        if why := unrevised(draft):
            lines.append(f"no revision in round {number}: {why}")
            continue
        lines += _answer(f"revision {number}" if number else f"draft, by {draft.model}", draft, thoughts)
    return "\n".join(lines)


def _answer(title: str, draft: Draft, thoughts: bool) -> list[str]:
    return [*_thought(draft.thinking, thoughts), _block(title, draft.text)]


def _thought(text: str, whole: bool) -> list[str]:
    """What was thought before a text, folded to its length unless the whole is wanted."""
    if not text:
        return []
    return [_block("thought", text) if whole else f"thought: {count(len(text.split()), 'word')} (shown by --thoughts)"]


def _text(row: Row, thoughts: bool) -> str:
    """A row that is no chain, by its keys: texts one below the other, or JSON."""
    if "answers" in row and "scores" in row:
        return _scored_text(decode(Scored, row), thoughts)
    if "pair" in row and "votes" in row:
        return _preference_text(decode(Preference, row), thoughts)
    if "a" in row and "messages" in row:
        return "\n".join(_pair_lines(decode(Pair, row), thoughts))
    if "case" in row and "marks" in row:
        return "\n".join(sitting_lines(decode(Sitting, row)))
    if "draft" in row and "messages" in row:
        return "\n".join(_answers_lines(decode(Answers, row), thoughts))
    return json_text(row)


def _answers_lines(row: Answers, thoughts: bool) -> list[str]:
    title = f"── {row.id} ({row.track})"
    return [
        title,
        _block("prompt", question(row.messages)),
        *_answer(f"answer, by {row.draft.model}", row.draft, thoughts),
    ]


def _pair_lines(pair: Pair, thoughts: bool) -> list[str]:
    lines = [f"── {pair.id}", _block("prompt", question(pair.messages))]
    for name, answer in (("a", pair.a), ("b", pair.b)):
        lines += _answer(f"answer {name}" + (f", by {answer.model}" if answer.model else ""), answer, thoughts)
    if pair.people:
        lines.append(_block("people", ", ".join(PEOPLE.get(label, f"{label:g}") for label in pair.people)))
    return lines


def _preference_text(row: Preference, thoughts: bool) -> str:
    """A pair with its votes and what they came to."""
    lines = _pair_lines(replace(row.pair, id=row.id), thoughts)
    for vote in row.votes:
        under = f"under {vote.principle}, " if vote.principle else ""
        way = KINDS.get(vote.verdict, vote.verdict)
        lines += _thought(vote.thinking, thoughts)
        lines.append(
            _block(
                f"vote {under}order {vote.order}, by {way}: {vote.status}",
                _vote_text(vote),
            )
        )
    better = "not read" if row.p_a is None else f"{row.p_a:.3f}"
    label = "no label" if row.p_label is None else f"as a label {row.p_label:.3f}"
    lines.append(_block("preference", f"{row.status}, P(a is better) = {better}, {label}"))
    return "\n".join(lines)


def _scored_text(row: Scored, thoughts: bool) -> str:
    """A group's answers with their scores, the best first."""
    by = f" by {row.model}" if row.model != row.method else ""
    under = f", under {row.principle}" if row.principle else ""
    lines = [f"── {row.id} ({row.track})", _block("prompt", question(row.messages))]
    answers = zip(row.scores, row.answers, strict=True)
    for score, answer in sorted(answers, key=lambda each: inf if each[0] is None else -each[0]):
        value = "not read" if score is None else f"{score:.3f}"
        lines += _answer(f"answer, {row.method}{by}{under}: {value}", answer, thoughts)
    return "\n".join(lines)


def _vote_text(vote: Vote) -> str:
    read = f"P(a) = {vote.p_a:.3f}" if vote.p_a is not None else "not read"
    if interval := doubt(vote):
        read += f" (95%: {interval[0]:.2f} to {interval[1]:.2f})"
    if vote.samples:
        read += f"; {vote.read} of {count(vote.samples, 'sample')} could be read"
    return f"{vote.rationale}\n{read}".strip()


def _block(title: str, text: str) -> str:
    return f"{title}:\n" + textwrap.indent("\n".join(textwrap.fill(line, WIDTH) for line in text.splitlines()), "    ")
