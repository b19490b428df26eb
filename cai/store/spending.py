"""The tokens that a run has used, by stage and role, whatever became of them, and what they cost by the price of then.

A stage's ledger tells of the rows that are there. This tells of all answers that came, also to rows that were in the making when
the run was stopped, and to those that were done again since: it is what the servers' bill is about. Lines are only ever added
to ``spent.jsonl``, now and then, so a kill takes those of a few seconds; what a server computed and nobody received is not known.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

from cai.store.files import append_line, append_to, json_objects
from cai.store.rows import encode

SPENT = "spent.jsonl"
Tokens = list[int]
"""In, those of them that came from the cache, out."""


class SpentLine(TypedDict):
    """One line: tokens that were used since the one before.

    Attributes:
        cost: of these tokens; not there where the role had no price, nor in runs of before it was kept.
    """

    stage: str
    role: str
    tokens: list[int]
    cost: NotRequired[float]


@dataclass(slots=True)
class Used:
    """What a role was asked for.

    Attributes:
        tokens: all of them.
        unpriced: those of them of which no cost was kept.
        cost: of the others.
    """

    tokens: Tokens = field(default_factory=lambda: [0, 0, 0])
    unpriced: Tokens = field(default_factory=lambda: [0, 0, 0])
    cost: float = 0.0

    def add(self, tokens: Sequence[int], cost: float | None) -> None:
        """More tokens, with what they cost where that is known."""
        for place, count in enumerate(tokens[:3]):
            self.tokens[place] += count
            self.unpriced[place] += count if cost is None else 0
        self.cost += cost or 0.0

    def lines(self, stage: str, role: str) -> Iterable[SpentLine]:
        """As the file has it: what has a cost apart from what has none."""
        priced = [count - open for count, open in zip(self.tokens, self.unpriced, strict=True)]
        if any(priced):
            yield {"stage": stage, "role": role, "tokens": priced, "cost": self.cost}
        if any(self.unpriced):
            yield {"stage": stage, "role": role, "tokens": self.unpriced}


Book = dict[tuple[str, str], Used]
"""Stage and role → what was used."""


class Spending:
    """What was used so far.

    Args:
        path: its file; kept nowhere where it is None.
        roles: whose lines are read; all unless told.

    Raises:
        RunError: the file is damaged.
    """

    def __init__(self, path: Path | None, roles: Collection[str] | None = None) -> None:
        self.path = path
        self.totals: Book = {}
        self.unsaved: Book = {}
        for line in json_objects(path, SpentLine) if path else ():
            if roles is None or line["role"] in roles:
                _used(self.totals, line["stage"], line["role"]).add(line["tokens"], line.get("cost"))

    def add(self, stage: str, role: str, tokens: Sequence[int], cost: float | None = None) -> None:
        """The tokens of one answer, or of several, and what they cost; None where no price is known."""
        for book in (self.totals, self.unsaved):
            _used(book, stage, role).add(tokens, cost)

    @property
    def unsaved_cost(self) -> float:
        """What a kill would take."""
        return sum(used.cost for used in self.unsaved.values())

    def save(self) -> None:
        """Keep what was added since; raises as ``write_lines``."""
        if self.path is None or not self.unsaved:
            return
        lines = [line for (stage, role), used in self.unsaved.items() for line in used.lines(stage, role)]
        if lines:
            with append_to(self.path) as file:
                append_line(file, "\n".join(map(encode, lines)))
        self.unsaved = {}

    def taken(self) -> dict[tuple[str, str], Tokens]:
        """The tokens that were added since they were last taken or saved."""
        unsaved, self.unsaved = self.unsaved, {}
        return {key: used.tokens for key, used in unsaved.items()}

    def of(self, stage: str) -> dict[str, Used]:
        """A stage's by role, with what its own folders hold, such as an evaluation's answers."""
        return _by_role(each for each in self.totals.items() if f"{each[0][0]}/".startswith(f"{stage}/"))

    def by_role(self) -> dict[str, Used]:
        """The whole run's."""
        return _by_role(self.totals.items())


def _used(book: Book, stage: str, role: str) -> Used:
    if (used := book.get((stage, role))) is None:
        used = book[stage, role] = Used()
    return used


def _by_role(entries: Iterable[tuple[tuple[str, str], Used]]) -> dict[str, Used]:
    roles: dict[str, Used] = {}
    for (_, role), used in entries:
        whole = roles.setdefault(role, Used())
        for line in used.lines("", role):
            whole.add(line["tokens"], line.get("cost"))
    return roles
