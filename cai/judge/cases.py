"""The cases of an exam in values: two answers to one prompt of which one is better, by a wide margin.

After value alignment verification (Brown, Schneider, Dragan and Niekum 2021), whose tests for agents that can only be watched
ask in *critical states*, where the best choice is better than the next by more than a threshold. A constitution's examples are
such by their author's word; a pair is where its votes leave no doubt: far from even, the same in both orders, and by several
voices. A voice is a judge under one principle, or a person.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cai.errors import UserError
from cai.judge.methods.votes import ALONE
from cai.store.form import Count, Share
from cai.store.rows import Draft, Drop, Message, Preference
from cai.store.votes import Vote
from constitution.model import Constitution, Principle
from constitution.source import nearest

EXAMPLE, PAIR = "example", "pair"
BOTH = {"ab", "ba"}


@dataclass(frozen=True, slots=True)
class Case:
    """A choice that is clear.

    Attributes:
        id: ``principle/number`` of an example, or the pair's.
        margin: P(better) − P(worse); 1 for an example.
        voices: how many say so; one for an example, whose author does.
        origin: "example" or "pair".
        principles: the ids of those under which it is clear; none where no principle was shown.
    """

    id: str
    messages: tuple[Message, ...]
    better: str
    worse: str
    margin: Share
    voices: Count
    origin: str
    principles: tuple[str, ...] = ()
    track: str = ""
    tags: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Clarity:
    """From where on the choice between the two answers of a pair is clear.

    Attributes:
        margin: the least difference of their probabilities; 0.6 is 80 to 20.
        voices: the least number of those that say the same.
    """

    margin: float = 0.6
    voices: int = 2


def examples(constitution: Constitution, only: Sequence[str] = ()) -> list[Case]:
    """The constitution's examples as cases.

    Args:
        only: the ids of the principles whose examples are taken; all of them where empty.

    Raises:
        UserError: an id is no principle's.
    """
    for id in only:
        if id not in constitution.by_id:
            raise UserError(f'--principle: there is no principle "{id}"; {nearest(id, list(constitution.by_id))}')
    chosen = [each for each in constitution.principles if not only or each.id in only]
    return [case for principle in chosen for case in _examples_of(principle)]


def _examples_of(principle: Principle) -> Iterator[Case]:
    for number, example in enumerate(principle.examples, 1):
        messages = ({"role": "user", "content": example.prompt},)
        yield Case(
            f"{principle.id}/{number}", messages, example.better, example.worse, 1.0, 1, EXAMPLE, (principle.id,)
        )


def clear(rows: Iterable[Preference], want: Clarity, most: int | None = None) -> tuple[list[Case], list[Drop]]:
    """The pairs whose choice is clear, by their margins from the widest on, and the others with their reasons.

    Args:
        most: so many of them at the most.
    """
    cases, drops = dict[str, Case](), list[Drop]()
    for row in rows:
        if reason := "same_pair" if row.id in cases else doubt(row, want):
            drops.append(Drop(row.id, reason))
        else:
            cases[row.id] = _case(row)
    ranked = sorted(cases.values(), key=lambda case: (-case.margin, -case.voices, case.id))
    surplus = ranked[most:] if most is not None else []
    return ranked[:most], [*drops, *(Drop(case.id, "beyond_the_number_wanted") for case in surplus)]


def doubt(row: Preference, want: Clarity) -> str:
    """Why the choice of a pair is not clear; empty where it is."""
    p, voices = row.confidence, _voices(row)
    if row.status != "ok" or p is None:
        return "undecided"
    if any(not _words(draft) for draft in (row.pair.a, row.pair.b)) or _words(row.pair.a) == _words(row.pair.b):
        return "no_two_answers"
    if any(share is None for voice in voices for share in voice):
        return "votes_unread"
    if any((share or 0.0) == 0.5 or ((share or 0.0) > 0.5) != (p > 0.5) for voice in voices for share in voice):
        return "votes_differ"
    if any(not _is_whole(votes) for votes in _by_voice(row.votes).values()):
        return "one_order_alone"
    if abs(2 * p - 1) < want.margin:
        return "narrow_margin"
    return "few_voices" if len(voices) < want.voices else ""


def _words(draft: Draft) -> str:
    return draft.text.strip()


def _voices(row: Preference) -> list[list[float | None]]:
    """What each voice says of the first answer, once or in each order."""
    if row.pair.people and all(vote.method == "people" for vote in row.votes):
        return [[share] for share in row.pair.people]
    return [[vote.p_a for vote in votes] for votes in _by_voice(row.votes).values()]


def _by_voice(votes: Iterable[Vote]) -> dict[tuple[str, str], list[Vote]]:
    voices: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        voices.setdefault((vote.model, vote.principle), []).append(vote)
    return voices


def _is_whole(votes: Sequence[Vote]) -> bool:
    """Whether a judge was asked in both orders, where there are such."""
    orders = {vote.order for vote in votes}
    return orders >= BOTH or orders == {ALONE}


def _case(row: Preference) -> Case:
    pair, p = row.pair, row.confidence
    assert p is not None  # it is clear
    better, worse = (pair.a, pair.b) if p > 0.5 else (pair.b, pair.a)
    under = tuple(dict.fromkeys(vote.principle for vote in row.votes if vote.principle))
    return Case(
        *(row.id, pair.messages, better.text, worse.text, abs(2 * p - 1), len(_voices(row)), PAIR, under),
        *(pair.track, pair.tags, pair.language),
    )
