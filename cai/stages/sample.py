"""Prompt → pairs of answers from one model (Bai et al. 2022, section 4.1: two samples to each red-team prompt).

With ``group: 4``, four answers go together, for a judge that ranks them at once. With ``turns: 3``, a model plays the person
and the conversation goes on, see ``cai.stages.dialogue``: pairs of each of the assistant's turns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from cai.data.endings import unusable
from cai.flow.ask import Ask
from cai.models.types import Request
from cai.stages.dialogue import next_turn, standing
from cai.store.ledger import ADDED
from cai.store.rows import Draft, Drop, Message, Pair, Prompt
from constitution.ask import answer


@dataclass(frozen=True, slots=True)
class Sample:
    """The ``sample`` block.

    Attributes:
        n: answers to each prompt, a multiple of ``group``.
        tracks: which prompts are answered.
        group: how many of them go together.
        turns: of the assistant's that are sampled; beyond the first, the conversation goes on with its first whole answer.
        user: the role that plays the person then.
        person: what that role is told, instead of words of ours.
    """

    model: str
    n: int = 2
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    tracks: tuple[str, ...] = ("redteam",)
    group: int = 2
    turns: int = field(default=1, metadata=ADDED)
    user: str = field(default="", metadata=ADDED)
    person: str = field(default="", metadata=ADDED)


async def sample(row: Prompt, want: Sample, ask: Ask) -> list[Pair] | Drop:
    """Two answers make a pair, or more a group; equal and empty answers say nothing and are left out."""
    if row.track not in want.tracks:
        return Drop(row.id, "other_track")
    messages, pairs, reasons = row.messages, list[Pair](), list[str]()
    for turn in range(want.turns):
        drafts = await _drafts(messages, want, ask)
        pairs += _pairs(replace(row, messages=messages), drafts, want, turn)
        reasons += [reason for draft in drafts if not draft.text and (reason := unusable(draft.finish))]
        if turn + 1 == want.turns:
            break
        if (longer := await next_turn(messages, standing(drafts), want, ask)) is None:
            break
        messages = longer
    return pairs or Drop(row.id, reasons[0] if reasons else "equal_or_empty_answers")


async def _drafts(messages: Sequence[Message], want: Sample, ask: Ask) -> list[Draft]:
    seed, asked = ask.seed(), answer(messages, ask.model.format)
    request = Request(
        asked.messages, asked.prompt, want.n, want.max_tokens, want.temperature, want.top_p, asked.stop, seed
    )
    reply = await ask(request)
    return [
        Draft(each.text.strip(), ask.model.name, each.finish, seed, thinking=each.thinking) for each in reply.samples
    ]


def _pairs(row: Prompt, drafts: Sequence[Draft], want: Sample, turn: int) -> list[Pair]:
    """Those of one turn; two messages were added to the prompt for each turn before it."""
    place = f"{turn + 1}." if turn else ""
    about = row.track, row.about.tags, row.language
    return [
        Pair(f"{row.id}/{place}{number}", row.id, row.messages, a, b, *about, tuple(more), added=2 * turn)
        for number, (a, b, *more) in _groups(drafts, want.group)
    ]


def _groups(drafts: Sequence[Draft], size: int) -> Iterator[tuple[int, Sequence[Draft]]]:
    """The numbered groups, without empty answers and copies; one with a single answer left is none."""
    for number, start in enumerate(range(0, len(drafts), size)):
        distinct = {each.text: each for each in drafts[start : start + size] if each.text}
        if len(distinct) > 1:
            yield number, list(distinct.values())
