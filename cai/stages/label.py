"""Pair → preference, by the votes of judges under one principle drawn for the pair, or under all of them.

How judges compare is ``cai.judge.compare``'s; here is whom to ask, and under which principles.
"""

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from cai.flow.ask import Ask
from cai.judge.compare import compare
from cai.judge.methods import METHODS
from cai.judge.settings import Judging
from cai.store.rows import Drop, Pair, Preference
from constitution import draw
from constitution.model import Constitution, Principle


@dataclass(frozen=True, slots=True)
class Label(Judging):
    """The ``label`` block: how answers are compared, and

    Attributes:
        model: the judge, where no ``panel`` is named.
        choice: how the principle is chosen, see ``constitution.draw``.
    """

    model: str = ""
    choice: str = "uniform"

    @property
    def judges(self) -> tuple[str, ...]:
        """The roles that are asked; one without a name where no model is."""
        return tuple(self.panel) or (self.model,)


async def label(row: Pair, want: Label, ask: Ask, only: Collection[str] = ()) -> list[Preference] | Drop:
    """A pair's votes and the probability they give; for a group of answers, a preference for each of its pairs.

    Args:
        only: ids of the principles to judge under; all of the constitution's unless given.
    """
    principles = chosen(row, want, ask.constitution, ask.rng, only)
    if METHODS[want.method].needs and not principles:
        return Drop(row.id, "no_principle_applies")
    return await compare(row, principles, want, ask)


def chosen(
    row: Pair, want: Label, constitution: Constitution, rng: Random, only: Collection[str] = ()
) -> tuple[Principle, ...]:
    """The principles of a comparison; the first thing that a row draws from its generator."""
    method = METHODS[want.method]
    if not method.needs:
        return ()

    def fits(principle: Principle) -> bool:
        return method.judges_by(principle) and (not only or principle.id in only)

    return draw.for_judgment(constitution, row.about, want.choice, rng, fits)
