"""What ``cai diff`` shows: the differences of two constitutions, word by word, and what they mean for a run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cai.change import Effect
from cai.report.words import marked
from constitution.diff import Change
from constitution.model import Constitution

SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def show(
    old: Constitution, new: Constitution, found: Sequence[Change], effects: Sequence[Effect], console: Console
) -> None:
    """Print them."""
    for change in found:
        sign, style = SIGNS[change.kind]
        title = "" if change.kind == "changed" else f": {change.old or change.new}"
        console.print(Text(f"{sign} {change.what}{title}", style=style))
        if change.kind == "changed":
            console.print(Padding(marked(change.old, change.new, console.is_terminal), (0, 0, 0, 4), expand=False))
    console.print(Text(_summary(old, new, found)))
    for line in filter(None, map(_line, effects)):
        console.print(Text(line))
    if effects and all(effect.action == "stands" or effect.kind == "report" for effect in effects):
        console.print(Text("the run stands as it is"))


def as_json(found: Sequence[Change], effects: Sequence[Effect]) -> dict[str, Any]:
    """For programs: every change, and what becomes of each stage, with the ids of the rows touched."""
    stages = {each.stage: {"action": each.action, "touched": each.ids, "rows": each.rows} for each in effects}
    return {"changes": [asdict(change) for change in found], "stages": stages}


def _line(effect: Effect) -> str:
    if effect.action == "aside":
        return f"{effect.stage}: would be done again whole"
    return f"{effect.stage}: touches {len(effect.ids)} of {effect.rows} rows" if effect.touched else ""


def _summary(old: Constitution, new: Constitution, found: Sequence[Change]) -> str:
    if not found:
        return "the two say the same"
    changed = {change.what.partition(".")[0] for change in found if change.kind == "changed"} & set(new.by_id)
    kinds = Counter(change.kind for change in found if change.what in old.by_id or change.what in new.by_id)
    same = len(set(old.by_id) & set(new.by_id)) - len(changed)
    counts = f"{kinds['added']} added, {kinds['removed']} removed, {len(changed)} changed, {same} the same"
    return f"principles: {counts}; {len(found)} differences in all"
