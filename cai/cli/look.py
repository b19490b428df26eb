"""``cai look``: what is understood of files of prompts or pairs, before a recipe names them."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

import yaml

from cai.data import prompts as prompt_files
from cai.data import records
from cai.data.account import Account
from cai.data.forms import has_pairs
from cai.data.labels import SAYS, conflicts
from cai.data.locations import WILD, Origin
from cai.data.notation import printable
from cai.data.prompt_source import PromptSource
from cai.data.questions import COMPANIONS
from cai.errors import UserError
from cai.flow.terminal import line
from cai.recipe.recipe import Recipe
from cai.stages import pairs as pair_files
from cai.stages.pairs import Pairs
from cai.store.rows import Drop, Prompt
from constitution.shipped import advice, find
from constitution.source import InputError, Keys
from constitution.visible import without_password

HUB, FETCHED = "hub:", 1000
"""How a dataset on the Hub is named, and how many of its rows are looked at unless told."""
FIRST = 1000
"""Rows by which it is told whether a file holds pairs or prompts."""
WORDS = {"scale": ("signed", "share"), "means": ("better", "worse")}
KEYS = ("prompt", "a", "b", "label", *COMPANIONS, *SAYS, *WORDS)
"""What may be said of the columns of pairs, and the words for it where not all are."""

_COLUMNS = re.compile(r"`columns: (\{[^`]*\})`")
_KEY = re.compile(r"\(key `(\w+)`(?:, such as `\w+: ([^`]+)`)?\)")
_ALONE = re.compile(r"`(column|first|second|tie|scale|means): ([^`]+)`")
_UNDER = re.compile(r"(name (?:one|other columns)) under `columns`")


@dataclass(frozen=True, slots=True)
class Look:
    """How files are looked at.

    Attributes:
        source: of prompts; its path and dataset are each file's.
        columns: of pairs, as in a recipe's block.
    """

    source: PromptSource
    columns: Mapping[str, object] = field(default_factory=dict)


def look_at(names: Sequence[str], want: Look, as_json: bool) -> None:
    """Print the account of each source.

    Raises:
        UserError: one cannot be read; what was understood of it is printed first.
    """
    accounts: list[Account] = []
    _fitting(want.columns)
    try:
        for name in names:
            _look(_source(name, want.source), want.columns, accounts)
    except UserError as error:
        raise UserError(as_options(str(error))) from None
    finally:
        if as_json:
            line(without_password(json.dumps([each.plain() for each in accounts], indent=2, ensure_ascii=True)))
        else:
            for each in lines(accounts):
                line(without_password(as_options(each)))


def as_options(text: str) -> str:
    """What a sentence says of a recipe's keys, as options of this command; the keys after them."""
    text = _COLUMNS.sub(lambda match: f"`{_options(yaml.safe_load(match[1]))}`, in a recipe {match[0]}", text)
    text = _KEY.sub(lambda match: f"({_option(match[1], match[2])}, in a recipe the key `{match[1]}`)", text)
    text = _ALONE.sub(lambda match: f"`{_options({match[1]: match[2]})}`", text)
    return _UNDER.sub(r"\1 with --columns WHAT=COLUMN, in a recipe under `columns`", text)


def _option(key: str, example: str | None) -> str:
    if key == "columns":
        return "--columns WHAT=COLUMN"
    return f"--{key} NAME" + (f", such as --{key} {shlex.quote(example)}" if example else "")


def _options(columns: Mapping[str, object]) -> str:
    """The options for what a recipe would have under ``columns``, or for a column."""
    pairs = [
        (key, str(each)) for key, value in columns.items() for each in (value if isinstance(value, list) else [value])
    ]
    return " ".join(
        shlex.join([f"--{key}", value] if key == "column" else ["--columns", f"{key}={value}"]) for key, value in pairs
    )


def _fitting(columns: Mapping[str, object]) -> None:
    """Refuse columns that no recipe could have.

    Raises:
        UserError: there is no such key, or what is said does not go together.
    """
    wrong = [f'there is no "{key}" among them: {", ".join(KEYS)}' for key in columns if key not in KEYS]
    wrong += [
        f'"{columns[key]}" is no {key}; say {" or ".join(words)}'
        for key, words in WORDS.items()
        if columns.get(key, words[0]) not in words
    ]
    for each in (*wrong, *conflicts(columns)):
        raise UserError(f"--columns: {each}")


def lines(accounts: Sequence[Account]) -> Iterator[str]:
    """Accounts for people; one that several recipes share stands once."""
    blocks = dict.fromkeys(tuple(each.lines()) for each in accounts)
    return (printable(line) for block in blocks for line in block)


def of_recipe(recipe: Recipe, accounts: list[Account], unread: list[tuple[Keys, str]]) -> dict[str, list[Prompt]]:
    """The prompts of a recipe, those of each stage once for each kind of prompt; what is on the Hub is not fetched.

    Args:
        accounts: gains what was understood of each source.
        unread: gains, of each step with a source that cannot be read or has to be asked about, where it stands and a sentence.
    """
    prompts: dict[str, list[Prompt]] = {}
    for block in recipe.blocks:
        try:
            if block.kind == "pairs" and not _on_hub(block.want, "pairs", accounts):
                _read_pairs(block.want, accounts)
            if block.kind == "prompts" and (rows := _kinds(block.want.sources, accounts)) is not None:
                prompts[block.name] = rows
        except InputError as error:
            unread.append((block.keys, str(error)))
    return prompts


def _kinds(sources: Mapping[str, Sequence[PromptSource]], accounts: list[Account]) -> list[Prompt] | None:
    """A prompt of each kind that there is in the sources; None where one is on the Hub.

    Raises:
        UserError: one cannot be read.
    """
    local = {
        track: [each for each in some if not _on_hub(each, f"prompts, {track}", accounts)]
        for track, some in sources.items()
    }
    kinds = {row.about: row for row in _prompts(local, accounts) if not isinstance(row, Drop)}
    return list(kinds.values()) if local == {track: list(some) for track, some in sources.items()} else None


def _prompts(sources: Mapping[str, Sequence[PromptSource]], accounts: list[Account]) -> Iterator[Prompt | Drop]:
    """The rows of prompts; the account of a source that cannot be read is of all that it holds."""
    try:
        yield from (row for row, _ in prompt_files.with_keys(sources, accounts=accounts))
    except UserError:
        account = accounts[-1]
        source = next(each for some in sources.values() for each in some if each.name == account.name)
        with suppress(UserError):
            for entry in () if source.hub else islice(records.entries(source), account.rows, source.limit):
                account.enter(entry.file, entry.data)
        raise


def _on_hub(origin: Origin, role: str, accounts: list[Account]) -> bool:
    """Whether a source would have to be fetched, which is said."""
    if origin.hub:
        note = f"on the Hub, and not fetched for a check; to see what is understood of it: cai look {HUB}{origin.hub}"
        accounts.append(Account(origin.hub, role, notes={note: None}))
    return bool(origin.hub)


def _source(name: str, source: PromptSource) -> PromptSource:
    if name.startswith(HUB):
        return replace(source, hub=name.removeprefix(HUB), limit=source.limit or FETCHED)
    path = find(name)
    if path is None and not WILD.search(name):
        raise UserError(f"{name}: there is no such file; {advice(name, 'check the path')}")
    return replace(source, path=str(path or name))


def _look(source: PromptSource, columns: Mapping[str, object], accounts: list[Account]) -> None:
    """As pairs where most rows have some, or their columns are has_column, and as prompts otherwise."""
    has_column = source.column != PromptSource().column
    if columns or (not has_column and _mostly_pairs(source)):
        origin = {key: getattr(source, key) for key in ("path", "hub", "split", "config", "limit")}
        beside = {key: column for key in COMPANIONS if (column := getattr(source, key)) is not None}
        _read_pairs(Pairs(**origin, columns={**beside, **columns}), accounts)
        return
    try:
        for _ in _prompts({"redteam": [source]}, accounts):
            pass
    finally:
        accounts[-1].role = "prompts"  # of which track they are is a recipe's to say


def _mostly_pairs(source: PromptSource) -> bool:
    """Whether of the first rows at least half are pairs: any one of them may be an odd one."""
    rows: list[bool] = []
    with suppress(UserError):  # what cannot be read is told with what was understood before it
        rows += (has_pairs(entry.data) for entry in islice(records.entries(source), FIRST))
    return any(rows) and 2 * sum(rows) >= len(rows)


def _read_pairs(want: Pairs, accounts: list[Account]) -> None:
    account = Account(want.path or want.hub, "pairs")
    accounts.append(account)
    for _ in pair_files.read(want, account):
        pass
