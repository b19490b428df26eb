"""``cai diff``: the differences of two constitutions, word by word, and what they mean for a run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.report.differences import difference
from cai.report.summary import run_folder
from cai.run import effects
from cai.run.effects import Effect
from cai.store.run_folder import former_constitution, run_note
from constitution.diff import Change, changes
from constitution.load import load
from constitution.model import Constitution
from constitution.visible import json_text
from constitution.wording import count

SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def diff_constitutions(old: Path, new: Path, run: str | None, as_json: bool) -> None:
    """What changed, and what a run would have to do again."""
    before, after = _constitution(old), _constitution(new)
    differences = list(changes(before, after))
    consequences = list(effects.effects(run_folder(run), after)) if run else []
    if as_json:
        line(json_text(_as_json(differences, consequences)))
    else:
        console = Screen().console
        console.soft_wrap = False
        _show(before, after, differences, consequences, console)


def _constitution(path: Path) -> Constitution:
    """A constitution's file, or the one that a run used, given its folder or its name."""
    for folder in (path, Path("runs") / path):
        if (folder / "run.json").is_file():
            return former_constitution(folder, run_note(folder)["constitution_digest"])
    return load(path)


def _show(
    old: Constitution, new: Constitution, differences: Sequence[Change], effects: Sequence[Effect], console: Console
) -> None:
    """Print them."""
    for each in differences:
        sign, style = SIGNS[each.kind]
        title = "" if each.kind == "changed" else f": {each.old or each.new}"
        console.print(Text(f"{sign} {each.what}{title}", style=style))
        if each.kind == "changed":
            console.print(Padding(difference(each.old, each.new, console.is_terminal), (0, 0, 0, 4), expand=False))
    console.print(Text(_summary(old, new, differences)))
    for text in filter(None, map(_line, effects)):
        console.print(Text(text))
    if effects and all(effect.action == "stands" or effect.kind == "report" for effect in effects):
        console.print(Text("the run stands as it is"))


def _as_json(differences: Sequence[Change], effects: Sequence[Effect]) -> dict[str, object]:
    """For programs: every change, and what becomes of each stage, with the ids of the rows touched."""
    stages = {each.stage: {"action": each.action, "touched": each.ids, "rows": each.rows} for each in effects}
    return {"changes": [asdict(change) for change in differences], "stages": stages}


def _line(effect: Effect) -> str:
    if effect.action == "aside":
        return f"{effect.stage}: would be done again whole"
    return f"{effect.stage}: touches {len(effect.ids)} of {count(effect.rows, 'row')}" if effect.touched else ""


def _summary(old: Constitution, new: Constitution, differences: Sequence[Change]) -> str:
    if not differences:
        return "the two say the same"
    changed = {change.what.partition(".")[0] for change in differences if change.kind == "changed"} & set(new.by_id)
    kinds = Counter(change.kind for change in differences if change.what in old.by_id or change.what in new.by_id)
    same = len(set(old.by_id) & set(new.by_id)) - len(changed)
    counts = f"{kinds['added']} added, {kinds['removed']} removed, {len(changed)} changed, {same} the same"
    return f"principles: {counts}; {len(differences)} differences in all"
