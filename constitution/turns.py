"""Turns in one of two forms: a chat's become messages; a transcript's become sections, each assistant's turn under its
label, ending in the label that the model is to go on from. The same templates make both.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from constitution import tools
from constitution.model import Constitution, Principle
from constitution.templates import fill
from constitution.tools import Message

CHAT, TRANSCRIPT = "chat", "transcript"
FORMATS = (CHAT, TRANSCRIPT)
BETWEEN = "====="
"""Stands between the worked examples of a transcript."""
USUAL_STOPS = "\n\nHuman:", f"\n\n{BETWEEN}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is sent: either messages, or a prompt in plain text with the stops that end its answer."""

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    stop: tuple[str, ...] = ()

    def begin(self, text: str) -> str:
        """A forced beginning of the answer, joined as this form needs it."""
        return f" {text}" if self.prompt.endswith(":") else text

    def with_ending(self, words: str) -> "Rendered":
        """The same with these words at the end of what is asked."""
        if self.messages:
            *others, last = self.messages
            return replace(self, messages=(*others, {**last, "content": f"{last['content']}\n\n{words}"}))
        turns, blank, label = self.prompt.rpartition("\n\n")
        return replace(self, prompt=f"{turns}\n\n{words}{blank}{label}")


@dataclass(frozen=True, slots=True)
class Style:
    """How a request is put.

    Attributes:
        exemplars: how many of the constitution's exemplars to show; None shows all.
        form: "chat" or "transcript".
        reasoning: whether a judge's exemplars show their reasoning, so that the judge reasons too.
        layout: of a comparison: "cached" puts the question last, "paper" before the answers, as published; "framed" does too,
            and marks where each of them begins and ends.
        names: what the two answers are called, see ``constitution.naming``.
    """

    exemplars: int | None = None
    form: str = CHAT
    reasoning: bool = False
    layout: str = "cached"
    names: str = "letters"


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; ``label`` names an assistant's turn in a transcript."""

    role: str
    text: str
    label: str = ""


def render(form: str, parts: tuple[str, Sequence[Sequence[Turn]], Turn], label: str, stops: Sequence[str]) -> Rendered:
    """The opening, the worked examples and the last turn in one form; ``label`` opens what a transcript is to go on with."""
    opening, examples, last = parts
    if form == CHAT:
        turns = [Turn("system", opening), *(turn for example in examples for turn in example), last]
        return Rendered(tuple(map(message, turns)))
    blocks = [opening, *("\n\n".join(_sections(example)) for example in examples), last.text]
    return Rendered(
        prompt=f"\n\n{BETWEEN}\n\n".join(blocks) + (f"\n\n{label}:" if label else "\n\n"), stop=nonempty(*stops)
    )


def grow(request: Rendered, reply: str, turn: Turn, label: str, stops: Sequence[str]) -> Rendered:
    """The same conversation with the model's reply and our next turn; what was sent before is its prefix."""
    if request.messages:
        return Rendered((*request.messages, {"role": "assistant", "content": reply}, message(turn)))
    end = f"{label}:" if label else ""
    return Rendered(prompt=f"{request.prompt} {reply}\n\n{turn.text}\n\n{end}", stop=nonempty(*stops))


def message(turn: Turn) -> Message:
    """A turn as a chat has it."""
    return {"role": turn.role, "content": turn.text}


def _sections(turns: Sequence[Turn]) -> Iterator[str]:
    return (f"{turn.label}: {turn.text}" if turn.label else turn.text for turn in turns)


def nonempty(*stops: str) -> tuple[str, ...]:
    """Those stops that say something."""
    return tuple(filter(None, stops))


def opening(constitution: Constitution, use: str) -> str:
    """What a conversation with a model begins with, by the template's name."""
    return _opening(getattr(constitution.templates, use), constitution.preamble)


@lru_cache(maxsize=64)
def _opening(template: str, preamble: str) -> str:
    return fill(template, {"preamble": preamble})


def words_of(principle: Principle) -> Mapping[str, str]:
    """What every template about a principle may show."""
    return {"title": principle.title, "negative": principle.negative}


def conversation(messages: Sequence[Message], answer: str | None = None) -> str:
    """A conversation as text, with an answer at its end where one is given; tools are named, called and answer in it."""
    turns = [f"{tools.speaker(message)}: {tools.turn_text(message)}" for message in messages]
    return "\n\n".join(turns if answer is None else [*turns, f"Assistant: {answer}"])
