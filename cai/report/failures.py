"""``cai test --failed``: the examples that a judge did not get right, with its words and all that it was sent."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cai.judge.examples import Exchange, JudgedExample
from cai.models.types import Reply, Request
from cai.report import requests
from cai.report.format import KINDS
from cai.store.rows import Vote
from constitution.visible import visible
from constitution.wording import count

POSITION = {"ab": "the better answer first", "ba": "the worse answer first"}
"""Order of a vote → what it showed."""


def failed(results: Sequence[JudgedExample]) -> list[JudgedExample]:
    """Those that are not right: the other answer was preferred, neither was, or what the judge said could not be read."""
    return [each for each in results if each.right < 1]


def plain(results: Sequence[JudgedExample]) -> list[dict[str, object]]:
    """All that is known of the failed ones, as JSON has it; probabilities are of the better answer."""
    return [
        {
            "principle": each.principle,
            "example": each.number,
            "prompt": each.example.prompt,
            "better": each.example.better,
            "worse": each.example.worse,
            "p_better": each.p_better,
            "error": each.error,
            "votes": [_vote(vote) for vote in each.votes],
            "asked": [_exchange(exchange) for exchange in each.exchanges],
        }
        for each in failed(results)
    ]


def _vote(vote: Vote) -> dict[str, object]:
    return {
        "order": vote.order,
        "shown": POSITION.get(vote.order, "each answer alone"),
        "p_better": vote.p_a,
        "status": vote.status,
        "reasoning": vote.rationale,
        "thinking": vote.thinking,
        "answer_mass": vote.answer_mass,
        "read_by": vote.verdict,
        "samples": vote.samples,
        "read": vote.read,
        **({"scores": vote.scores} if vote.scores is not None else {}),
    }


def _exchange(exchange: Exchange) -> dict[str, object]:
    reply = exchange.reply
    return {"request": requests.plain(exchange.request), "reply": reply and _reply(reply)}


def _reply(reply: Reply) -> dict[str, object]:
    if reply.choice_logprobs:
        return {"probabilities": _probabilities(reply)}
    return {"texts": reply.texts, "finishes": reply.finishes, "thinking": reply.thinking}


def _probabilities(reply: Reply) -> dict[str, float]:
    return {choice: math.exp(value) for choice, value in reply.choice_logprobs.items()}


def show(results: Sequence[JudgedExample], console: Console) -> None:
    """Each failed one as a person reads it; what was sent is exact to the letter, exemplars that all share are shown once."""
    some, first = failed(results), Request()
    for each in some:
        _heading(console, f"\n{each.principle}, example {each.number}: {_outcome(each)}")
        for name, text in (
            ("prompt", each.example.prompt),
            ("the better answer, which was expected", each.example.better),
            ("the other answer", each.example.worse),
        ):
            _part(console, name, text)
        for vote in each.votes:
            _part(console, _heard(vote), vote.rationale)
            if vote.thinking:
                _part(console, "its thought before that", vote.thinking)
        for number, exchange in enumerate(each.exchanges, 1):
            _sent(console, f"request {number} of {len(each.exchanges)}", exchange, first)
            first = first if first.messages else exchange.request
    console.print(Text(f"\n{len(some)} of {count(len(results), 'example')} not right"))


def _outcome(result: JudgedExample) -> str:
    if result.error:
        return f"not judged ({result.error})"
    if result.p_better is None:
        return f"not read ({', '.join(vote.status for vote in result.votes if vote.p_a is None)})"
    which = "neither is preferred" if result.right else "the other answer is preferred"
    return f"{which}, P(better) = {result.p_better:.3f}"


def _heard(vote: Vote) -> str:
    p = "not read" if vote.p_a is None else f"P(better) = {vote.p_a:.3f}"
    how = KINDS.get(vote.verdict, vote.verdict)
    many = f", {vote.read} of {count(vote.samples, 'sample')} read" if vote.samples else ""
    return f"judged with {POSITION.get(vote.order, 'each answer alone')}: {p} ({vote.status}, by {how}{many})"


def _heading(console: Console, text: str) -> None:
    console.print(Text(text, style="bold"))


def _part(console: Console, name: str, text: str) -> None:
    console.print(Text(name, style="dim"))
    if text:
        console.print(Padding(Text(text), (0, 0, 0, 4), expand=False), soft_wrap=False)


def _sent(console: Console, name: str, exchange: Exchange, first: Request) -> None:
    same = requests.alike(exchange.request, first)
    after = f", after {count(same, 'message')} that the first request above begins with" if same else ""
    console.print(Text(f"{name}, as it was sent{after}", style="dim"))
    # Exact to the letter: no wrapping and no tab made spaces, so not through the console's layout.
    lines = (*requests.lines_of(exchange.request, same), *_answered(exchange.reply))
    console.file.write("".join(f"{visible(line)}\n" for line in lines))
    console.file.flush()


def _answered(reply: Reply | None) -> Iterator[str]:
    if reply is None:
        yield "<<no reply>>"
    elif reply.choice_logprobs:
        yield f"<<replied>>\n{', '.join(f'{choice} {p:.3f}' for choice, p in _probabilities(reply).items())}"
    else:
        for sample in reply.samples:
            yield f"<<replied, ended by {sample.finish}>>\n{sample.text}"
