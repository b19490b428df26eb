"""What the methods share: how a vote begins, and how the probabilities of its letters become one."""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.choices import NOTHING, Distribution, Draw, Reasoning, distribution
from cai.judge.settings import Judging
from cai.judge.statistics import sigmoid
from cai.models.types import Request
from cai.store.rows import Pair, Status, Vote
from constitution import forms, read
from constitution.forms import Form
from constitution.model import Principle
from constitution.turns import Rendered, Style

ALONE = "alone"
"""The order of a vote that looked at each answer by itself."""


def shown(row: Pair, order: str) -> tuple[str, str]:
    """The answers in the order shown."""
    return (row.a.text, row.b.text) if order == "ab" else (row.b.text, row.a.text)


def style(want: Judging, ask: Ask, reasoning: bool = False) -> Style:
    """How a comparison is put to this judge."""
    return Style(want.exemplars, ask.model.format, reasoning, want.layout, want.names)


def begun(principle: Principle | None, order: str, want: Judging, ask: Ask) -> Vote:
    """A vote before anything is read; its seed is the next of the row's."""
    return Vote(principle.id if principle else "", order, want.method, ask.model.name, ask.seed(), "unparsed")


async def verdict(vote: Vote, asked: Rendered, want: Judging, ask: Ask, said: Reasoning = NOTHING) -> Vote:
    """The vote with the probability of the name that stands for answer a; a tie counts half for each."""
    form = forms.verdict(ask.constitution, want.ties, want.names)
    return of_letters(vote, await distribution(asked, form, want, ask, said, Draw(seed=vote.seed)), form)


def of_letters(vote: Vote, found: Distribution, form: Form) -> Vote:
    """The vote that the names of a comparison's answers make."""
    if found.status != "ok":
        return found.on(vote)
    first, _, *tie = (found.shares.get(choice, 0.0) for choice in form.choices)
    p_first = first + sum(tie) / 2
    return found.on(vote, p_first if vote.order == "ab" else 1 - p_first)


async def written(asked: Rendered, want: Judging, ask: Ask) -> tuple[str, Status | None]:
    """A text that the judge reads before its verdict, and what is wrong with it; one that is cut off still serves."""
    request = Request(asked.messages, asked.prompt, 1, want.max_tokens, 0.0, stop=asked.stop, seed=ask.seed())
    sample = (await ask(request)).samples[0]
    text, finish = sample.text.strip(), sample.finish
    if finish == "content_filter" or read.is_refusal(text):
        return text, "refused"
    return text, "truncated" if finish == "thinking" else None if text else "unparsed"


def decided(vote: Vote, p_a: float) -> Vote:
    """The vote with its probability."""
    return replace(vote, p_a=p_a, status="tie" if p_a == 0.5 else "ok")


def by_scores(vote: Vote, scores: Sequence[float]) -> Vote:
    """The vote of two scores on a logit scale: P(a) = σ(s_a − s_b) (Bradley and Terry 1952)."""
    return decided(replace(vote, scores=(scores[0], scores[1])), sigmoid(scores[0] - scores[1]))
