"""Row + principle → what is sent: messages for a chat model, a transcript with its stops for a base model.

Order of a prompt: what all rows share (instructions, exemplars) comes first, byte for byte the same, so that a server
caches it once; then the row's conversation and answers; the principle, which varies, last. A revision begins with what
asked for its critique, so that the second request of a round finds the first one's prefix in the cache. Bai et al. 2022
put the principle before the options of a comparison (section 4.1); we put it after them, for that reason.

The same templates make both forms. A chat's turns become messages; a transcript's become sections, each assistant's turn
under its label, ending in the label that the model is to go on from.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from constitution.model import Constitution, CritiqueRevisionExemplar, JudgmentExemplar, Principle
from constitution.templates import fill

Message = dict[str, str]

ANSWER_BEGINS = "The answer is: ("
CHOICES = ("A", "B")
CHAT, TRANSCRIPT = "chat", "transcript"
FORMATS = (CHAT, TRANSCRIPT)
BETWEEN = "====="
"""Stands between the worked examples of a transcript."""
USUAL_STOPS = "\n\nHuman:", f"\n\n{BETWEEN}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is sent: either messages, or a prompt in plain text with the stops that end its answer."""

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    stop: tuple[str, ...] = ()

    def begin(self, text: str) -> str:
        """A forced beginning of the answer, joined as this form needs it."""
        return f" {text}" if self.prompt.endswith(":") else text


@dataclass(frozen=True, slots=True)
class Style:
    """How a request is put.

    Attributes:
        exemplars: how many of the constitution's exemplars to show; None shows all.
        form: "chat" or "transcript".
        reasoning: whether a judge's exemplars show their reasoning, so that the judge reasons too.
    """

    exemplars: int | None = None
    form: str = CHAT
    reasoning: bool = False


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn; ``label`` names an assistant's turn in a transcript."""

    role: str
    text: str
    label: str = ""


def answer(messages: Sequence[Message], form: str = CHAT) -> Asked:
    """What asks for the assistant's next answer in a conversation."""
    if form == CHAT:
        return Asked(tuple(messages))
    return Asked(prompt=f"{_conversation(messages)}\n\nAssistant:", stop=("\n\nHuman:",))


def critique(
    constitution: Constitution,
    principle: Principle,
    messages: Sequence[Message],
    answer: str,
    style: Style = PLAIN,
) -> Asked:
    """What asks which words of ``answer`` go against ``principle``.

    Args:
        messages: the conversation before the answer.
    """
    examples = [_worked(constitution, exemplar) for exemplar in constitution.critique_revision[: style.exemplars]]
    last = _critique_turn(constitution, principle, _conversation(messages, answer))
    stops = stop_before(constitution.templates.revision), *USUAL_STOPS
    return _asked(style.form, (_preamble(constitution, "review"), examples, last), "Critique", stops)


def revision(constitution: Constitution, asked: Asked, critique: str, principle: Principle) -> Asked:
    """What asks for the revision, grown from what asked for the critique."""
    request = _revision_turn(constitution, principle)
    if asked.messages:
        return Asked((*asked.messages, {"role": "assistant", "content": critique}, _message(request)))
    prompt = f"{asked.prompt} {critique}\n\n{request.text}\n\nRevision:"
    return Asked(prompt=prompt, stop=_given(stop_before(constitution.templates.critique), *USUAL_STOPS))


def judgment(
    constitution: Constitution,
    principle: Principle,
    messages: Sequence[Message],
    answers: tuple[str, str],
    style: Style = PLAIN,
) -> Asked:
    """What asks which of two answers accords better with ``principle``.

    Args:
        answers: shown as (A) and (B), in this order.
    """
    shown = constitution.judgment[: style.exemplars]
    examples = [_judged(constitution, exemplar, style.reasoning) for exemplar in shown]
    last = _judgment_turn(constitution, principle, _conversation(messages), answers, style.reasoning)
    label = "Reasoning" if style.reasoning else ""
    return _asked(style.form, (_preamble(constitution, "judge"), examples, last), label, USUAL_STOPS)


def _asked(form: str, said: tuple[str, Sequence[Sequence[_Turn]], _Turn], label: str, stops: Sequence[str]) -> Asked:
    """The opening, the worked examples and the last turn in one form; ``label`` opens what a transcript is to go on with."""
    opening, examples, last = said
    if form == CHAT:
        turns = [_Turn("system", opening), *(turn for example in examples for turn in example), last]
        return Asked(tuple(map(_message, turns)))
    blocks = [opening, *("\n\n".join(_sections(example)) for example in examples), last.text]
    return Asked(prompt=f"\n\n{BETWEEN}\n\n".join(blocks) + (f"\n\n{label}:" if label else "\n\n"), stop=_given(*stops))


def _message(turn: _Turn) -> Message:
    return {"role": turn.role, "content": turn.text}


def _sections(turns: Sequence[_Turn]) -> Iterator[str]:
    return (f"{turn.label}: {turn.text}" if turn.label else turn.text for turn in turns)


def stop_before(template: str) -> str:
    """What a transcript's section that puts a request begins with: a model that goes on past its own answer writes it.

    Returns:
        the template's own words right before ``{request}``, from the line's beginning on; empty where it has none there.
    """
    before = template.partition("{request}")[0]
    own = re.split(r"\{\w+\}", before)[-1]
    if own == before:
        own = f"\n\n{own}"  # a blank line is before every section
    start = own.rfind("\n\n") if "\n\n" in own else own.find("\n")
    return own[start:].rstrip() if start >= 0 and re.search(r"\w", own[start:]) else ""


def _given(*stops: str) -> tuple[str, ...]:
    return tuple(filter(None, stops))


def _preamble(constitution: Constitution, use: str) -> str:
    return fill(getattr(constitution.templates, use), {"preamble": constitution.preamble})


def _critique_turn(constitution: Constitution, principle: Principle, conversation: str) -> _Turn:
    values = {**_said(principle), "request": principle.critique, "conversation": conversation}
    return _Turn("user", fill(constitution.templates.critique, values))


def _revision_turn(constitution: Constitution, principle: Principle) -> _Turn:
    return _Turn("user", fill(constitution.templates.revision, {**_said(principle), "request": principle.revision}))


def _judgment_turn(
    constitution: Constitution, principle: Principle, conversation: str, answers: tuple[str, str], reasoning: bool
) -> _Turn:
    values = {
        **_said(principle),
        "conversation": conversation,
        "a": answers[0],
        "b": answers[1],
        "question": principle.judgment,
        "reasoning": constitution.templates.reasoning if reasoning else "",
    }
    return _Turn("user", fill(constitution.templates.judgment, values))


def _said(principle: Principle) -> Mapping[str, str]:
    return {"title": principle.title, "negative": principle.negative}


def _worked(constitution: Constitution, exemplar: CritiqueRevisionExemplar) -> list[_Turn]:
    principle = constitution.by_id[exemplar.principle]
    conversation = _conversation([{"role": "user", "content": exemplar.prompt}], exemplar.answer)
    return [
        _critique_turn(constitution, principle, conversation),
        _Turn("assistant", exemplar.critique, "Critique"),
        _revision_turn(constitution, principle),
        _Turn("assistant", exemplar.revision, "Revision"),
    ]


def _judged(constitution: Constitution, exemplar: JudgmentExemplar, reasoning: bool) -> list[_Turn]:
    principle = constitution.by_id[exemplar.principle]
    conversation = _conversation([{"role": "user", "content": exemplar.prompt}])
    verdict = f"{ANSWER_BEGINS}{exemplar.verdict})"
    said = _Turn("assistant", f"{exemplar.reasoning}\n\n{verdict}", "Reasoning") if reasoning else None
    return [
        _judgment_turn(constitution, principle, conversation, (exemplar.a, exemplar.b), reasoning),
        said or _Turn("assistant", verdict),
    ]


def _conversation(messages: Sequence[Message], answer: str | None = None) -> str:
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    turns = [f"{names.get(message['role'], message['role'])}: {message['content']}" for message in messages]
    return "\n\n".join(turns if answer is None else [*turns, f"Assistant: {answer}"])
