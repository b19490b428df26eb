"""Prompt → pairs of answers from one model (Bai et al. 2022, section 4.1: two samples to each red-team prompt).

With ``group: 4``, four answers go together, for a judge that ranks them at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cai.data.endings import unusable
from cai.flow.ask import Ask
from cai.models.types import Request
from cai.store.rows import Draft, Drop, Pair, Prompt
from constitution.ask import answer


@dataclass(frozen=True, slots=True)
class Sample:
    """The ``sample`` block.

    Attributes:
        n: answers to each prompt, a multiple of ``group``.
        tracks: which prompts are answered.
        group: how many of them go together.
    """

    model: str
    n: int = 2
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    tracks: tuple[str, ...] = ("redteam",)
    group: int = 2


async def sample(row: Prompt, want: Sample, ask: Ask) -> list[Pair] | Drop:
    """Two answers make a pair, or more a group; equal and empty answers say nothing and are left out."""
    if row.track not in want.tracks:
        return Drop(row.id, "other_track")
    seed, asked = ask.seed(), answer(row.messages, ask.model.format)
    request = Request(
        asked.messages, asked.prompt, want.n, want.max_tokens, want.temperature, want.top_p, asked.stop, seed
    )
    reply = await ask(request)
    drafts = [
        Draft(each.text.strip(), ask.model.name, each.finish, seed, thinking=each.thinking) for each in reply.samples
    ]
    pairs = [
        Pair(f"{row.id}/{number}", row.id, row.messages, a, b, row.track, row.about.tags, row.language, tuple(more))
        for number, (a, b, *more) in _groups(drafts, want.group)
    ]
    reasons = [reason for draft in drafts if not draft.text and (reason := unusable(draft.finish))]
    return pairs or Drop(row.id, reasons[0] if reasons else "equal_or_empty_answers")


def _groups(drafts: Sequence[Draft], size: int) -> Iterator[tuple[int, Sequence[Draft]]]:
    """The numbered groups, without empty answers and copies; one with a single answer left is none."""
    for number, start in enumerate(range(0, len(drafts), size)):
        distinct = {each.text: each for each in drafts[start : start + size] if each.text}
        if len(distinct) > 1:
            yield number, list(distinct.values())
