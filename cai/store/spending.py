"""The tokens that a run has used, by stage and role, whatever became of them.

A stage's ledger tells of the rows that are there. This tells of all answers that came, also to rows that were in the making when
the run was stopped, and to those that were done again since: it is what the servers' bill is about. Lines are only ever added
to ``spent.jsonl``, now and then, so a kill takes those of a few seconds; what a server computed and nobody received is not known.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

from cai.store.files import append_line, append_to, json_objects
from cai.store.form import TokenCounts
from cai.store.rows import encode

SPENT = "spent.jsonl"
Tokens = list[int]
"""In, those of them that came from the cache, out."""
K = TypeVar("K")


class SpentLine(TypedDict):
    """One line: tokens that were used since the one before."""

    stage: str
    role: str
    tokens: TokenCounts


class Spending:
    """What was used so far.

    Args:
        path: its file; kept nowhere where it is None.

    Raises:
        RunError: the file is damaged.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.totals: dict[tuple[str, str], Tokens] = {}
        self.recent: dict[tuple[str, str], Tokens] = {}
        for line in json_objects(path, SpentLine) if path else ():
            _spend(self.totals, (line["stage"], line["role"]), line["tokens"])

    def add(self, stage: str, role: str, tokens: Sequence[int]) -> None:
        """The tokens of one answer, or of several."""
        _spend(self.totals, (stage, role), tokens)
        _spend(self.recent, (stage, role), tokens)

    def save(self) -> None:
        """Keep what was added since; raises as ``write_lines``."""
        if self.path is None or not self.recent:
            return
        lines = [{"stage": stage, "role": role, "tokens": tokens} for (stage, role), tokens in self.recent.items()]
        with append_to(self.path) as file:
            append_line(file, "\n".join(map(encode, lines)))
        self.recent = {}

    def take(self) -> dict[tuple[str, str], Tokens]:
        """What was added since it was last taken or saved."""
        tokens, self.recent = self.recent, {}
        return tokens

    def of(self, stage: str) -> dict[str, Tokens]:
        """A stage's by role, with what its own folders hold, such as an evaluation's answers."""
        roles: dict[str, Tokens] = {}
        for (name, role), tokens in self.totals.items():
            if name == stage or name.startswith(f"{stage}/"):
                _spend(roles, role, tokens)
        return roles

    def by_role(self) -> dict[str, Tokens]:
        """The whole run's."""
        roles: dict[str, Tokens] = {}
        for (_, role), tokens in self.totals.items():
            _spend(roles, role, tokens)
        return roles


def _spend(book: dict[K, Tokens], key: K, tokens: Sequence[int]) -> None:
    totals = book.setdefault(key, [0, 0, 0])
    for place, count in enumerate(tokens[:3]):
        totals[place] += count
