"""An evaluation's figures, from the rows in its folders: how each model did, and how far its judges can be believed."""

import importlib.util
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from cai.errors import install
from cai.judge.bouts import Bout, Rating, bouts
from cai.judge.exam_result import ExamResult, examined, examined_alone, stored_exam
from cai.judge.methods import METHODS
from cai.judge.reliability import Reliability, judge_notes, names_of, sentences, together
from cai.judge.wins import JudgedWins, judged_wins
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.run.context import Run
from cai.stages.evaluate import Evaluate, EvaluatedModel, Match, describe
from cai.store.rows import Answers, Preference, Track
from cai.store.stage import Stage

TRACKS: tuple[Track, ...] = ("redteam", "helpful")
EXAM = ("exam-pairs", "exam-votes")
"""The folders of pairs that people compared, and of the judges' votes on them."""


def metrics(run: Run, block: Block) -> dict[str, EvaluatedModel]:
    """Each model's figures by its role."""
    folder, want = run.folder / block.name, block.want
    figures: dict[str, EvaluatedModel] = {role: _answered(folder, role) for role in want.models}
    for match in want.matches:
        of, wins = figures[match.second], by_track(folder, match, want)
        of["versus"] = {**of.get("versus", {}), match.first: wins}
        if match.first == want.baseline:
            of["against"], of["compared"] = match.first, wins
    for role, tracks in _ratings(folder, want).items():
        figures[role]["rating"] = tracks
    for own in _themselves(run, want).values():
        for role in own:
            figures[role]["self_judged"] = True
    return figures


def _answered(folder: Path, role: str) -> EvaluatedModel:
    rows = list(Stage(folder / f"answers-{role}").all_rows(Answers))
    figures: EvaluatedModel = {"all": describe(rows)}
    for track in TRACKS:
        if some := [row for row in rows if row.track == track]:
            figures[track] = describe(some)
    return figures


def by_track(folder: Path, match: Match, want: Evaluate) -> dict[str, JudgedWins]:
    """How the second model's answers did over the first one's: all, and by track."""
    votes = list(_votes(folder, match))
    tracks = {row.id: row.track for row in Stage(folder / f"answers-{match.second}").all_rows(Answers)}
    stages = (Stage(folder / f"{kind}-{match.name}") for kind in ("pairs", "votes"))
    drops = [(tracks[drop["in"]], drop["reason"]) for stage in stages for drop in stage.drops()]
    wins = {"all": judged_wins(votes, (reason for _, reason in drops), want.label())}
    for track in TRACKS:
        some, left_out = [row for row in votes if row.pair.track == track], [why for of, why in drops if of == track]
        wins |= {track: judged_wins(some, left_out, want.label())} if some or left_out else {}
    return wins


def _votes(folder: Path, match: Match) -> Iterator[Preference]:
    return Stage(folder / f"votes-{match.name}").all_rows(Preference)


def _ratings(folder: Path, want: Evaluate) -> dict[str, dict[str, Rating]]:
    """Role → track → rating."""
    every = [bout for match in want.matches for bout in bouts(_votes(folder, match), match.first, match.second)]
    table: dict[str, dict[str, Rating]] = defaultdict(dict)
    for track in ("all", *TRACKS):
        if some := [each for each in every if track in ("all", each.track)]:
            for role, rating in _rated(some, want).items():
                table[role][track] = rating
    return table


def _rated(some: Sequence[Bout], want: Evaluate) -> dict[str, Rating]:
    """What can be told with the packages that are installed."""
    missing = [name for name in ("numpy", "evalica") if importlib.util.find_spec(name) is None]
    if not missing:
        from cai.judge.ratings import ratings

        return ratings(some, want.models, want.baseline)
    says = f"a rating needs the package {missing[0]}; run: {install('judge')}"
    counts: dict[str, int] = dict.fromkeys(("comparisons", "ties", "undecided", "prompts"), 0)
    nothing = cast("Rating", {"elo": None, "low": None, "high": None, **counts, "says": says})
    return dict.fromkeys(want.models, nothing)


def judges(run: Run, block: Block) -> Reliability:
    """Who judged, and how far that can be believed."""
    folder, want, constitution = run.folder / block.name, block.want, run.constitution_of(block)
    rows = [row for match in want.matches for row in _votes(folder, match)]
    names = names_of(rows, want.judges)
    undecided, agreement = together(rows, want.label())
    of: Reliability = {
        "judges": judge_notes(rows, names, _themselves(run, want)),
        "method": want.method,
        "constitution": constitution.name if METHODS[want.method].needs else "",
        "principles": list(want.principles),
        "against": want.against,
        "compared": len(rows),
        "undecided": undecided,
        "says": [],
    }
    if agreement:
        of["agreement"] = agreement
    _add_exams(run, block, of, names)
    of["says"] = sentences(of)
    return of


def _add_exams(run: Run, block: Block, of: Reliability, names: Mapping[str, str]) -> None:
    want = block.want
    if not (want.exam and want.matches):
        return
    if not want.sits_exam:
        of["exam"] = read_exam(run.spec(want.judges[0]), want, of["constitution"])
    else:
        rows, data = list(Stage(run.folder / block.name / EXAM[1]).all_rows(Preference)), Path(want.exam).name
        of["exam"] = examined(rows, data)
        for role, name in names.items():
            if name:
                of["judges"][role]["exam"] = examined_alone(rows, name, data, want.label())


def read_exam(judge: ModelSpec, want: Evaluate, constitution: str) -> ExamResult:
    """The result that the block names; raises as ``stored_exam``."""
    return stored_exam(Path(want.exam), judge.title, want.method, constitution)


def _themselves(run: Run, want: Evaluate) -> dict[str, list[str]]:
    """Judge → the models that are the judge itself, or have its weights."""
    if not want.matches:
        return {}
    specs = {role: run.spec(role) for role in (*want.models, *want.judges)}
    return {
        judge: [role for role in want.models if role == judge or same_weights(specs[role], specs[judge])]
        for judge in want.judges
    }


def same_weights(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether two roles are one model, wherever it is served: by its files, or, of servers, by its name."""
    if one.same_server(other):
        return True
    contents = [each.identity().get("weights") or each.weights or each.reward or each.scripted for each in (one, other)]
    if all(contents):
        return contents[0] == contents[1] and one.identity().get("lora") == other.identity().get("lora")
    return one.kind == other.kind == "endpoints" and one.model == other.model


def notes(want: Evaluate, figures: Mapping[str, EvaluatedModel], of: Reliability) -> list[str]:
    """What the ledger's line says of an evaluation: how each did against the baseline, and who judges itself."""
    lines = []
    for role, each in figures.items():
        if wins := each.get("compared", {}).get("all"):
            rate = f" ({wins['win_rate']:.0%}; 95%: {wins['low']:.0%} to {wins['high']:.0%})" if wins["decided"] else ""
            lines.append(f"{role} won {wins['won']} of {wins['decided']} decided against {each.get('against')}{rate}")
    for judge, note in of["judges"].items():
        for own in note["self"]:
            lines.append(
                f"{own} judges itself" if own == judge else f"{own} is judged by {judge}, which has its weights"
            )
    return lines
