"""A row's question with what stands beside it and belongs to it: one conversation of several columns.

- ``system`` or ``system_prompt``: the system message.
- ``history``: the turns before the question, in any form of a conversation or as pairs of what was asked and answered.
- ``input`` beside an ``instruction`` follows it; ``context`` comes before the question.

A column may stand inside a struct or a list, ``a.b`` or ``turns.0``; what stands beside it there belongs to it. A column that
may belong to the question in a shape that is not known is told, never read by half.
"""

from collections.abc import Mapping

from cai.data.conversations import (
    ASSISTANT,
    SYSTEM,
    USER,
    Conversation,
    Unusable,
    blank,
    read,
    text,
    without_media,
)
from cai.store.rows import Message

SYSTEMS = ("system", "system_prompt")
INPUTS = ("input", "instances.0.input")
CONTEXTS = ("context", "ContextString")
HISTORY = "history"
ASKED, ANSWERED = ("user", "human", "question", "prompt"), ("assistant", "gpt", "answer", "response")
"""Keys of a pair of what was asked and answered, where it is an object."""


def asked(data: Mapping[str, object], column: str, system: str | None = None) -> Conversation:
    """The question in a column, with what belongs to it; data is as ``opened`` gives it.

    Args:
        system: the column of the system message; by its name where None, and none where empty.

    Raises:
        Unusable: it is no conversation, or would not be whole.
    """
    if blank(data.get(column)):
        raise Unusable("no_prompt", "it is empty")
    without_media({key: value for key, value in data.items() if key != column})
    question = _Question(data, column, read(data[column]))
    question.add_texts()
    question.add_history()
    question.add_system(system)
    return Conversation(
        " + ".join(question.forms), tuple(question.turns), tuple(question.columns), tuple(question.unread)
    )


def with_system(data: Mapping[str, object], talk: Conversation, system: str | None = None) -> Conversation:
    """A conversation that is whole but for its system message; otherwise as ``asked``."""
    without_media(data)
    question = _Question(data, "", talk)
    question.add_system(system)
    forms, columns = " + ".join(question.forms), (*talk.columns, *question.columns[1:])
    return Conversation(forms, tuple(question.turns), columns, tuple(question.unread))


def opened(data: Mapping[str, object], column: str) -> Mapping[str, object]:
    """A row with the fields of the struct, or list, that holds a column ``a.b`` beside its columns, under their whole names."""
    if column in data or "." not in column:
        return data
    *parents, _ = column.split(".")
    value: object = data
    for name in parents:
        value = field(value, name)
    fields = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = {".".join((*parents, str(name))): each for name, each in fields}
    return {**data, **inner}


def field(value: object, name: str) -> object:
    """A field of an object, or an item of a list by its number; None where there is none."""
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        return value[int(name)]
    return None


def at(data: Mapping[str, object], path: str) -> object:
    """The value of a column, or at a path ``a.b``; None where there is none."""
    if path in data or "." not in path:
        return data.get(path)
    value: object = data
    for name in path.split("."):
        value = field(value, name)
    return value


class _Question:
    """A question while it is put together."""

    def __init__(self, data: Mapping[str, object], column: str, alone: Conversation) -> None:
        self.data, self.column = data, column
        self.turns: list[Message] = list(alone.messages)
        self.forms, self.columns = [alone.form], [column]
        self.unread: list[str] = []

    def beside(self, name: str) -> str:
        """A column that stands where the question's does."""
        return f"{self.column.rpartition('.')[0]}.{name}".lstrip(".")

    @property
    def single(self) -> bool:
        """Whether it is one turn of the person's, which others can belong to."""
        return [each["role"] for each in self.turns] == [USER]

    def add_texts(self) -> None:
        """Its context before it; its input after it, which is an instruction's alone."""
        names = [(name, "context") for name in CONTEXTS]
        if self.column.rpartition(".")[2] == "instruction":
            names += [(name, "input") for name in INPUTS]
        for name, form in names:
            column = self.beside(name)
            value = at(self.data, column)
            if blank(value) or column == self.column or (form == "context" and self._add_turns(column, value, form)):
                continue
            if not isinstance(value, str) or not self.single:
                self.unread.append(column)
                continue
            parts = (self.turns[0]["content"], text(value).strip())
            self.turns = [{"role": USER, "content": "\n\n".join(parts if form == "input" else parts[::-1])}]
            self._add(column, form)

    def add_history(self) -> None:
        """The turns before it."""
        column = self.beside(HISTORY)
        value = self.data.get(column)
        if not blank(value) and column != self.column and not self._add_turns(column, value, HISTORY):
            self.unread.append(column)

    def _add_turns(self, column: str, value: object, form: str) -> bool:
        """Put a conversation before the question; whether it is one."""
        before = _exchanges(value) or _turns(value)
        if before and self.single:
            self.turns = [*before, *self.turns]
            self._add(column, form)
        return bool(before) and column in self.columns

    def add_system(self, column: str | None) -> None:
        """The system message.

        Raises:
            Unusable: the column that was named holds none, or the conversation has another.
        """
        for each in (column,) if column is not None else map(self.beside, SYSTEMS):
            value = at(self.data, each) if each else None
            if blank(value) or each == self.column:
                continue
            if not isinstance(value, str) and column is None:
                self.unread.append(each)
                continue
            words = text(value).strip()
            if self.turns[0]["role"] != SYSTEM:
                self.turns.insert(0, {"role": SYSTEM, "content": words})
            elif self.turns[0]["content"].strip() != words:
                raise Unusable("two_systems", f"it has a system message, and the column {each} has another")
            self._add(each, SYSTEM)

    def _add(self, column: str, form: str) -> None:
        self.columns.append(column)
        self.forms.append(form)


def _exchanges(value: object) -> list[Message]:
    """Pairs of what was asked and answered, as turns; none where it is something else."""
    pairs = [_exchange(each) for each in value] if isinstance(value, list) else []
    texts = [each for pair in pairs for each in pair]
    if not all(pairs) or any(not isinstance(each, str | None) for each in texts):
        return []
    if any(map(blank, texts)):
        raise Unusable("empty_turn", f"one of the turns in {HISTORY} is empty")
    return [{"role": (USER, ASSISTANT)[place % 2], "content": text(each)} for place, each in enumerate(texts)]


def _exchange(value: object) -> list[object]:
    """What was asked and what was answered; empty where it is something else."""
    if isinstance(value, dict):
        value = [value[key] for names in (ASKED, ANSWERED) for key in names if key in value] if len(value) == 2 else []
    return value if isinstance(value, list) and len(value) == 2 else []


def _turns(value: object) -> list[Message]:
    """The turns of a conversation; none where a value is none, or is but a text."""
    try:
        known = read(value)
    except Unusable as error:
        if error.reason in ("no_text", "no_roles") and not isinstance(value, str):
            return []
        raise
    return [] if known.form == "text" else list(known.messages)
