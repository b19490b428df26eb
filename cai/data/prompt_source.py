"""One source of prompts → its rows, each a prompt or the reason why not.

A row has ``prompt`` or ``messages``, or the column that its source names, and optionally ``id``, ``track``, ``category``,
``tags`` and ``language``. A prompt ends with the person's turn: answers after the last one are not asked.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice
from os.path import basename

from cai.data import notation, records
from cai.data.account import Account
from cai.data.conversations import ASSISTANT, USER, Conversation, Unusable
from cai.data.notation import names, printable
from cai.data.questions import COMPANIONS, MESSAGES, at, question, with_fields
from cai.data.records import Entry, Record
from cai.data.values import absent, blank, kind, word
from cai.errors import UserError
from cai.store.identity import content_id, content_key
from cai.store.ledger import ADDED
from cai.store.rows import Drop, Prompt
from constitution.tools import RESULT

TRACKS = ("redteam", "helpful")
ABOUT = ("id", "track", "category", "tags", "language")
"""What a row may say about its prompt, each in a column of that name."""
PROMPT = "prompt"
MISNAMED = ("no_prompt", "no_text", "no_roles", "no_pair", "no_answer", "empty_answer")
"""Reasons that a column of another name may be behind."""
LIKELY = (
    "prompt",
    "prompts",
    "question",
    "instruction",
    "query",
    "goal",
    "behavior",
    "text",
    "transcript",
    "input",
    "turns",
)
"""Names of columns that a sentence may propose, and that are never taken by themselves."""


@dataclass(frozen=True, slots=True)
class PromptSource:
    """Where prompts come from.

    Attributes:
        path: a file, a folder or a path with wildcards; or
        hub: a dataset on the Hub; of it, or of a folder, the split and the configuration.
        column: the column that holds the prompt, ``a.b`` for one in a struct.
        limit: rows to take from the front; None takes all.
        tags: for every prompt of the source, beside its own.
        language: of every prompt of the source that has none of its own, such as "en".
        id, track, system, context, tools: further columns, where their names do not tell (id, track, system or system_prompt,
            context, tools or functions); None goes by the name, and "" takes none. A track that is named must be one of ours in
            each row that has one.
    """

    path: str = ""
    hub: str = ""
    split: str = "train"
    config: str = ""
    column: str = PROMPT
    limit: int | None = None
    tags: tuple[str, ...] = ()
    language: str = ""
    id: str | None = field(default=None, metadata=ADDED)
    track: str | None = field(default=None, metadata=ADDED)
    system: str | None = field(default=None, metadata=ADDED)
    context: str | None = field(default=None, metadata=ADDED)
    tools: str | None = field(default=None, metadata=ADDED)

    @property
    def name(self) -> str:
        """The path or the dataset."""
        return self.path or self.hub


class Registry:
    """What was read before, of all sources: by it ids are unique in the run, and each prompt has one track.

    Attributes:
        keys: id → the key of its prompt.
        by_track: track → the keys of its prompts.
    """

    def __init__(self, by_track: dict[str, set[int]]) -> None:
        self.keys: dict[str, int] = {}
        self.by_track = by_track
        self.file, self.own = "", dict[str, int]()

    def admit(self, row: Prompt, file: str) -> tuple[Prompt, int]:
        """A prompt under an id that is unique in the run, with its key.

        Raises:
            Unusable: it was there before, or another of its file under its id.
        """
        key = content_key(row.messages)
        if (row_id := self._name(row.id, file, key)) != row.id:
            row = replace(row, id=row_id)
        for track in self.by_track.keys() - {row.track}:
            if key in self.by_track[track]:
                raise Unusable("duplicate", f"the same prompt is there on the track {track}")
        self.by_track.setdefault(row.track, set()).add(key)
        return row, key

    def _name(self, row_id: str, file: str, key: int) -> str:
        if file != self.file:
            self.file, self.own = file, {}
        if self.own.get(row_id, key) != key:
            raise Unusable("same_id", f"the id {row_id} was there before; name a column of ids that differ (key `id`)")
        if row_id in self.own or self.keys.get(row_id) == key:
            raise Unusable("duplicate", f"the id {row_id} was there before, for the same prompt")
        self.own[row_id] = key
        name = next(each for each in _names(row_id, _base(file)) if each not in self.keys)
        self.keys[name] = key
        return name


def _names(row_id: str, file: str) -> Iterator[str]:
    yield row_id
    yield f"{file}:{row_id}"
    yield from (f"{file}:{number}:{row_id}" for number in count(2))


def rows(source: PromptSource, track: str, registry: Registry, account: Account) -> Iterator[tuple[Prompt | Drop, int]]:
    """The rows of one source with their keys (``content_key``); 0 where a row is left out.

    Args:
        track: of rows that have none of their own.
        account: gains what was understood.

    Raises:
        UserError: see ``cai.data.prompts.read``.
    """
    foreign: Counter[str] = Counter()
    renames = {what: column for what in COMPANIONS if (column := getattr(source, what)) is not None}
    registry.file = ""  # the same file in another source may be read by another column
    for entry in islice(records.entries(source), source.limit):
        data = with_fields(entry.data, source.column)
        account.enter(entry.file, data)
        try:
            talk = _up_to_the_person(question(data, _column(source, data, entry), renames))
            row, key = registry.admit(_prompt(data, source, (track, entry.file), talk, (account, foreign)), entry.file)
        except Unusable as error:
            drop = drop_of(replace(entry, data=data), error, "column")
            account.leave(drop)
            yield drop, 0
            continue
        account.read(talk, [each for each in _columns(source).values() if each and at(data, each) is not None])
        yield row, key
    if foreign:
        _tell_of_tracks(source, foreign, account)
    account.complete({key: getattr(source, key) for key in ("id", "track", *COMPANIONS)})


def drop_of(entry: Entry, error: Unusable, key: str) -> Drop:
    """A row that gives nothing, by its place; where another column may be meant, with those that there are.

    Args:
        key: the one that names columns.
    """
    hint = (
        f"; columns: {names(entry.data)} (key `{key}`)" if error.reason in MISNAMED and "(key" not in str(error) else ""
    )
    return Drop(f"{_base(entry.file)}:{entry.number}", error.reason, printable(f"{entry.place}: {error}{hint}"))


def _column(source: PromptSource, data: Record, entry: Entry) -> str:
    """The column that holds the prompt.

    Raises:
        UserError: there is none, in a file whose rows are all alike.
        Unusable: there is none in this row.
    """
    usual = (source.column, *MESSAGES) if source.column == PROMPT else (source.column,)
    candidates = [each for each in usual if each in data]
    if candidates:
        return next((each for each in candidates if not absent(data[each])), candidates[0])
    likely = next((each for each in data if each.lower() in LIKELY), "")
    turns = data.get(likely)
    first = f"{likely}.0" if isinstance(turns, list) and turns and isinstance(turns[0], str) else likely
    hint = f", such as `column: {first}`" if likely else ""
    text = f'there is no column "{source.column}"; name one of: {names(data)} (key `column`{hint})'
    if entry.alike and source.column.partition(".")[0] not in data:
        raise UserError(f"{entry.file}: {text}")
    raise Unusable("no_prompt", text)


def _up_to_the_person(talk: Conversation) -> Conversation:
    """A conversation up to the last turn that is the person's or what a tool gave.

    Raises:
        Unusable: the person says nothing in it, or somebody else speaks last.
    """
    turns = talk.messages
    while turns and turns[-1]["role"] == ASSISTANT:
        turns = turns[:-1]
    if not turns or turns[-1]["role"] not in (USER, RESULT):
        raise Unusable("no_person_turn", "it does not end with a turn of the person's, nor with an answer to one")
    if len(turns) == len(talk.messages):
        return talk
    return replace(talk, form=f"{talk.form} (its last answer is not asked)", messages=turns)


def _prompt(
    data: Record,
    source: PromptSource,
    place: tuple[str, str],
    talk: Conversation,
    tallies: tuple[Account, Counter[str]],
) -> Prompt:
    """The prompt of a row, under the id that its file has for it.

    Args:
        place: the track of rows that have none of their own, and the file.
        tallies: gain what is not used: columns in a shape that is not known, and tracks that are none of ours.

    Raises:
        Unusable: what is said about it is no text.
    """
    account, foreign = tallies
    names = _columns(source)
    about = {what: _plain(data, column, account) for what, column in names.items() if what != "track"}
    row_id = word(about["id"], "the id") or content_id(talk.messages)
    own = at(data, names["track"]) if names["track"] else None
    if own not in TRACKS and not blank(own):
        foreign[own if isinstance(own, str) else kind(own)] += 1
    track = str(own) if own in TRACKS else place[0]
    tags = tuple(dict.fromkeys((*source.tags, *_tags(about["tags"]))))
    language = word(about["language"], "the language") or source.language
    return Prompt(
        row_id, talk.messages, _base(place[1]), track, word(about["category"], "the category"), tags, language
    )


def _base(file: str) -> str:
    """A file's own name, which may hold what is no text."""
    return printable(basename(file))


def _columns(source: PromptSource) -> dict[str, str]:
    """What is said about a prompt → the column that says it; empty where none is taken."""
    renames = {"id": source.id, "track": source.track}
    return {what: what if (column := renames.get(what)) is None else column for what in ABOUT}


def _plain(data: Record, column: str, account: Account) -> object:
    """A text, a number or a list of them; None where there is none, and where a column means something else, which is told."""
    value = at(data, column) if column else None
    if all(isinstance(each, str | int | float | None) for each in (value if isinstance(value, list) else [value])):
        return value
    account.unread[column] += 1
    return None


def _tags(value: object) -> list[str]:
    """A list of tags, also in its notation, or one tag as plain text."""
    items = notation.texts(value) if isinstance(value, str) and notation.is_texts(value) else value
    items = items if isinstance(items, list) else [items]
    return [tag for each in items if (tag := word(each, "a tag"))]


def _tell_of_tracks(source: PromptSource, foreign: Counter[str], account: Account) -> None:
    """A column of tracks that holds other words was meant for something else, unless it is named.

    Raises:
        UserError: it is named.
    """
    values = names(each for each, _ in foreign.most_common())
    if source.track:
        raise UserError(
            f'{source.name}: the column "{source.track}" holds {values}; tracks are {" and ".join(TRACKS)}: write those, or take '
            "the key `track` out"
        )
    account.notes[f"the column track holds other words than {' and '.join(TRACKS)} ({values}), which are not used"] = (
        None
    )
