"""What was understood of a source: its columns, the forms of its rows, what was left out and why, and what is not used."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cai.data.conversations import Conversation
from cai.data.notation import names, printable
from cai.data.values import absent
from cai.errors import UserError
from cai.store.rows import Drop, Message
from constitution.tools import turn_text
from constitution.wording import count

LONG = 40
"""Letters of a question that no answer begins with by chance."""
REPEATED = ("duplicate", "same_pair")
"""Reasons of rows that another row says as well: a source of nothing else was read all the same."""


@dataclass(slots=True)
class Account:
    """One source's account, in the making.

    Attributes:
        name: its path, or its dataset on the Hub.
        role: what it is read for, such as "prompts, redteam".
        rows: all of them, read or left out.
        columns: in the order of the first row that has them → rows in which they hold something.
        used: the columns that were read.
        unread: column → rows in which it may belong to the conversation, in a shape that is not known.
        forms: form of the conversation → rows.
        drops: reason → rows left out.
        details: reason → what was said of the first of them.
        labels: of pairs, how their labels are read, where it is more than their words; each begins with the name.
        notes: further sentences for people.
        odd: what may be wrong with a row that was read → rows.
        example: the first row as it is asked; with the answers, where there are.
    """

    name: str
    role: str = ""
    rows: int = 0
    kept: int = 0
    files: dict[str, None] = field(default_factory=dict)
    columns: Counter[str] = field(default_factory=Counter)
    used: dict[str, None] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    details: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    notes: dict[str, None] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)
    example: list[Message] = field(default_factory=list)

    def enter(self, file: str, data: Mapping[str, object]) -> None:
        """One more row."""
        self.rows += 1
        self.files[file] = None
        for column, value in data.items():
            self.columns[printable(str(column))] += not absent(value)

    def read(self, talk: Conversation, columns: Iterable[str] = (), answers: Iterable[Message] = ()) -> None:
        """What a row gave."""
        self.kept += 1
        self.forms[talk.form] += 1
        if talk.unread:
            self.unread.update(talk.unread)
        self.used |= dict.fromkeys(each for each in (*talk.columns, *columns) if each not in self.unread)
        answers = list(answers)
        turns = [*talk.messages, *answers]
        self.odd.update(_odd(talk.messages[-1]["content"], turns, [each["content"] for each in answers][:2]))
        self.example = self.example or turns

    def leave(self, drop: Drop) -> None:
        """A row that is left out."""
        self.drops[drop.reason] += 1
        self.details.setdefault(drop.reason, drop.detail)

    @property
    def unused(self) -> list[str]:
        """The columns that hold something and are not read; of a struct that is read, those of its fields."""
        skip = {*self.used, *self.unread, *(name.rpartition(".")[0] for name in self.used)}
        return [column for column, rows in self.columns.items() if rows and column not in skip]

    def complete(self, columns: Mapping[str, object]) -> None:
        """Look at it once all rows are in.

        Args:
            columns: key → the column that was named for it; an empty name takes none.

        Raises:
            UserError: no row was read, or none has a column, so that somebody named the wrong file or column.
        """
        if not self.rows:
            raise UserError(f"{self.name}: holds no rows; name another file, or take it out")
        for key, column in columns.items():
            if column and not {str(column), str(column).partition(".")[0]} & self.columns.keys():
                raise UserError(
                    f'{self.name}: no row has the column "{column}"; name one of: {names(self.columns)} (key `{key}`)'
                )
        if not self.kept and not self.drops.keys() & set(REPEATED):
            all_of_them = (
                f"none of its {self.rows} rows can be read" if self.rows > 1 else "its only row cannot be read"
            )
            reason = max(self.drops, key=self.drops.__getitem__)
            raise UserError(
                f"{self.name}: {all_of_them} ({_counts(self.drops)}); the first for {reason}: {self.details[reason]}"
            )

    def sentence(self) -> str:
        """In one line."""
        parts = [count(self.rows, "row"), *(f"{rows} as {form}" for form, rows in self.forms.most_common())]
        parts += [f"{rows} left out: {reason}" for reason, rows in self.drops.most_common()]
        return f"{Path(self.name).name}: " + "; ".join([", ".join(parts), *self._labels(), *self._loose(), *self.notes])

    def _labels(self) -> list[str]:
        return [each.removeprefix(f"{Path(self.name).name}: ") for each in self.labels]

    def _loose(self) -> list[str]:
        unread = [f"not used, as their shape is not known: {_counts(self.unread)}"] if self.unread else []
        odd = [f"{count(rows, 'row')} with {what}" for what, rows in self.odd.most_common()]
        return unread + odd + ([f"columns not used: {names(self.unused)}"] if self.unused else [])

    def lines(self) -> list[str]:
        """In full."""
        details = [f"  left out: {reason} {rows} ({self.details[reason]})" for reason, rows in self.drops.most_common()]
        files = [f"  files: {len(self.files)}, {next(iter(self.files))} …"] if len(self.files) > 1 else []
        return [
            f"{self.name} ({self.role}): {count(self.rows, 'row')}",
            *files,
            f"  columns: {names(self.columns) or 'none'}",
            f"  read as: {_counts(self.forms) or 'nothing'}",
            f"  columns read: {names(self.used) or 'none'}",
            *(f"  labels: {each}" for each in self._labels()),
            *details,
            *(f"  {each}" for each in self._loose()),
            *(f"  {each}" for each in self.notes),
            *self._example(),
        ]

    def _example(self) -> list[str]:
        if not self.example:
            return []
        turns = [f"    {each['role']}: " + turn_text(each).replace("\n", "\n      ") for each in self.example]
        return ["  the first row, as it is asked:", *turns]

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "name": self.name,
            "role": self.role,
            "files": list(self.files),
            "rows": self.rows,
            "kept": self.kept,
            "columns": list(self.columns),
            "columns_read": list(self.used),
            "columns_not_used": self.unused,
            "columns_not_understood": dict(self.unread),
            "forms": dict(self.forms),
            "left_out": dict(self.drops),
            "details": self.details,
            "labels": self._labels(),
            "notes": list(self.notes),
            "example": self.example,
        }


def _odd(question: str, turns: Iterable[Message], answers: Sequence[str]) -> Iterator[str]:
    """What may be wrong with a row: thinking in what is said, or a long question again in front of both answers."""
    if any("</think>" in each["content"] for each in turns):
        yield "thinking (<think>), which stays as text"
    if answers and len(question) >= LONG and all(each.startswith(question) for each in answers):
        yield "the question again at the beginning of both answers"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {rows}" for name, rows in counts.most_common())
