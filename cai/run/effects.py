"""Which rows of a run a changed constitution touches: those for which a model would be asked something else.

A row's principles are drawn again, from its own generator, under the old constitution and under the new one; where the
same principles are drawn and the same words would be sent, the row stands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from cai.errors import UserError
from cai.flow.ask import generator
from cai.stages import STAGES, read_block
from cai.stages.label import Label
from cai.stages.label import chosen as chosen_to_label
from cai.stages.revise import Revise
from cai.stages.revise import chosen as chosen_to_revise
from cai.stages.score import Score
from cai.stages.score import chosen as chosen_to_score
from cai.store import audit
from cai.store.ledger import Fingerprint, PlainFingerprint, differences
from cai.store.lines import Row
from cai.store.rows import Pair
from cai.store.run_folder import StageNote, former_constitution, run_note
from cai.store.stage import Stage
from constitution import ask, forms, judging
from constitution.forms import Form
from constitution.load import digest
from constitution.model import Constitution, Principle
from constitution.turns import Style

CHOOSERS: dict[str, Callable[..., Iterable[Principle]]] = {
    "revise": chosen_to_revise,
    "label": chosen_to_label,
    "score": chosen_to_score,
}
"""The row stages that draw principles, with how each draws those of a row."""

A, B, C = "\x02a\x03", "\x02b\x03", "\x02c\x03"
PROMPT = ({"role": "user", "content": "\x02p\x03"},)
"""Stand for a row's own words, which are the same before and after; no template has such."""


def only_constitution(stage: str, was: PlainFingerprint, now: Fingerprint) -> None:
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


@dataclass(frozen=True, slots=True)
class Drawing:
    """A stage that draws principles.

    Attributes:
        kind: "revise", "label" or "score".
        name: under which its rows draw.
        want: its block.
        seed: the run's.
        only: the principles that it draws from, of a comparison that names some.
    """

    kind: str
    name: str
    want: Revise | Label | Score
    seed: int
    only: tuple[str, ...] = ()

    def touched(self, rows: Iterable[Row], old: Constitution, new: Constitution) -> Iterator[str]:
        """The ids of the rows for which a model would be asked something else."""
        choose = partial(CHOOSERS[self.kind], only=self.only) if self.only else CHOOSERS[self.kind]
        words = _Words(self, old), _Words(self, new)
        for row in rows:
            was, now = (
                [under(each) for each in choose(row, self.want, under.constitution, self._draws(row))]
                for under in words
            )
            if was != now:
                yield row.id

    def _draws(self, row: Row) -> Random:
        return generator(self.seed, self.name, row.id)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a changed constitution means for a stage.

    Attributes:
        kind: of the stage.
        action: "stands", "reopen" (for the rows touched alone) or "aside" (to be done again whole).
        touched: folder within the run → the ids of the rows touched, and how many rows there are.
    """

    stage: str
    kind: str
    action: str
    touched: dict[str, tuple[list[str], int]] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """All rows touched."""
        return [id for ids, _ in self.touched.values() for id in ids]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(count for _, count in self.touched.values())


def effects(folder: Path, new: Constitution) -> Iterator[Effect]:
    """What another constitution would mean for each stage that a run has begun, in order; raises as ``effect``."""
    stale: set[str] = set()
    for note in run_note(folder)["stages"]:
        begun = Stage(folder / note["name"]).begun
        if begun is None:
            continue
        own = "constitution" in begun["block"]  # an evaluation that is judged by another one than the run's
        under = former_constitution(folder, begun["constitution"], note["name"]) if own else new
        consequence = effect(folder, note, under, stale)
        stale |= {consequence.stage} if consequence.action != "stands" else set()
        yield consequence


def effect(folder: Path, note: StageNote, new: Constitution, stale: Set[str]) -> Effect:
    """What another constitution means for one stage that was begun, beside the one it was begun under.

    A row stage keeps the rows for which models are asked the same as before, and so does an evaluation with its
    comparisons. A stage built on rows that are done again is done again whole, and so is a report, which costs nothing.

    Args:
        note: the stage's name, kind and what it reads.
        stale: the stages before it that do not stand.

    Raises:
        UserError: the run does not keep the constitution that the stage was begun under.
        RunError: rows that it was made from are gone.
    """
    name, kind = note["name"], note["kind"]
    begun = Stage(folder / name).begun
    assert begun is not None
    lacks_input = any(Stage(folder / each).begun is None for each in begun["inputs"])
    if kind == "report" or lacks_input or stale & begun["inputs"].keys():
        return Effect(name, kind, "aside")
    if not begun["constitution"] or begun["constitution"] == digest(new):
        return Effect(name, kind, "stands")
    if STAGES[kind].shape in (
        "train",
        "verify",
        "robustness",
    ):  # whole, for what a step learns from another does not come back
        return Effect(name, kind, "aside")
    if _renamed(begun["block"]):
        return Effect(name, kind, "aside")
    old = former_constitution(folder, begun["constitution"], name)
    touched = {}
    for place, takes, source, drawing in _drawing(folder, note, begun):
        audit.whole(source)
        rows = list(source.so_far(takes))
        touched[place] = list(drawing.touched(rows, old, new)), len(rows)
    return Effect(name, kind, "reopen" if any(ids for ids, _ in touched.values()) else "stands", touched)


def _renamed(block: Mapping[str, object]) -> bool:
    """Whether a stage's rows have other ids than those that they are made from."""
    return block.get("method") == "rank" or block.get("turns", 1) != 1


def _drawing(folder: Path, note: StageNote, begun: PlainFingerprint) -> Iterator[tuple[str, type, Stage, Drawing]]:
    """The folders of a stage whose rows drew principles: where, what they take, from where, and how they drew."""
    name, kind, seed = note["name"], note["kind"], begun["seed"]
    want = read_block(kind, begun["block"])
    if kind in CHOOSERS:
        yield (
            name,
            STAGES[kind].takes or dict,
            Stage(folder / note["reads"], note["reads"]),
            Drawing(kind, name, want, seed),
        )
        return
    for match in want.matches:  # an evaluation, whose comparisons are labels like any other
        pairs = Stage(folder / name / f"pairs-{match.name}")
        if (votes := folder / name / f"votes-{match.name}").is_dir():
            drawing = Drawing("label", f"{name}/votes", want.label(), seed, want.principles)
            yield f"{name}/{votes.name}", Pair, pairs, drawing
    if (votes := folder / name / "exam-votes").is_dir():
        pairs = Stage(folder / name / "exam-pairs")
        drawing = Drawing("label", f"{name}/exam", want.label(), seed, want.principles)
        yield f"{name}/{votes.name}", Pair, pairs, drawing


class _Words:
    """All that is sent under each principle of a constitution beside the row's own words."""

    def __init__(self, drawing: Drawing, constitution: Constitution) -> None:
        self.drawing, self.constitution = drawing, constitution
        self.cache: dict[str, object] = {}

    def __call__(self, principle: Principle) -> object:
        if principle.id not in self.cache:
            self.cache[principle.id] = _words(self.constitution, principle, self.drawing.want)
        return self.cache[principle.id]


def _words(constitution: Constitution, principle: Principle, want: Revise | Label | Score) -> object:
    """All that is sent under a principle beside the row's own words."""
    if isinstance(want, Revise):
        critique = ask.critique(constitution, principle, PROMPT, A, Style(want.exemplars))
        style = Style(names=want.names)
        judgment = judging.judgment(constitution, principle, PROMPT, (A, B), style) if want.judge else None
        line = _lines(constitution, forms.verdict(constitution, names=want.names)) if want.judge else ""
        return principle.id, ask.revision(constitution, critique, C, principle), judgment, line
    if isinstance(want, Score) or want.method not in ("logprob", "cot"):
        # The other methods say more than one thing; every word that they might say stands for what they do.
        texts = principle.id, principle.title, principle.judgment, principle.critique, principle.negative
        exemplars = constitution.critique_revision[: want.exemplars] if isinstance(want, Label) else ()
        return texts, principle.propositions, constitution.preamble, constitution.templates, exemplars
    style = Style(want.exemplars, reasoning=want.method == "cot", layout=want.layout, names=want.names)
    line = _lines(constitution, forms.verdict(constitution, want.ties, want.names))
    return principle.id, judging.judgment(constitution, principle, PROMPT, (A, B), style), line


def _lines(constitution: Constitution, form: Form) -> tuple[str, str]:
    """What asks a judge whose verdicts are sampled for its last line, and what below one that says none."""
    return forms.instruction(constitution, form), forms.decision(constitution, form)
