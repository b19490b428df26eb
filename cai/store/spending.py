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
from cai.store.form import Amount, TokenCounts
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
    tokens: TokenCounts
    cost: NotRequired[Amount]


@dataclass(slots=True)
class Usage:
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
        for each in (self.tokens, self.unpriced) if cost is None else (self.tokens,):
            each[0] += tokens[0]
            each[1] += tokens[1]
            each[2] += tokens[2]
        self.cost += cost or 0.0

    def lines(self, stage: str, role: str) -> Iterable[SpentLine]:
        """As the file has it: what has a cost apart from what has none."""
        priced = [count - rest for count, rest in zip(self.tokens, self.unpriced, strict=True)]
        if any(priced):
            yield {"stage": stage, "role": role, "tokens": priced, "cost": self.cost}
        if any(self.unpriced):
            yield {"stage": stage, "role": role, "tokens": self.unpriced}


Book = dict[tuple[str, str], Usage]
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
        self.recent: Book = {}
        for line in json_objects(path, SpentLine) if path else ():
            if roles is None or line["role"] in roles:
                _entry(self.totals, line["stage"], line["role"]).add(line["tokens"], line.get("cost"))

    def add(self, stage: str, role: str, tokens: Sequence[int], cost: float | None = None) -> None:
        """The tokens of one answer, or of several, and what they cost; None where no price is known."""
        for book in (self.totals, self.recent):
            _entry(book, stage, role).add(tokens, cost)

    @property
    def recent_cost(self) -> float:
        """What a kill would take."""
        return sum(usage.cost for usage in self.recent.values())

    def save(self) -> None:
        """Keep what was added since; raises as ``write_lines``."""
        if self.path is None or not self.recent:
            return
        lines = [line for (stage, role), usage in self.recent.items() for line in usage.lines(stage, role)]
        if lines:
            with append_to(self.path) as file:
                append_line(file, "\n".join(map(encode, lines)))
        self.recent = {}

    def take(self) -> dict[tuple[str, str], Tokens]:
        """The tokens that were added since they were last taken or saved."""
        recent, self.recent = self.recent, {}
        return {key: usage.tokens for key, usage in recent.items()}

    def of(self, stage: str) -> dict[str, Usage]:
        """A stage's by role, with what its own folders hold, such as an evaluation's answers."""
        return _by_role(each for each in self.totals.items() if f"{each[0][0]}/".startswith(f"{stage}/"))

    def by_role(self) -> dict[str, Usage]:
        """The whole run's."""
        return _by_role(self.totals.items())


def _entry(book: Book, stage: str, role: str) -> Usage:
    if (usage := book.get((stage, role))) is None:
        usage = book[stage, role] = Usage()
    return usage


def _by_role(entries: Iterable[tuple[tuple[str, str], Usage]]) -> dict[str, Usage]:
    roles: dict[str, Usage] = {}
    for (_, role), usage in entries:
        total = roles.setdefault(role, Usage())
        for line in usage.lines("", role):
            total.add(line["tokens"], line.get("cost"))
    return roles
