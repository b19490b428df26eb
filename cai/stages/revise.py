"""Prompt → answer → (critique → revision) × rounds: the supervised stage of Bai et al. 2022, section 3.1.

One principle is drawn at each round and everything is sampled at temperature 1. Prompts of the helpful track are
answered and left as they are: they keep the tuned model helpful.
"""

from dataclasses import dataclass

from cai.flow import Ask
from cai.models import Request
from cai.rows import Chain, Draft, Drop, Prompt
from constitution import ask as asking
from constitution import draw, read


@dataclass(frozen=True, slots=True)
class Revise:
    """The ``revise`` block.

    Attributes:
        rounds: critique-revision rounds; four in the paper.
        exemplars: how many of the constitution's exemplars to show; None shows all.
    """

    model: str
    rounds: int = 4
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    exemplars: int | None = None


async def revise(row: Prompt, want: Revise, ask: Ask) -> Chain | Drop:
    """One prompt's chain; a critique or revision that cannot be read drops the row, with the drafts so far."""
    drafts = [await _answer(row, want, ask)]
    if not drafts[0].text:
        return Drop(row.id, "empty_answer")
    for _ in range(want.rounds if row.track == "redteam" else 0):
        draft = await _round(row, drafts[-1], want, ask)
        if isinstance(draft, str):
            return Drop(row.id, draft, f"in round {len(drafts)}", tuple(drafts))
        drafts.append(draft)
    return Chain(row.id, row.messages, tuple(drafts), row.source, row.track)


async def _answer(row: Prompt, want: Revise, ask: Ask) -> Draft:
    request = _request(list(row.messages), want, ask)
    reply = await ask(request)
    return Draft(reply.texts[0].strip(), ask.model.name, reply.finishes[0], request.seed or 0)


async def _round(row: Prompt, draft: Draft, want: Revise, ask: Ask) -> Draft | str:
    """One critique and its revision, or the reason why not."""
    principle = draw.for_revision(ask.constitution, ask.rng)
    asked = asking.critique(ask.constitution, principle, row.messages, draft.text, want.exemplars)
    critique = read.critique((await ask(_request(asked, want, ask))).texts[0])
    if critique is None:
        return "unreadable_critique"
    request = _request(asking.revision(asked, critique, principle), want, ask)
    reply = await ask(request)
    revision = read.revision(reply.texts[0])
    if revision is None:
        return "unreadable_revision"
    return Draft(revision, ask.model.name, reply.finishes[0], request.seed or 0, principle.id, critique)


def _request(messages: list[dict[str, str]], want: Revise, ask: Ask) -> Request:
    return Request(
        messages=tuple(messages),
        max_tokens=want.max_tokens,
        temperature=want.temperature,
        top_p=want.top_p,
        seed=ask.seed(),
    )
