"""The pairs that ``cai verify`` is given: a label stage's preferences, or a file of comparisons by people."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from cai.data import records
from cai.errors import UserError
from cai.stages import pairs
from cai.stages.pairs import Pairs
from cai.store import audit
from cai.store.rows import Pair, Preference, decode
from cai.store.stage import Stage
from cai.store.votes import Vote

PEOPLE = "people"


def preferences(name: str, columns: Mapping[str, object]) -> Iterator[Preference]:
    """Pairs with their votes.

    Args:
        name: the folder of a label stage, one of its parts, a file of pairs that people compared, or ``hub:OWNER/NAME``.
        columns: of such a file, as in a recipe.

    Raises:
        UserError: it is none of these.
        RunError: the stage's rows are not as they were written.
    """
    for folder in (Path(name), Path("runs") / name):
        if (folder / "begun.json").is_file():
            return _of_stage(folder)
    if not name.startswith("hub:") and not Path(name).exists():
        raise UserError(
            f"--pairs: there is no {name}; name a label stage's folder (runs/NAME/label), or a file of pairs"
        )
    source = Pairs(hub=name.removeprefix("hub:"), split="test") if name.startswith("hub:") else Pairs(path=name)
    first = next(iter(records.entries(source)), None)
    if first is not None and {"pair", "votes"} <= first.data.keys():
        return _of_file(source)
    return _of_people(Pairs(path=source.path, hub=source.hub, split=source.split, columns=columns))


def _of_stage(folder: Path) -> Iterator[Preference]:
    stage = Stage(folder)
    begun = stage.begun
    if begun is None or "method" not in begun["block"] or "choice" not in begun["block"] or "judge" in begun["block"]:
        raise UserError(f"--pairs: {folder} is no label stage; name one (runs/NAME/label), or a file of pairs")
    if not stage.parts():
        raise UserError(f"--pairs: {folder} has no finished part; run its recipe to the end of that stage")
    audit.whole(stage, kind=Preference)
    return stage.all_rows(Preference)


def _of_file(source: Pairs) -> Iterator[Preference]:
    for entry in records.entries(source):
        try:
            yield decode(Preference, entry.data)
        except (AttributeError, KeyError, TypeError):
            raise UserError(f"--pairs: {entry.place} is no preference; name a file with such rows alone") from None


def _of_people(want: Pairs) -> Iterator[Preference]:
    rows = (row for row in pairs.read(want) if isinstance(row, Pair))
    first = next(rows, None)
    if first is None:
        raise UserError(f"--pairs: {want.path or want.hub} gives no pair; see: cai look {want.path or want.hub}")
    return map(_preference, chain([first], rows))


def _preference(pair: Pair) -> Preference:
    """What people said of a pair, as the method people has it."""
    share = sum(pair.people) / len(pair.people) if pair.people else None
    status = "unparsed" if share is None else "tie" if share == 0.5 else "ok"
    vote = Vote("", "alone", PEOPLE, PEOPLE, 0, status, share, kind=PEOPLE)
    return Preference(pair.id, pair, (vote,), share, share, status)
