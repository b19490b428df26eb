"""Prompt → pairs of answers from one model (Bai et al. 2022, section 4.1: two samples to each red-team prompt)."""

from dataclasses import dataclass

from cai.flow import Ask
from cai.models import Request
from cai.rows import Draft, Drop, Pair, Prompt
from constitution.ask import answer


@dataclass(frozen=True, slots=True)
class Sample:
    """The ``sample`` block.

    Attributes:
        n: answers to each prompt, an even number; they are paired two by two.
        tracks: which prompts are answered.
    """

    model: str
    n: int = 2
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    tracks: tuple[str, ...] = ("redteam",)


async def sample(row: Prompt, want: Sample, ask: Ask) -> list[Pair] | Drop:
    """Two answers make a pair; a pair of equal or empty answers says nothing and is left out."""
    if row.track not in want.tracks:
        return Drop(row.id, "other_track")
    seed, asked = ask.seed(), answer(row.messages, ask.model.format)
    request = Request(
        asked.messages, asked.prompt, want.n, want.max_tokens, want.temperature, want.top_p, asked.stop, seed
    )
    reply = await ask(request)
    drafts = [
        Draft(text.strip(), ask.model.name, finish, seed)
        for text, finish in zip(reply.texts, reply.finishes, strict=True)
    ]
    pairs = [
        Pair(f"{row.id}/{number}", row.id, row.messages, a, b, row.track, row.about.tags, row.language)
        for number, (a, b) in enumerate(zip(drafts[::2], drafts[1::2], strict=False))
        if a.text and b.text and a.text != b.text
    ]
    return pairs or Drop(row.id, "equal_or_empty_answers")
