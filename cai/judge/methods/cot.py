"""Reasoning first, then the letters' probabilities (Lee et al. 2023, section 2.1.2; Bai et al. 2022, section 4.1).

One reasoning is written greedily. With ``samples: k``, k are drawn at a temperature, each gets a verdict of its own, and
the k verdicts are averaged; Lee et al. found that this lowered agreement with people (76.2% at 0.3, 72.8% at 1, 78.0%
greedy), so one is the default. Of a judge whose verdicts are sampled each sample is a reasoning that ends in its own verdict.

A judge that says its verdict at once gave no reasons, and its verdict is read all the same and counted: a small model did so in
19 of 26 reasonings.
"""

from collections.abc import Sequence
from dataclasses import replace

from cai.flow.ask import Ask
from cai.judge.methods.choices import Draw, Reasoning, by_logprobs, by_samples, choosing, is_sampled
from cai.judge.methods.votes import begun, of_letters, shown, style
from cai.judge.settings import Judging
from cai.models.types import Request
from cai.store.rows import Pair, Status, Vote
from cai.store.votes import LOGPROBS
from constitution import forms, judging, read
from constitution.forms import Form
from constitution.model import Principle
from constitution.turns import Rendered, nonempty


async def cot(row: Pair, principle: Principle, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote for each reasoning in each order."""
    votes, form = [], forms.verdict(ask.constitution, want.ties, want.names)
    for order in orders:
        vote = begun(principle, order, want, ask)
        question = judging.judgment(
            ask.constitution, principle, row.messages, shown(row, order), style(want, ask, True)
        )
        if await is_sampled(choosing(question, form, Reasoning("Both are read.")), want, ask):
            draw = Draw(want.samples if want.samples > 1 else want.verdicts, vote.seed)
            votes.append(of_letters(vote, await by_samples(question, form, want, ask, draw), form))
        else:
            votes += await _votes(vote, question, form, want, ask)
    return votes


async def _votes(vote: Vote, question: Rendered, form: Form, want: Judging, ask: Ask) -> list[Vote]:
    """A vote for each reasoning, with the letters' probabilities after it."""
    temperature = want.temperature if want.temperature is not None else 0.0 if want.samples == 1 else 1.0
    stop = (*question.stop, *nonempty(form.stop))
    request = Request(
        question.messages, question.prompt, want.samples, want.max_tokens, temperature, stop=stop, seed=vote.seed
    )
    reply, votes = await ask(request), []
    for number, sample in enumerate(reply.samples):
        reasoning = Reasoning.of(reply, number, sample.text.strip())
        vote = replace(vote, rationale=reasoning.text, thinking=reasoning.thought, kind=LOGPROBS)
        if status := _unusable(reasoning.text, sample.finish):
            votes.append(replace(vote, status=status))
            continue
        if not reasoning.text:
            ask.counts["verdicts_without_reasoning"] += 1
        request = choosing(question, form, reasoning)
        votes.append(of_letters(vote, await by_logprobs(request, want.floor, ask, reasoning), form))
    return votes


def _unusable(rationale: str, finish: str) -> Status | None:
    if finish == "thinking":
        return "truncated"
    if finish == "content_filter" or (rationale and read.is_refusal(rationale)):
        return "refused"
    return None if finish == "stop" else "truncated"
