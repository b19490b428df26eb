"""What parts cost before they were reopened (``cai.store.reopen``), which their ledgers have beside what they cost since."""

from pathlib import Path
from typing import Annotated

from cai.store.files import damaged, read_form
from cai.store.form import Amount, Length
from cai.store.ledger import Tally

EARLIER = "earlier.json"
"""The file, in a stage's folder."""


def read(folder: Path) -> dict[int, list[float]]:
    """Part number → tokens in, cached, out, seconds.

    Raises:
        Damage: the file says something else.
    """
    spent: dict[str, list[float]] = read_form(folder / EARLIER, dict[str, Annotated[list[Amount], Length(4)]]) or {}
    if not all(each.isascii() and each.isdecimal() for each in spent):
        raise damaged(folder / EARLIER, "its keys are not the numbers of parts")
    return {int(number): costs for number, costs in spent.items()}


def added(folder: Path, number: int, tally: Tally) -> Tally:
    """A part's ledger with what it cost before."""
    if spent := read(folder).get(number):
        tally.spend([int(count) for count in spent[:3]])
        tally.seconds += spent[3]
    return tally
