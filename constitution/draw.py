"""The seeded choice of principles for a row.

Bai et al. 2022, section 3.1: one principle is drawn at every step, uniformly, independently, with replacement; section
4.1 draws one for each comparison ("ensembling" over principles is across comparisons, not within one). The other ways
are ours:

- ``weighted``: as uniform, in proportion to the principles' weights
- ``distinct``: as uniform, without replacement within a chain; once all were drawn, all are there again
- ``by_tag``: as uniform, among the principles that share a tag with the prompt, or among all where none does
- ``all``: every principle once, in the constitution's order

A draw is a race: each principle gets a waiting time from its own hash of the row's random number, and the first one wins
(exponential waiting times win in proportion to their rates). So a principle that is added, removed or reweighted changes
the draws it wins or loses, and no others: a changed constitution leaves most rows of a run as they were. Under
``distinct`` it changes the later draws of the chains it enters, too.
"""

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random

from constitution.model import About, Constitution, Principle

CHOICES = ("uniform", "weighted", "distinct", "by_tag", "all")


def puts_question(principle: Principle) -> bool:
    """Whether two answers can be compared under a principle: not one that serves critique only."""
    return bool(principle.judgment)


def for_revision(
    constitution: Constitution,
    about: About,
    choice: str,
    rounds: int,
    rng: Random,
    fits: Callable[[Principle], bool] = lambda principle: True,
) -> tuple[Principle, ...]:
    """The principle of each round of a chain; empty where none applies to the prompt.

    Args:
        choice: one of ``CHOICES``; "all" gives a round for each principle, whatever ``rounds`` says.
        rng: the row's own; one number is drawn from it for each round.
        fits: which principles can be revised under; all unless told.
    """
    pool = _pool([each for each in constitution.principles if fits(each)], about)
    if choice == "all" or not pool:
        return pool
    draws: list[Principle] = []
    for _ in range(rounds):
        rest = pool[:] if choice != "distinct" else _rest(pool, draws)
        draws.append(_draw(rest, about, choice, rng))
    return tuple(draws)


def for_judgment(
    constitution: Constitution,
    about: About,
    choice: str,
    rng: Random,
    fits: Callable[[Principle], bool] = puts_question,
) -> tuple[Principle, ...]:
    """The principles of one comparison: one, or with "all" every one.

    Args:
        fits: which principles can be judged by; those with a judgment question unless told.

    Returns:
        nothing where no such principle applies to the prompt.
    """
    pool = _pool([each for each in constitution.principles if fits(each)], about)
    return pool if choice == "all" or not pool else (_draw(pool, about, choice, rng),)


def _pool(principles: Sequence[Principle], about: About) -> tuple[Principle, ...]:
    return tuple(principle for principle in principles if principle.applies_to.covers(about))


def _rest(pool: Sequence[Principle], draws: Sequence[Principle]) -> Sequence[Principle]:
    """Those not drawn yet in this pass through all of them."""
    lap = draws[len(draws) - len(draws) % len(pool) :]
    return [principle for principle in pool if principle not in lap]


def _draw(pool: Sequence[Principle], about: About, choice: str, rng: Random) -> Principle:
    number = rng.getrandbits(64).to_bytes(8, "big")
    if choice == "by_tag":
        pool = [each for each in pool if not set(each.tags).isdisjoint(about.tags)] or pool
    hashes = _hashes(number, pool)
    if choice != "weighted":  # the largest hash has the shortest wait
        return pool[hashes.index(max(hashes))]
    times = [_wait(each) / principle.weight for each, principle in zip(hashes, pool, strict=True)]
    return pool[times.index(min(times))]


def _hashes(number: bytes, pool: Sequence[Principle]) -> list[bytes]:
    """The hash of each principle's id under the number."""
    start, hashes = blake2b(key=number, digest_size=8), list[bytes]()
    for principle in pool:
        copy = start.copy()  # the key is taken in once
        copy.update(principle.id.encode())
        hashes.append(copy.digest())
    return hashes


def _wait(digest: bytes) -> float:
    """An exponential waiting time of rate 1, fixed by the hash."""
    return -math.log((int.from_bytes(digest, "big") + 0.5) / 2**64)
