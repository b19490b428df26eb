"""Which rows of a run a changed constitution touches: those for which a model would be asked something else.

A row's principles are drawn again, from its own generator, under the old constitution and under the new one; where the
same principles are drawn and the same words would be sent, the row stands.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cai.errors import UserError
from cai.files import read_json
from cai.flow import generator
from cai.ledger import Settings, differences
from cai.stages import STAGES, read_block
from cai.stages.label import REASONED
from cai.stages.label import chosen as chosen_to_label
from cai.stages.revise import chosen as chosen_to_revise
from cai.store import Stage
from constitution import ask
from constitution.load import load
from constitution.model import Constitution, Principle

DRAWING = {"revise": chosen_to_revise, "label": chosen_to_label}
"""The stages that draw principles, with how each draws those of a row."""


STAND_IN = ({"role": "user", "content": "p"},)
"""A row's own words, which are the same before and after."""


def kept(folder: Path, digest: str) -> Path:
    """Where a run keeps a constitution that it used."""
    return folder / "constitutions" / f"{digest}.yaml"


def former(folder: Path, digest: str, stage: str) -> Constitution:
    """The constitution under which rows were made.

    Raises:
        UserError: the run does not have it.
    """
    path = kept(folder, digest)
    if not path.exists():
        raise UserError(f"{folder} does not hold the constitution that made {stage}; redo it with: --redo {stage}")
    return load(path)


def only_constitution(stage: str, was: dict[str, Any], now: Settings) -> None:
    """Refuse where more changed than the constitution, and what follows from it.

    Raises:
        UserError: with what else changed.
    """
    if was["inputs"].keys() != now.inputs.keys():
        raise UserError(f"{stage}: it is built on other stages than before; redo it with: --redo {stage}")
    bare = {key: value for key, value in was.items() if key not in ("constitution", "inputs")}
    new = {key: value for key, value in now.plain().items() if key in bare}
    if more := differences(bare, new):
        raise UserError(
            f"{stage}: more than the constitution changed ({'; '.join(more)}); redo it with: --redo {stage}"
        )


def touched(
    kind: str, name: str, want: Any, seed: int, rows: Iterable[Any], old: Constitution, new: Constitution
) -> Iterator[str]:
    """The ids of the rows for which a model would be asked something else.

    Args:
        kind: "revise" or "label".
        name: the stage's name in its run.
        want: the stage's block.
        rows: what the stage reads.
    """
    chosen: Any = DRAWING[kind]
    asked: dict[tuple[bool, str], Any] = {}

    def said(which: bool, principle: Principle) -> Any:
        key = which, principle.id
        if key not in asked:
            asked[key] = _said(kind, new if which else old, principle, want)
        return asked[key]

    for row in rows:
        before = chosen(row, want, old, generator(seed, name, row.id))
        after = chosen(row, want, new, generator(seed, name, row.id))
        if [said(False, each) for each in before] != [said(True, each) for each in after]:
            yield row.id


def touched_in_run(folder: Path, old: Constitution, new: Constitution) -> Iterator[tuple[str, list[str], int]]:
    """For each stage of a run that draws principles: its name, the ids touched, and how many rows there are."""
    for known in read_json(folder / "run.json")["stages"]:
        stage = Stage(folder / known["name"])
        if known["kind"] not in DRAWING or stage.begun is None:
            continue
        want, seed = read_block(known["kind"], stage.begun["block"]), stage.begun["seed"]
        rows = list(Stage(folder / known["reads"]).all_rows(STAGES[known["kind"]].takes or dict))
        ids = touched(known["kind"], known["name"], want, seed, rows, old, new)
        yield known["name"], list(ids), len(rows)


def _said(kind: str, constitution: Constitution, principle: Principle, want: Any) -> Any:
    """All that is sent under a principle beside the row's own words."""
    if kind == "revise":
        asked = ask.critique(constitution, principle, STAND_IN, "a", want.exemplars)
        return principle.id, ask.revision(constitution, asked, "c", principle)
    return principle.id, ask.judgment(
        constitution, principle, STAND_IN, ("a", "b"), REASONED[want.method], want.exemplars
    )
