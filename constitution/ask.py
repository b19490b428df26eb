"""Row + principle → the messages that ask for a critique, a revision or a judgment.

Order of a prompt: what all rows share (instructions, exemplars) comes first, byte for byte the same, so that a server
caches it once; then the row's conversation and answers; the principle, which varies, last. A revision's messages begin
with the critique's, so that the second request of a round finds the first one's prefix in the cache. Bai et al. 2022
put the principle before the options of a comparison (section 4.1); we put it after them, for that reason.
"""

from collections.abc import Mapping, Sequence

from constitution.model import Constitution, CritiqueRevisionExemplar, JudgmentExemplar, Principle

Message = dict[str, str]

REVIEWING = (
    "You are shown a conversation between a person and an AI assistant. First you get a critique request about the "
    "assistant's last answer: reply with the critique alone. Then you get a revision request: reply with the revised "
    "answer alone, worded as the assistant would say it to the person, without comment on the changes."
)
JUDGING = (
    "You are shown a conversation between a person and an AI assistant, two possible next answers, (A) and (B), and a "
    "question about them. End with the better answer's letter, in the form: The answer is: (A)"
)
ANSWER_BEGINS = "The answer is: ("
CHOICES = ("A", "B")


def critique(
    constitution: Constitution, principle: Principle, messages: Sequence[Message], answer: str, exemplars: int | None
) -> list[Message]:
    """Messages that ask what in ``answer`` goes against ``principle``.

    Args:
        messages: the conversation before the answer.
        exemplars: how many of the constitution's exemplars to show; None shows all.
    """
    shown = constitution.critique_revision[:exemplars]
    lines = [_system(constitution, REVIEWING)]
    for exemplar in shown:
        lines += _worked(exemplar, constitution.by_id)
    return [*lines, _user(_conversation(messages, answer), f"Critique request: {principle.critique}")]


def revision(critique_messages: Sequence[Message], critique: str, principle: Principle) -> list[Message]:
    """Messages that ask for the revision, grown from those that asked for the critique."""
    return [
        *critique_messages,
        {"role": "assistant", "content": critique},
        {"role": "user", "content": f"Revision request: {principle.revision}"},
    ]


def judgment(
    constitution: Constitution,
    principle: Principle,
    messages: Sequence[Message],
    answers: tuple[str, str],
    reasoning: bool,
    exemplars: int | None = None,
) -> list[Message]:
    """Messages that ask which of two answers accords better with ``principle``.

    Args:
        answers: shown as (A) and (B), in this order.
        reasoning: the exemplars show their reasoning, so that the judge reasons too.
        exemplars: how many of the constitution's exemplars to show; None shows all.
    """
    lines = [_system(constitution, JUDGING)]
    for exemplar in constitution.judgment[:exemplars]:
        lines += _judged(exemplar, constitution.by_id, reasoning)
    return [*lines, _user(_conversation(messages), _options(*answers), _question(principle, reasoning))]


def _system(constitution: Constitution, task: str) -> Message:
    return {"role": "system", "content": "\n\n".join(filter(None, (constitution.preamble, task)))}


def _user(*blocks: str) -> Message:
    return {"role": "user", "content": "\n\n".join(blocks)}


def _worked(exemplar: CritiqueRevisionExemplar, principles: Mapping[str, Principle]) -> list[Message]:
    principle = principles[exemplar.principle]
    asked = _conversation([{"role": "user", "content": exemplar.prompt}], exemplar.answer)
    first = [_user(asked, f"Critique request: {principle.critique}")]
    return [*revision(first, exemplar.critique, principle), {"role": "assistant", "content": exemplar.revision}]


def _judged(exemplar: JudgmentExemplar, principles: Mapping[str, Principle], reasoning: bool) -> list[Message]:
    conversation = _conversation([{"role": "user", "content": exemplar.prompt}])
    question = _question(principles[exemplar.principle], reasoning)
    answer = f"{ANSWER_BEGINS}{exemplar.verdict})"
    said = f"{exemplar.reasoning}\n\n{answer}" if reasoning else answer
    return [
        _user(conversation, _options(exemplar.a, exemplar.b), question),
        {"role": "assistant", "content": said},
    ]


def _conversation(messages: Sequence[Message], answer: str | None = None) -> str:
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    turns = [f"{names.get(message['role'], message['role'])}: {message['content']}" for message in messages]
    return "\n\n".join(turns if answer is None else [*turns, f"Assistant: {answer}"])


def _options(a: str, b: str) -> str:
    return f"Answer (A): {a}\n\nAnswer (B): {b}"


def _question(principle: Principle, reasoning: bool) -> str:
    how = "\nWeigh both answers first, step by step." if reasoning else ""
    return f"Question: {principle.judgment}{how}"
