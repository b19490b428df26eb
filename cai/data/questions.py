"""A row's question with what stands beside it and belongs to it: one conversation of several columns.

- ``system`` or ``system_prompt``: the system message; beside a ``prompt`` also that of ``messages`` that begin with it.
- ``history``: the turns before the question, in any form of a conversation or as pairs of what was asked and answered.
- ``input`` beside an ``instruction`` follows it; ``context`` comes before the question.

A column may stand inside a struct or a list, ``a.b`` or ``turns.0``; what stands beside it there belongs to it. A column that
may belong to the question in a shape that is not known is told, never read by half. A text beside whose ``role`` somebody else
speaks, or that replies to another row, is no question.
"""

from collections.abc import Iterator, Mapping

from cai.data.calls import definitions
from cai.data.conversations import ROLES, SYSTEM, TOOLS, USER, Conversation, Unusable, exchanges, read
from cai.data.media import check
from cai.data.values import absent, text
from cai.store.rows import Message

SYSTEMS = ("system", "system_prompt")
INPUTS = ("input", "instances.0.input")
CONTEXTS = ("context", "ContextString")
HISTORY = "history"
TOOLS_BESIDE = ("tools", "functions")
"""Columns that hold the definitions of tools."""
MESSAGES = ("messages", "conversations", "conversation")
"""Columns that hold whole conversations."""
COMPANIONS = ("system", "context", "tools")
"""What stands beside a question that may be in a column of another name, or in none."""


def question(data: Mapping[str, object], column: str, renames: Mapping[str, object] | None = None) -> Conversation:
    """The question in a column, with what belongs to it; data is as ``with_fields`` gives it.

    Args:
        renames: the columns of COMPANIONS; by their names where it has none, and none at all where one is empty.

    Raises:
        Unusable: it is no conversation, or would not be whole.
    """
    if absent(data.get(column)):
        raise Unusable("no_prompt", "it is empty")
    check({key: value for key, value in data.items() if key != column})
    builder = _Question(data, column, read(data[column]), renames)
    builder.check_speaker()
    builder.add_texts()
    builder.add_history()
    builder.add_system()
    builder.add_tools()
    return builder.whole((column,))


def with_system(
    data: Mapping[str, object], talk: Conversation, renames: Mapping[str, object] | None = None
) -> Conversation:
    """A conversation that is whole but for its system message; otherwise as ``question``."""
    check(data)
    builder = _Question(data, "", talk, renames)
    builder.add_system()
    builder.add_tools()
    return builder.whole(talk.columns)


def with_fields(data: Mapping[str, object], column: str) -> Mapping[str, object]:
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

    def __init__(
        self, data: Mapping[str, object], column: str, alone: Conversation, renames: Mapping[str, object] | None
    ) -> None:
        self.data, self.column, self.renames = data, column, renames or {}
        self.turns: list[Message] = list(alone.messages)
        self.forms, self.columns = [alone.form], list[str]()
        self.unread: list[str] = []

    def whole(self, columns: tuple[str, ...]) -> Conversation:
        """The conversation; ``columns`` are those of the question itself."""
        return Conversation(" + ".join(self.forms), tuple(self.turns), (*columns, *self.columns), tuple(self.unread))

    def beside(self, name: str) -> str:
        """A column that stands where the question's does, also with a capital letter."""
        place = self.column.rpartition(".")[0]
        path, capital = (f"{place}.{each}".lstrip(".") for each in (name, name.capitalize()))
        return capital if capital in self.data and path not in self.data else path

    def places(self, what: str, usual: tuple[str, ...]) -> Iterator[tuple[str, object]]:
        """The columns of one kind that hold something, where the question's own is none of them."""
        rename = self.renames.get(what)
        for column in map(self.beside, usual) if rename is None else [str(rename)]:
            value = at(self.data, column) if column else None
            if not absent(value) and column != self.column:
                yield column, value

    @property
    def single(self) -> bool:
        """Whether it is one turn of the person's, which others can belong to."""
        return [each["role"] for each in self.turns] == [USER]

    def check_speaker(self) -> None:
        """Refuse a text that is another's, or that is not whole without another row.

        Raises:
            Unusable: it is.
        """
        role = self.data.get(self.beside("role")) or self.data.get(self.beside("from"))
        name = role.strip().lower() if self.forms == ["text"] and isinstance(role, str) else ""
        if ROLES.get(name, USER) != USER or name in TOOLS:
            raise Unusable("no_person_turn", f"who says it is {name}, and not the person")
        if name in ROLES and not absent(self.data.get(self.beside("parent_id"))):
            raise Unusable("no_thread", "it replies to another row (parent_id), without which it is not whole")

    def add_texts(self) -> None:
        """Its context before it; its input after it, which is an instruction's alone."""
        for column, value in self.places("context", CONTEXTS):
            if not self._add_turns(column, value, "context"):
                self._add_text(column, value, "context")
        if self.column.rpartition(".")[2].lower() == "instruction":
            for column, value in self.places("input", INPUTS):
                self._add_text(column, value, "input")

    def _add_text(self, column: str, value: object, form: str) -> None:
        if not isinstance(value, str) or not self.single:
            self.unread.append(column)
            return
        parts = (self.turns[0]["content"], text(value).strip())
        self.turns = [{"role": USER, "content": "\n\n".join(parts if form == "input" else parts[::-1])}]
        self._add(column, form)

    def add_history(self) -> None:
        """The turns before it."""
        for column, value in self.places(HISTORY, (HISTORY,)):
            if not self._add_turns(column, value, HISTORY):
                self.unread.append(column)

    def _add_turns(self, column: str, value: object, form: str) -> bool:
        """Put a conversation before the question, which may be its last turn already; whether it is one."""
        before = _exchanges(value) or _turns(value)
        if before and self.single:
            self.turns = [*(before[:-1] if before[-1] == self.turns[0] else before), *self.turns]
            self._add(column, form)
        return bool(before) and column in self.columns

    def add_system(self) -> None:
        """The system message.

        Raises:
            Unusable: the column that was named holds none, or the conversation has another.
        """
        for column, value in self.places("system", SYSTEMS):
            if words := _system(value):
                self._put_system(column, words)
            elif "system" in self.renames:
                raise Unusable("no_text", f"the system message, in the column {column}, is no text")
            else:
                self.unread.append(column)
        if "system" not in self.renames and self.turns[0]["role"] == USER and self.column:
            self._add_system_of_messages()

    def _add_system_of_messages(self) -> None:
        """That of a conversation which begins with this question: the column prompt is often its first turn again."""
        for column, value in self.places("messages", MESSAGES):
            system, question = _begin(value)
            if system and question.strip() == self.turns[0]["content"]:
                self._put_system(column, system)

    def _put_system(self, column: str, words: str) -> None:
        if self.turns[0]["role"] != SYSTEM:
            self.turns.insert(0, {"role": SYSTEM, "content": words})
        elif self.turns[0]["content"].strip() != words:
            raise Unusable("two_systems", f"it has a system message, and the column {column} has another")
        self._add(column, SYSTEM)

    def add_tools(self) -> None:
        """The tools that could be called, before all that is said.

        Raises:
            Unusable: they cannot be read.
        """
        for column, value in self.places("tools", TOOLS_BESIDE):
            try:
                self.turns.insert(0, definitions(value))
            except Unusable as error:
                raise Unusable(
                    error.reason,
                    f"{error}; where {column} holds something else, name another column, or none (key `tools`)",
                ) from None
            self._add(column, "tools")
            return

    def _add(self, column: str, form: str) -> None:
        self.columns.append(column)
        self.forms.append(form)


def _begin(value: object) -> tuple[str, str]:
    """The system message and the first question of messages; empty where they do not begin with them."""
    try:
        talk = read(value[:2] if isinstance(value, list) else "").messages
    except Unusable:
        return "", ""
    return (talk[0]["content"], talk[1]["content"]) if [each["role"] for each in talk] == [SYSTEM, USER] else ("", "")


def _system(value: object) -> str:
    """A system message: a text, parts of one, or one message; empty where it is something else."""
    if isinstance(value, str):
        return text(value).strip()
    try:
        [alone] = read(value).messages
    except ValueError:
        return ""
    return alone["content"].strip()


def _exchanges(value: object) -> list[Message]:
    """Pairs of what was asked and answered before, as turns; none where it is something else.

    Raises:
        Unusable: one of the turns is empty.
    """
    turns = exchanges(value)
    if not all(each["content"].strip() for each in turns):
        raise Unusable("empty_turn", f"one of the turns in {HISTORY} is empty")
    return turns


def _turns(value: object) -> list[Message]:
    """The turns of a conversation; none where a value is none, or is but a text."""
    try:
        talk = read(value)
    except Unusable as error:
        if error.reason in ("no_text", "no_roles") and not isinstance(value, str):
            return []
        raise
    return [] if talk.form == "text" else list(talk.messages)
