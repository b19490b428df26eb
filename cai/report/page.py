"""The run on one HTML page, self-contained: what the principles changed, with its uncertainty, and how it was made.

The page is data in a Jinja2 template (``page.html.j2``), which escapes every text; a model's output never becomes markup.
"""

from itertools import islice, pairwise
from pathlib import Path
from typing import TypedDict

from cai.errors import RunError, UserError
from cai.judge.figures import position
from cai.judge.kinds import doubt, kinds
from cai.report import training
from cai.report.format import KINDS, PLOT, page, question
from cai.report.rows import unrevised
from cai.report.summary import StageState, evaluated, spent_line, stages_of
from cai.stages import STAGES, trainers
from cai.store import audit
from cai.store.files import write_lines
from cai.store.rows import Answers, Chain, Draft, Preference, plain
from cai.store.run_folder import run_note
from cai.store.stage import Stage
from constitution import diff
from constitution import read as reading

View = dict[str, object]
"""What the template is given of one thing."""


class AnsweredPrompt(TypedDict):
    """A held-out prompt with the answers of the models, by their roles."""

    prompt: str
    answers: dict[str, str]


def write_report(folder: Path, path: Path, rows: int = 8) -> None:
    """Write the page.

    Args:
        rows: chains and comparisons shown whole.

    Raises:
        UserError: the run has nothing to report yet.
        RunError: rows of a finished stage are gone, or damaged.
    """
    from jinja2 import UndefinedError

    stages = stages_of(folder)
    if not any(each["state"] == "done" for each in stages):
        raise UserError(f"{folder} has no finished stage to report on; run its recipe first")
    for each in stages:
        if each["state"] == "done":
            _whole(folder, each)
    figures = {
        "run": run_note(folder),
        "stages": stages,
        "spent": spent_line(folder),
        "chains": _chains(folder, stages, rows),
        "revised": _revised(folder, stages),
        "votes": _votes(folder, stages, rows),
        "evaluation": _evaluation(folder, stages),
        "answers": _answers(folder, stages, rows),
        "trained": _trained(folder, stages),
        "rounds": _rounds(stages),
        "plot": PLOT,
        "called": KINDS,
        "doubt": doubt,
    }
    try:
        text = page("page.html.j2", **figures)
    except (TypeError, ValueError, UndefinedError) as error:
        raise RunError(
            f"the report of {folder} cannot be made ({error}): a file of a stage is damaged; put it back, or do that stage again"
        ) from error
    write_lines(path, [text])


def _whole(folder: Path, state: StageState) -> None:
    """Make sure that what a stage made is as it was sealed; raises as ``audit.whole``."""
    name = state["name"]
    stage = Stage(folder / name, name)
    if STAGES[state["kind"]].shape in ("rows", "source"):
        audit.whole(stage)
    audit.unchanged_since(stage, name)
    for file in sorted(folder.glob(f"{name}/*/begun.json")):  # an evaluation's
        audit.whole(Stage(file.parent), name)


def _done(stages: list[StageState], *kinds: str) -> list[StageState]:
    return [each for each in stages if each["kind"] in kinds and each["state"] == "done"]


def _chains(folder: Path, stages: list[StageState], rows: int) -> list[View]:
    chains: list[View] = []
    for each in _done(stages, "revise"):
        revisions = (row for row in Stage(folder / each["name"]).all_rows(Chain) if len(row.drafts) > 1)
        chains += [
            {**plain(row), "steps": [_step(*both) for both in pairwise(row.drafts)]} for row in islice(revisions, rows)
        ]
    return chains


def _step(old: Draft, new: Draft) -> View:
    return {**plain(new), "unrevised": unrevised(new), "changes": list(diff.words(old.text, new.text))}


def _revised(folder: Path, stages: list[StageState]) -> list[View]:
    """What each round changed on average, over all red-team chains."""
    rounds: dict[int, list[tuple[Draft, Draft]]] = {}
    for each in _done(stages, "revise"):
        for row in Stage(folder / each["name"]).all_rows(Chain):
            if row.track == "redteam":
                for number, draft in enumerate(row.drafts):
                    rounds.setdefault(number, []).append((row.drafts[max(number - 1, 0)], draft))
    return [
        {
            "round": number,
            "rows": len(pairs),
            "words": sum(len(new.text.split()) for _, new in pairs) / len(pairs),
            "revised": sum(not unrevised(new) for _, new in pairs) if number else None,
            "unchanged": sum(old.text == new.text for old, new in pairs) if number else None,
            "refusals": sum(reading.is_refusal(new.text) for _, new in pairs),
        }
        for number, pairs in sorted(rounds.items())
    ]


def _votes(folder: Path, stages: list[StageState], rows: int) -> list[View]:
    """For each label stage: its figures and some preferences whole."""
    labels: list[View] = []
    for each in _done(stages, "label"):
        stage = Stage(folder / each["name"])
        preferences = list(islice(stage.all_rows(Preference), max(rows // 2, 1) if rows else 0))
        read_as = kinds(row.votes for row in stage.all_rows(Preference))
        figures = {"position": position(stage.all_rows(Preference)), "kinds": read_as}
        labels.append({**each, **figures, "shown": preferences})
    return labels


def _evaluation(folder: Path, stages: list[StageState]) -> list[View]:
    return [{**each, "models": evaluated(folder / each["name"])} for each in _done(stages, "evaluate")]


def _answers(folder: Path, stages: list[StageState], rows: int) -> list[AnsweredPrompt]:
    """Held-out prompts with every model's answer side by side."""
    by_prompt: dict[str, AnsweredPrompt] = {}
    for each in _done(stages, "evaluate"):
        for role in evaluated(folder / each["name"]):
            for row in Stage(folder / each["name"] / f"answers-{role}").all_rows(Answers):
                entry = by_prompt.setdefault(row.id, {"prompt": question(row.messages), "answers": {}})
                entry["answers"][role] = row.draft.text
    return list(islice(by_prompt.values(), rows))


def _trained(folder: Path, stages: list[StageState]) -> list[View]:
    return [{**each, **training.of_stage(folder / each["name"])} for each in _done(stages, *trainers())]


def _rounds(stages: list[StageState]) -> list[View]:
    """For each block of rounds: its verdicts, the policy that stayed, and how far each round's went."""
    blocks: list[View] = []
    for each in stages:
        if each["kind"] != "rounds" or "round" in each:
            continue
        verdicts = [of["verdict"] for of in stages if "verdict" in of and of.get("rounds") == each["name"]]
        series = (("kl", "KL to the initial policy, nats an answer"), ("length", "length ratio to it"))
        curves = [
            training.curve(title, [(of["round"], of[key]) for of in verdicts if of[key] is not None])
            for key, title in series
        ]
        blocks.append(
            {
                "name": each["name"],
                "says": each.get("says", ""),
                "verdicts": verdicts,
                "curves": [c for c in curves if c],
            }
        )
    return blocks
