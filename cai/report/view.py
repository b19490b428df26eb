"""What the page's templates are given of one run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from cai.judge.figures import position
from cai.judge.kinds import kinds
from cai.report import card_tables, curves, evaluation, figure_tables, funnel, headline, training
from cai.report.card_tables import CardTable, some
from cai.report.evaluation import Evaluation
from cai.report.figure_tables import FigureTable
from cai.report.packing import drawn
from cai.report.rows import unrevised
from cai.report.summary import StageState, spent_line
from cai.stages import trainers
from cai.store.files import read_json
from cai.store.ledger import Wins
from cai.store.rows import Chain, Draft, Preference, plain
from cai.store.run_folder import RunNote, former_constitution, run_note
from cai.store.stage import Stage
from constitution import diff
from constitution import read as reading
from constitution.model import Principle
from constitution.source import InputError
from constitution.visible import visible
from constitution.wording import count

LARGEST = 20
"""Megabytes of a stage's figures that are read."""
View = dict[str, Any]
"""What the template is given of one thing."""


def of_run(folder: Path, name: str, stages: list[StageState], rows: int) -> tuple[View, list[CardTable]]:
    """A run, and all its rows that the page holds.

    Args:
        name: what it is called beside others.
        rows: of each kind that are shown whole.

    Raises:
        RunError: a file is gone or damaged.
    """
    run = run_note(folder)
    found = [evaluation.of_stage(folder / each["name"], run) for each in _done(stages, "evaluate")]
    all_tables = card_tables.of_run(folder, stages, found, run["seed"])
    blocks = _blocks(folder, stages)
    view: View = {
        "key": f"run-{visible(name)}".replace(" ", "-"),
        "name": name,
        "run": run,
        "stages": stages,
        "funnel": funnel.of_stages(stages),
        "totals": funnel.totals(stages),
        "spent": spent_line(folder),
        "blocks": blocks,
        "settings": [figure_tables.table(name, {"setting": block}) for name, block in blocks.items()],
        "principles": _principles(folder, run, stages),
        "evaluations": [_evaluation(folder / of.name, of, all_tables, rows) for of in found],
        "sets": _sets(folder, stages),
        "rounds": _rounds(stages),
        "trained": [_trained(folder, each) for each in _done(stages, *trainers())],
        "chains": _chains(folder, stages, rows, run["seed"]),
        "revised": _revised(folder, stages),
        "votes": _votes(folder, stages, all_tables, rows),
        "dropped": next((some(of.cards, rows) for of in all_tables if of.name == "dropped"), []),
    }
    view["lines"] = [line for of in found for line in of.lines] or [_without_comparisons(stages)]
    view["places"] = list(_places(view))
    return view, all_tables


def _done(stages: Sequence[StageState], *of_kinds: str) -> list[StageState]:
    return [each for each in stages if each["kind"] in of_kinds and each["state"] == "done"]


def _without_comparisons(stages: Sequence[StageState]) -> str:
    """What there is to say of a run that compared nothing."""
    done = sum(each["state"] == "done" for each in stages)
    rest = f"{done} of its {count(len(stages), 'stage')} {'is' if done == 1 else 'are'} done"
    return f"No models were compared in this run, so nothing can be told of them; {rest}."


def _places(view: View) -> Iterator[tuple[str, str]]:
    """The parts of a run on the page, by where they are and what they are called."""
    for each in view["evaluations"]:
        yield each["evaluation"].name, f"{each['evaluation'].name}: what became of the model"
    for key, place, name in (
        ("sets", "sets", "evaluation sets"),
        ("run", "ledger", "what was run"),
        ("trained", "training", "training"),
    ):
        if view[key]:
            yield place, name
    if view["chains"]:
        yield "revisions", "what the principles changed"
    for each in view["votes"]:
        yield each["name"], f"{each['name']}: preferences"
    if view["dropped"]:
        yield "dropped", "rows left out"


def _blocks(folder: Path, stages: Sequence[StageState]) -> Mapping[str, Mapping[str, object]]:
    """Each finished stage's block, as it was when it began."""
    begun = {each["name"]: Stage(folder / each["name"]).begun for each in stages if each["state"] == "done"}
    return {name: note["block"] for name, note in begun.items() if note and note["block"]}


def _principles(folder: Path, run: RunNote, stages: Sequence[StageState]) -> dict[str, dict[str, str]]:
    """Title and words of each principle, of the run and of stages that had another constitution.

    Titles alone where the run no longer has its constitution.
    """
    principles = {visible(id): {"title": visible(title), "text": ""} for id, title in run["principles"].items()}
    begun = [note for each in stages if (note := Stage(folder / each["name"]).begun)]
    for digest in dict.fromkeys([run["constitution_digest"], *(note["constitution"] for note in begun)]):
        with suppress(InputError):
            for id, principle in former_constitution(folder, digest).by_id.items():
                known = principles.setdefault(visible(id), {"title": visible(principle.title), "text": ""})
                known["text"] = known["text"] or _words(principle)
    return principles


def _words(principle: Principle) -> str:
    asked = {"judging": principle.judgment, "criticising": principle.critique, "revising": principle.revision}
    return visible("\n".join(f"{use}: {text}" for use, text in asked.items() if text))


def _evaluation(folder: Path, of: Evaluation, all_tables: Sequence[CardTable], rows: int) -> View:
    """An evaluation: its figures by principle, what was counted of its answers, and rows of it."""
    table = next((each for each in all_tables if each.name == of.name), None)
    by_id: dict[str, list[tuple[headline.Match, Wins]]] = {}
    for match in of.matches:
        for id, wins in evaluation.by_principle(folder, match, of.against).items():
            by_id.setdefault(id, []).append((match, wins))
    categories = [
        (f"Wins of {match.role} over {match.other}", some)
        for match in of.matches
        for wins in [*match.tracks.values()][:1]
        if (some := wins.get("categories"))
    ]
    return {
        "evaluation": of,
        "judge": [f"{headline.judge_clause(of.exam, of.own)}.", *of.judge],
        "principles": by_id,
        "categories": categories,
        "measures": [figure_tables.table(title, columns) for title, columns in of.measured()],
        "groups": card_tables.selection(table, of, rows) if table else [],
    }


def _sets(folder: Path, stages: Sequence[StageState]) -> list[FigureTable]:
    """What stages other than comparisons measured, whatever it is called."""
    found: list[FigureTable] = []
    for each in stages:
        if each["state"] != "done" or each["kind"] == "evaluate":
            continue
        path = folder / each["name"] / "metrics.json"
        size = path.stat().st_size / 1e6 if path.exists() else 0.0
        if size > LARGEST:
            said = {"metrics.json": f"{size:,.0f} MB, which is more than a page holds"}
            found.append(figure_tables.table(each["name"], {"figure": said}))
            continue
        figures = read_json(path)
        if isinstance(figures, dict) and figures:
            nested = all(isinstance(value, dict) for value in figures.values())
            found.append(figure_tables.table(each["name"], figures if nested else {"figure": figures}))
    return found


def _trained(folder: Path, each: StageState) -> View:
    return {**each, **training.of_stage(folder / each["name"])}


def _chains(folder: Path, stages: Sequence[StageState], rows: int, seed: int) -> list[View]:
    """Chains drawn at random, from both tracks, with what each revision changed."""
    chains: list[View] = []
    for each in _done(stages, "revise"):
        for track in ("redteam", "helpful"):
            revisions = (
                (row.id, row)
                for row in Stage(folder / each["name"]).all_rows(Chain)
                if len(row.drafts) > 1 and row.track == track
            )
            most = rows - rows // 2 if track == "redteam" else rows // 2
            chains += [
                {**plain(row), "steps": [_step(*both) for both in pairwise(row.drafts)]}
                for row in drawn(revisions, most, seed)
            ]
    return chains


def _step(old: Draft, new: Draft) -> View:
    return {**plain(new), "unrevised": unrevised(new), "changes": list(diff.words(old.text, new.text))}


def _revised(folder: Path, stages: Sequence[StageState]) -> list[View]:
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


def _votes(folder: Path, stages: Sequence[StageState], all_tables: Sequence[CardTable], rows: int) -> list[View]:
    """For each label stage: its figures and some preferences, drawn at random and without a winner."""
    labels: list[View] = []
    for each in _done(stages, "label"):
        stage = Stage(folder / each["name"])
        read_as = kinds(row.votes for row in stage.all_rows(Preference))
        figures = {"position": position(stage.all_rows(Preference)), "kinds": read_as}
        table = next((of for of in all_tables if of.name == each["name"]), None)
        at_random = some(table.cards if table else (), max(rows // 2, 1) if rows else 0)
        unsettled = filter(card_tables.undecided, table.cards if table else ())
        more = [row for row in some(unsettled, rows // 4) if row not in at_random]
        labels.append({**each, **figures, "shown": [*at_random, *more]})
    return labels


def _rounds(stages: Sequence[StageState]) -> list[View]:
    """For each block of rounds: its verdicts, the policy that stayed, and how far each round's went."""
    blocks: list[View] = []
    for each in stages:
        if each["kind"] != "rounds" or "round" in each:
            continue
        verdicts = [of["verdict"] for of in stages if "verdict" in of and of.get("rounds") == each["name"]]
        series = (("kl", "KL to the initial policy, nats an answer"), ("length", "length ratio to it"))
        drawn_curves = [
            curves.curve(title, [(of["round"], of[key]) for of in verdicts if of[key] is not None], by="round")
            for key, title in series
        ]
        shown = [each for each in drawn_curves if each]
        blocks.append({"name": each["name"], "says": each.get("says", ""), "verdicts": verdicts, "curves": shown})
    return blocks
