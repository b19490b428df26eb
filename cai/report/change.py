"""What ``cai diff`` shows: the differences of two constitutions, word by word, and the rows of a run that they touch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cai.trial import marked
from constitution.diff import Change
from constitution.model import Constitution

SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
Touched = Sequence[tuple[str, list[str], int]]


def show(old: Constitution, new: Constitution, found: Sequence[Change], touched: Touched, console: Console) -> None:
    """Print them."""
    for change in found:
        sign, style = SIGNS[change.kind]
        title = "" if change.kind == "changed" else f": {change.old or change.new}"
        console.print(Text(f"{sign} {change.what}{title}", style=style))
        if change.kind == "changed":
            console.print(Padding(marked(change.old, change.new, console.is_terminal), (0, 0, 0, 4), expand=False))
    console.print(Text(_summary(old, new, found)))
    for stage, ids, rows in touched:
        console.print(Text(f"{stage}: touches {len(ids)} of {rows} rows"))


def as_json(found: Sequence[Change], touched: Touched) -> dict[str, Any]:
    """For programs: every change, and the ids of the rows touched."""
    stages = {stage: {"touched": ids, "rows": rows} for stage, ids, rows in touched}
    return {"changes": [asdict(change) for change in found], "stages": stages}


def _summary(old: Constitution, new: Constitution, found: Sequence[Change]) -> str:
    if not found:
        return "the two say the same"
    changed = {change.what.partition(".")[0] for change in found if change.kind == "changed"} & set(new.by_id)
    kinds = Counter(change.kind for change in found if change.what in old.by_id or change.what in new.by_id)
    same = len(set(old.by_id) & set(new.by_id)) - len(changed)
    counts = f"{kinds['added']} added, {kinds['removed']} removed, {len(changed)} changed, {same} the same"
    return f"principles: {counts}; {len(found)} differences in all"
