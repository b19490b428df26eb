"""Runs side by side: their figures in the same tables, their curves in the same frames."""

from collections.abc import Mapping, Sequence
from typing import Any

from cai.report import figure_tables, funnel
from cai.report.curves import Curve, Values, frame
from cai.report.figure_tables import FigureTable
from cai.report.format import duration
from cai.report.summary import StageState

View = Mapping[str, Any]


def of_runs(runs: Sequence[View]) -> dict[str, object]:
    """Tables and curves of several runs; each is what the page is given of a run."""
    return {
        "compared": any(each["evaluation"].matches for of in runs for each in of["evaluations"]),
        "tables": [*_measured(runs), _made_of(runs), *_differences(runs), _ledger(runs)],
        "curves": _curves(runs),
    }


def _measured(runs: Sequence[View]) -> list[FigureTable]:
    """What was counted of all models' answers, a column for each run and model."""
    columns: dict[str, dict[str, dict[str, Any]]] = {}
    for of in runs:
        for each in of["evaluations"]:
            for title, some in each["evaluation"].measured():
                where = f" ({each['evaluation'].name})" if len(of["evaluations"]) > 1 else ""
                columns.setdefault(title, {}).update(
                    {f"{of['name']}: {role}{where}": figures for role, figures in some.items()}
                )
    return [figure_tables.table(title, some) for title, some in columns.items()]


def _made_of(runs: Sequence[View]) -> FigureTable:
    """What the runs were made of."""
    keys = ("recipe", "constitution", "constitution_version", "seed", "models")
    return figure_tables.table(
        "What the runs were made of", {of["name"]: {key: of["run"][key] for key in keys} for of in runs}
    )


def _differences(runs: Sequence[View]) -> list[FigureTable]:
    """The settings of stages in which the runs are not all alike."""
    whole = figure_tables.table("Settings that differ", {of["name"]: of["blocks"] for of in runs})
    rows = [(name, cells) for name, cells in whole["rows"] if len(set(cells)) > 1]
    return [{**whole, "rows": rows}] if rows else []


def _ledger(runs: Sequence[View]) -> FigureTable:
    columns = {of["name"]: {**_rows(of["stages"]), **_totals(of)} for of in runs}
    return figure_tables.table("Rows in, kept and out, and what they took", columns)


def _rows(stages: Sequence[StageState]) -> dict[str, str]:
    return {
        each["name"]: f"{each['rows_in']:,} in, {each['rows_kept']:,} kept, {each['rows_out']:,} out"
        if each["state"] == "done"
        else each["state"]
        for each in stages
    }


def _totals(of: View) -> dict[str, str]:
    totals = funnel.totals(of["stages"])
    return {
        "tokens in": f"{totals['tokens_in']:,.0f}",
        "tokens out": f"{totals['tokens_out']:,.0f}",
        "time of work": duration(totals["seconds"]),
        "cost": of["spent"] or "–",
    }


def _curves(runs: Sequence[View]) -> list[Curve]:
    """A frame for each curve that two runs have, of stages of the same name."""
    series: dict[tuple[str, str], dict[str, Values]] = {}
    for of in runs:
        for each in of["trained"]:
            for curve in each["curves"]:
                series.setdefault((each["name"], curve["title"]), {})[of["name"]] = curve["series"][0]["points"]
    frames = (frame(f"{stage}: {title}", some) for (stage, title), some in series.items() if len(some) > 1)
    return [each for each in frames if each]
