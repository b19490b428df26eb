"""``cai look``: what is understood of files of prompts or pairs, before a recipe names them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from cai.data import prompts as prompt_files
from cai.data import records
from cai.data.account import Account
from cai.data.comparisons import form
from cai.data.locations import WILD, Origin
from cai.data.notation import printable
from cai.data.prompt_source import PromptSource
from cai.errors import UserError
from cai.recipe.recipe import Recipe
from cai.stages import pairs as pair_files
from cai.stages.pairs import Pairs
from cai.store.rows import Drop, Prompt
from constitution.shipped import advice, find

HUB, FETCHED = "hub:", 1000
"""How a dataset on the Hub is named, and how many of its rows are looked at unless told."""


@dataclass(frozen=True, slots=True)
class Look:
    """How files are looked at.

    Attributes:
        source: of prompts; its path and dataset are each file's.
        columns: of pairs, what is what → column.
    """

    source: PromptSource
    columns: Mapping[str, str] = field(default_factory=dict)


def look_at(names: Sequence[str], want: Look, as_json: bool) -> None:
    """Print the account of each source.

    Raises:
        UserError: one cannot be read; what was understood of it is printed first.
    """
    accounts: list[Account] = []
    try:
        for name in names:
            _look(_source(name, want.source), want.columns, accounts)
    finally:
        if as_json:
            print(json.dumps([each.plain() for each in accounts], indent=2, ensure_ascii=True))
        else:
            for line in lines(accounts):
                print(line)


def lines(accounts: Sequence[Account]) -> Iterator[str]:
    """Accounts for people; one that several recipes share stands once."""
    blocks = dict.fromkeys(tuple(each.lines()) for each in accounts)
    return (printable(line) for block in blocks for line in block)


def of_recipe(recipe: Recipe, accounts: list[Account]) -> dict[str, list[Prompt]]:
    """The prompts of a recipe, those of each stage once for each kind of prompt; what is on the Hub is not fetched.

    Args:
        accounts: gains what was understood of each source.

    Raises:
        UserError: one cannot be read.
    """
    prompts: dict[str, list[Prompt]] = {}
    for block in recipe.blocks:
        if block.kind == "pairs" and not _on_hub(block.want, "pairs", accounts):
            _read_pairs(block.want, accounts)
        if block.kind == "prompts":
            here = {
                track: [each for each in some if not _on_hub(each, f"prompts, {track}", accounts)]
                for track, some in block.want.sources.items()
            }
            read = (row for row, _ in prompt_files.keyed(here, accounts=accounts))
            kinds = {row.about: row for row in read if not isinstance(row, Drop)}
            if here == {track: list(some) for track, some in block.want.sources.items()}:
                prompts[block.name] = list(kinds.values())
    return prompts


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


def _look(source: PromptSource, columns: Mapping[str, str], accounts: list[Account]) -> None:
    """As pairs where the first row has some, or their columns are named, and as prompts otherwise."""
    first = next((entry.data for entry in islice(records.entries(source), 1)), {})
    named = source.column != PromptSource().column
    if columns or (not named and form(first, {}) is not None):
        origin = {key: getattr(source, key) for key in ("path", "hub", "split", "config", "limit")}
        _read_pairs(Pairs(**origin, columns=columns), accounts)
        return
    for _ in prompt_files.keyed({"redteam": [source]}, accounts=accounts):
        pass


def _read_pairs(want: Pairs, accounts: list[Account]) -> None:
    account = Account(want.path or want.hub, "pairs")
    accounts.append(account)
    for _ in pair_files.read(want, account):
        pass
