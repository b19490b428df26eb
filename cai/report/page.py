"""The report: one HTML page, self-contained, of a run or of several side by side. It answers first, then shows what it rests on.

The page is data in Jinja2 templates (``page.html.j2``), which escape every text; a model's output never becomes markup, see
``document``. What cannot be seen at once is in it too, packed, and its search unpacks it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cai.errors import RunError, UserError
from cai.report import beside, document
from cai.report.card_tables import CardTable
from cai.report.curves import Curve
from cai.report.format import KINDS, PLOT, page
from cai.report.headline import NAMES
from cai.report.packing import Deflater, packed
from cai.report.summary import StageState, stages_of
from cai.report.view import of_run
from cai.stages import STAGES
from cai.store import audit
from cai.store.files import write_lines
from cai.store.stage import Stage

DAMAGE = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What files that do not go together end in, whichever way they are put together."""


def write_report(folder: Path, path: Path, rows: int = 8) -> None:
    """Write the page of one run; as ``write_reports``."""
    write_reports([folder], path, rows)


def report_path(folders: Sequence[Path]) -> Path:
    """Where a page goes unless told: into the first run's folder, under the names of the others beside it."""
    names = ["report", *(folder.resolve().name for folder in folders[1:])]
    return folders[0] / "report" / f"{'-and-'.join(names)}.html"


def write_reports(folders: Sequence[Path], path: Path, rows: int = 8) -> None:
    """Write the page of one run, or of several side by side.

    Args:
        rows: of each kind that are shown whole without being asked for.

    Raises:
        UserError: a run has nothing to report yet, or the same one is named twice.
        RunError: rows of a finished stage are gone, or damaged.
    """
    from jinja2 import UndefinedError

    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("the same run is named twice; name each run once")
    stages = {folder: _whole_stages(folder) for folder in folders}
    names = _names(folders)
    try:
        views = [of_run(folder, names[folder], stages[folder], rows) for folder in folders]
        text = _text([view for view, _ in views], [tables for _, tables in views])
    except (*DAMAGE, UndefinedError) as error:
        if isinstance(error, UserError):
            raise
        where = " and ".join(map(str, folders))
        raise RunError(
            f"the report of {where} cannot be made ({error}): a file of a stage is damaged; put it back, or do that stage again"
        ) from error
    write_lines(path, [text])


def _whole_stages(folder: Path) -> list[StageState]:
    """The stages of a run of which something is done and as it was written."""
    stages = stages_of(folder)
    if not any(each["state"] == "done" for each in stages):
        raise UserError(f"{folder} has no finished stage to report on; run its recipe first")
    for each in stages:
        if each["state"] == "done":
            _whole(folder, each)
    return stages


def _whole(folder: Path, state: StageState) -> None:
    """Make sure that what a stage made is as it was sealed; raises as ``audit.whole``."""
    name = state["name"]
    stage = Stage(folder / name, name)
    if state["kind"] in STAGES and STAGES[state["kind"]].shape in ("rows", "source"):
        audit.whole(stage)
    audit.unchanged_since(stage, name)
    for file in sorted(folder.glob(f"{name}/*/begun.json")):  # an evaluation's
        audit.whole(Stage(file.parent), name)


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """What the runs are called: by their folders, and by their paths where two folders have one name."""
    short = [folder.resolve().name for folder in folders]
    return {
        folder: name if short.count(name) == 1 else str(folder) for folder, name in zip(folders, short, strict=True)
    }


def _text(runs: Sequence[Mapping[str, Any]], tables: Sequence[Sequence[CardTable]]) -> str:
    """The page."""
    curves: list[Curve] = []
    book, rows = _book(runs, tables)

    def place(curve: Curve) -> int:
        curves.append(curve)
        return len(curves) - 1

    def packed_plots() -> str:
        deflater = Deflater()
        for curve in curves:
            deflater.add(curve)
        return deflater.text()

    lead, *further = runs[0]["lines"] if len(runs) == 1 else [f"{of['name']}: {of['lines'][0]}" for of in runs]
    return page(
        "page.html.j2",
        title=runs[0]["run"]["recipe"] if len(runs) == 1 else " and ".join(of["name"] for of in runs),
        lead=lead,
        further=further,
        runs=runs,
        beside=beside.of_runs(runs) if len(runs) > 1 else {},
        tracks=NAMES,
        called=KINDS,
        plot=PLOT,
        plots=place,
        packed_plots=packed_plots,
        packed_rows=rows,
        book=book,
        data=document.as_data(book),
        policy=document.policy(),
        scripts=document.scripts(),
        style=document.style(),
    )


def _book(runs: Sequence[Mapping[str, Any]], tables: Sequence[Sequence[CardTable]]) -> tuple[dict[str, Any], str]:
    """What the page's search has to know of its rows, and the rows."""
    several = len(runs) > 1
    named = [(of, table) for of, some in zip(runs, tables, strict=True) for table in some]
    rows = packed([table.cards for _, table in named])
    about = [
        {
            "name": f"{of['key']}.{table.name}" if several else table.name,
            "title": f"{of['name']}: {table.title}" if several else table.title,
            "total": table.total,
            "rows": count,
            "run": of["key"],
        }
        for (of, table), count in zip(named, rows.counts, strict=True)
    ]
    return {"tables": about, "principles": {of["key"]: of["principles"] for of in runs}}, rows.text
