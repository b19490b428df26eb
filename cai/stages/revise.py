"""Prompt → answer → (critique → revision) × rounds: the supervised stage of Bai et al. 2022, section 3.1.

One principle is drawn at each round and everything is sampled at temperature 1. Prompts of other tracks than ``tracks``
are answered and left as they are: helpful ones keep the tuned model helpful. With ``turns: 3``, a model plays the person and the
conversation goes on, see ``cai.stages.dialogue``: a chain for each of the assistant's turns.
"""

from dataclasses import dataclass, field, replace
from random import Random

from cai.data.endings import cut, unusable
from cai.data.leaks import leaks
from cai.flow.ask import Ask
from cai.judge.compare import compare as compare
from cai.judge.settings import VERDICTS, Judging
from cai.models.types import Request
from cai.stages.dialogue import next_turn, standing
from cai.store.ledger import ADDED
from cai.store.rows import Chain, Draft, Drop, Pair, Prompt
from constitution import ask as asking
from constitution import draw, read
from constitution.model import Constitution, Principle
from constitution.naming import LETTERS


@dataclass(frozen=True, slots=True)
class Revise:
    """The ``revise`` block.

    Attributes:
        rounds: critique-revision rounds; four in the paper.
        choice: how the principle of each round is chosen, see ``constitution.draw``; "all" sets the rounds itself.
        tracks: which prompts' answers are revised.
        exemplars: how many of the constitution's exemplars to show; None shows all.
        when_fine: what a critique that finds nothing leads to: "revise" all the same, as in the paper, "skip" this round's
            revision, or "stop" the chain there. Under the last two the draft stands as it was, which makes it no revision.
        judge: a role that compares each revision with the draft before it, under the same principle and in both orders; a
            revision that it does not find better is not taken. None is asked unless named. With one, principles are drawn
            among those that have a judgment question.
        verdict, verdicts, names: how the judge's choice is read, and what it calls the two answers, as in ``label``.
        turns: of the assistant's that are critiqued and revised; beyond the first, the conversation goes on with what the last
            whole round left of the answer, as the tuned model would have said it.
        user, person: who plays the person then, as in ``sample``.
    """

    model: str
    rounds: int = 4
    choice: str = "uniform"
    tracks: tuple[str, ...] = ("redteam",)
    max_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    exemplars: int | None = None
    when_fine: str = "revise"
    judge: str = ""
    verdict: str = field(default="auto", metadata=ADDED)
    verdicts: int = field(default=VERDICTS, metadata=ADDED)
    names: str = field(default=LETTERS, metadata=ADDED)
    turns: int = field(default=1, metadata=ADDED)
    user: str = field(default="", metadata=ADDED)
    person: str = field(default="", metadata=ADDED)


async def revise(row: Prompt, want: Revise, ask: Ask) -> list[Chain] | Drop:
    """A prompt's chain, or one for each turn; a first one that cannot be made drops the row, a later one ends the conversation."""
    messages, chains = row.messages, list[Chain]()
    for turn in range(want.turns):
        chain = await _chain(replace(row, messages=messages), want, ask)
        if isinstance(chain, Drop):
            ask.counts.update([f"{chain.reason}_turns"] if chains else ())
            return chains or chain
        chains.append(replace(chain, id=f"{row.id}/{turn}", added=2 * turn) if want.turns > 1 else chain)
        if turn + 1 == want.turns:
            break
        # Where no revision is whole, nothing goes on from the answer that was to be revised.
        stands = standing(reversed(chain.drafts[1:] or chain.drafts))
        if (longer := await next_turn(messages, stands, want, ask)) is None:
            break
        messages = longer
    return chains


async def _chain(row: Prompt, want: Revise, ask: Ask) -> Chain | Drop:
    """One answer's chain; a critique or revision that cannot be read drops the row, with the drafts so far."""
    principles = chosen(row, want, ask.constitution, ask.rng)
    if row.track in want.tracks and not principles:
        return Drop(row.id, "no_principle_applies")
    drafts = [await answer(row, want, ask)]
    if not drafts[0].text:
        return Drop(row.id, cut(drafts[0]) or "empty_answer")
    for principle in principles:
        draft = await revised_under(principle, row, drafts[-1], want, ask)
        if isinstance(draft, str):
            return Drop(row.id, draft, f"in round {len(drafts)}", tuple(drafts))
        if (
            want.judge
            and "fine" not in draft.flags
            and not await _better(principle, row, (drafts[-1], draft), want, ask.of(want.judge))
        ):
            draft = _once_more(drafts[-1], draft.principle, (draft.critique, draft.critique_thinking), "not_better")
        drafts.append(draft)
        if want.when_fine == "stop" and "fine" in draft.flags:
            break
    return Chain(row.id, row.messages, tuple(drafts), row.source, row.track, row.language)


def chosen(row: Prompt, want: Revise, constitution: Constitution, rng: Random) -> tuple[Principle, ...]:
    """The principle of each round; the first thing that a row draws from its generator.

    Where a judge compares, principles are drawn among those with a judgment question alone.
    """
    if row.track not in want.tracks:
        return ()
    more = {"fits": draw.puts_question} if want.judge else {}
    return draw.for_revision(constitution, row.about, want.choice, want.rounds, rng, **more)


async def answer(row: Prompt, want: Revise, ask: Ask) -> Draft:
    """The first draft."""
    request = _request(asking.answer(row.messages, ask.model.format), want, ask)
    reply = await ask(request)
    sample = reply.samples[0]
    return Draft(sample.text.strip(), ask.model.name, sample.finish, request.seed or 0, thinking=sample.thinking)


async def revised_under(principle: Principle, row: Prompt, draft: Draft, want: Revise, ask: Ask) -> Draft | str:
    """One critique and its revision, or the reason why not."""
    style = asking.Style(want.exemplars, ask.model.format)
    prompt = asking.critique(ask.constitution, principle, row.messages, draft.text, style)
    critic = (await ask(_request(prompt, want, ask))).samples[0]
    critique = read.critique(critic.text)
    if critique is None or unusable(critic.finish):
        return unusable(critic.finish) or "unreadable_critique"
    if want.when_fine != "revise" and read.finds_nothing(critique):
        return _once_more(draft, principle.id, (critique, critic.thinking), "fine")
    request = _request(asking.revision(ask.constitution, prompt, critique, principle), want, ask)
    reviser = (await ask(request)).samples[0]
    revision = read.revision(reviser.text)
    if revision is None:
        return unusable(reviser.finish) or "unreadable_revision"
    flags = _leaks(revision, principle, row, draft, want, ask)
    origin = principle.id, critique, flags, reviser.thinking, critic.thinking
    return Draft(revision, ask.model.name, reviser.finish, request.seed or 0, *origin)


def _leaks(revision: str, principle: Principle, row: Prompt, draft: Draft, want: Revise, ask: Ask) -> tuple[str, ...]:
    """What was shown of which words stand in a revision, and nowhere in what it revises: exemplars, or the requests themselves."""
    exemplars = ask.constitution.critique_revision[: want.exemplars]
    shown = {
        "leaked_exemplar": tuple(text for each in exemplars for text in (each.answer, each.revision)),
        "leaked_request": (principle.critique, principle.revision),
    }
    source = " ".join([*(message["content"] for message in row.messages), draft.text])
    return tuple(flag for flag, texts in shown.items() if leaks(revision, texts, source))


def _once_more(draft: Draft, principle: str, critique: tuple[str, str], flag: str) -> Draft:
    """A draft that stands for another round, with the model and seed that made it.

    Args:
        critique: and what was thought before it.
    """
    words, thought = critique
    return replace(draft, principle=principle, critique=words, flags=(flag,), critique_thinking=thought)


async def _better(principle: Principle, row: Prompt, drafts: tuple[Draft, Draft], want: Revise, ask: Ask) -> bool:
    """Whether the judge finds the second draft better without reasoning, both orders averaged."""
    pair = Pair(row.id, row.id, row.messages, *drafts, row.track)
    how = {key: getattr(want, key) for key in ("verdict", "verdicts", "names", "max_tokens")}
    [preference] = await compare(pair, [principle], Judging("logprob", disagree="average", **how), ask)
    return preference.p_a is not None and preference.p_a < 0.5


def _request(prompt: asking.Rendered, want: Revise, ask: Ask) -> Request:
    return Request(
        prompt.messages, prompt.prompt, 1, want.max_tokens, want.temperature, want.top_p, prompt.stop, ask.seed()
    )
