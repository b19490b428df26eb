"""How far a share moved between two ways of asking the same prompts, with an interval for paired shares.

Both shares are of the same prompts, so only prompts count that moved (Bonett and Price 2012): that prompts differ widens neither
share against the other.
"""

from collections.abc import Sequence
from typing import Annotated, TypedDict

from cai.judge.measures import changed
from cai.store.form import Between, Count, Share

Change = Annotated[float, Between(-1, 1)]


class Move(TypedDict):
    """A share, and how far it is from what it was.

    Attributes:
        value, plain: the share now, and before; None where nothing was counted.
        change: value − plain.
        low, high: its 95% interval; None of too few prompts, see ``cai.judge.measures.changed``.
        prompts: those counted in both.
    """

    value: Share | None
    plain: Share | None
    change: Change | None
    low: Change | None
    high: Change | None
    prompts: Count


def move(pairs: Sequence[tuple[bool, bool]]) -> Move:
    """How far a share moved.

    Args:
        pairs: of each prompt, whether it counted before and whether it does now.
    """
    if not pairs:
        return {"value": None, "plain": None, "change": None, "low": None, "high": None, "prompts": 0}
    low, high = changed([now - before for before, now in pairs])
    plain, value = (sum(each[place] for each in pairs) / len(pairs) for place in (0, 1))
    return {"value": value, "plain": plain, "change": value - plain, "low": low, "high": high, "prompts": len(pairs)}
