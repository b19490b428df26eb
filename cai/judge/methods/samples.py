"""What each sample of a judge says: by its last line, and where that says nothing, by the server's structured output.

A sample is free text. A schema would have to begin with the verdict, before any thought, or to hold the thought as a value,
which costs accuracy (Tam et al. 2024, "Let me speak freely?"; the way taken here is their "NL-to-format": free text first, then
a request that puts it into the form). So only below a sample whose last line cannot be read the judge is asked which of the
lines its answer comes to, in both orders, and its reply is bound to the choices and a word for none of them. What can be read
costs no request more; who refused or was cut off is not asked, so that it stays counted as such.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cai.errors import RowError, UserError
from cai.flow.ask import Ask
from cai.models.replies import THINKING
from cai.models.types import Reply, Request
from cai.models.verdicts import takes_options, thinks
from cai.store.votes import SAMPLED, STRUCTURED, Status
from constitution import forms, read
from constitution.forms import Form
from constitution.turns import Rendered, Turn, grow

UNREAD = "unread"
STATUSES: Mapping[str, Status] = {
    "cut_while_thinking": "truncated",
    "truncated": "truncated",
    "refused": "refused",
    "undecided": "unparsed",
    UNREAD: "unparsed",
}
"""Why a sample is no verdict, as the ledger counts it → the status of a vote of which most are so."""


@dataclass(frozen=True, slots=True)
class SampleReading:
    """What one sample says.

    Attributes:
        choice: empty where it says none.
        why: one of ``STATUSES`` where it says none.
        structured: whether it was said in a structured output.
    """

    choice: str = ""
    why: str = ""
    structured: bool = False


async def read_samples(
    asked: Rendered, reply: Reply, form: Form, verdict: str, max_tokens: int, ask: Ask
) -> list[SampleReading]:
    """The samples of a reply, in their order.

    Args:
        asked: what they answer.
        verdict, max_tokens: of the step, see ``Judging``.

    Raises:
        UserError: a structured output is wanted, and the judge's server has none.
    """
    readings = [by_line(text, end, form) for text, end in zip(reply.texts, reply.finishes, strict=True)]
    if verdict == SAMPLED:
        return readings
    both = [(text.strip(), each) for text, each in zip(reply.texts, readings, strict=True)]
    unread = dict.fromkeys(text for text, each in both if text and each.why == UNREAD)
    off = "off" if thinks(ask.model) or reply.tokens_thought else ""  # it thought before it answered
    usual = Request(max_tokens=max_tokens, temperature=0.0, thinking=off)
    requests = {text: [_decision(usual, asked, text, each, ask) for each in _both(form)] for text in unread}
    if not requests or not await _takes(next(iter(requests.values()))[0], verdict, ask):
        return readings
    again = {text: await by_decisions(pair, form, ask) for text, pair in requests.items()}
    return [again.get(text, each) if each.why == UNREAD else each for text, each in both]


def by_line(text: str, finish: str, form: Form) -> SampleReading:
    """By its last line; a sample that was cut off may have been about to say something else."""
    if finish == THINKING:
        return SampleReading(why="cut_while_thinking")
    if finish in ("length", "content_filter"):
        return SampleReading(why="truncated" if finish == "length" else "refused")
    if choice := form.read(text):
        return SampleReading(choice)
    return SampleReading(why="refused" if read.is_refusal(text) else UNREAD)


async def by_decisions(requests: Sequence[Request], form: Form, ask: Ask) -> SampleReading:
    """By what the judge says when it is asked which of the lines its answer comes to, with these in one order and the other.

    Asked once, a small judge takes the first of them: where the two differ, it has decided nothing.
    """
    first, *others = requests
    found = await _decided(first, form, ask)
    for request in others if found.choice else ():
        other = await _decided(request, form, ask)
        if other.choice != found.choice:
            return SampleReading(why="undecided") if other.choice else other
    return found


async def _decided(request: Request, form: Form, ask: Ask) -> SampleReading:
    """What one request decides.

    A server may take no such request of this one row, as it is longer than the sample's: that leaves the sample as it was.
    """
    try:
        reply = await ask(request)
    except RowError:
        return SampleReading(why=UNREAD)
    text, finish = reply.texts[0].strip(), reply.finishes[0]
    if finish == "content_filter":
        return SampleReading(why="refused")
    if text == request.options[-1]:
        return SampleReading(why="undecided")
    if text in form.choices:
        return SampleReading(text, structured=True)
    return SampleReading(why="refused" if read.is_refusal(text) else UNREAD)


def _both(form: Form) -> tuple[Form, Form]:
    """The form with its choices in one order and the other."""
    return form, replace(form, choices=form.choices[::-1])


def _decision(usual: Request, asked: Rendered, text: str, form: Form, ask: Ask) -> Request:
    """A sample's conversation, with the question what it comes to."""
    turn = Turn("user", forms.decision(ask.constitution, form))
    return replace(
        usual, messages=grow(asked, text, turn, "", ()).messages, options=forms.options(ask.constitution, form)
    )


async def _takes(request: Request, verdict: str, ask: Ask) -> bool:
    """Whether the judge's server has structured output; it has to, where a step wants no less."""
    takes = bool(request.messages) and await takes_options(ask.model, request)
    if verdict == STRUCTURED and not takes:
        raise UserError(
            f"{ask.model.name} has no structured output, by which a verdict is read that no last line says; set "
            "`verdict: sampled`, or name another judge"
        )
    return takes
