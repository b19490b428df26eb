"""Row + principle → what is sent: messages for a chat model, a transcript with its stops for a base model.

Order of a prompt: what all rows share (instructions, exemplars) comes first, byte for byte the same, so that a server
caches it once; then the row's conversation and answers; the principle, which varies, last. A revision begins with what
asked for its critique, so that the second request of a round finds the first one's prefix in the cache. What judges are
asked is in ``judging``.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from constitution.model import Constitution, CritiqueRevisionExemplar, Principle
from constitution.templates import Templates, fill
from constitution.turns import (
    CHAT,
    PLAIN,
    USUAL_STOPS,
    Message,
    Rendered,
    Style,
    Turn,
    conversation,
    grow,
    opening,
    render,
    words_of,
)


def answer(messages: Sequence[Message], form: str = CHAT) -> Rendered:
    """What asks for the assistant's next answer in a conversation."""
    if form == CHAT:
        return Rendered(tuple(messages))
    return Rendered(prompt=f"{conversation(messages)}\n\nAssistant:", stop=("\n\nHuman:",))


def critique(
    constitution: Constitution,
    principle: Principle,
    messages: Sequence[Message],
    answer: str,
    style: Style = PLAIN,
) -> Rendered:
    """What asks which words of ``answer`` go against ``principle``.

    Args:
        messages: the conversation before the answer.
    """
    by_id, templates = constitution.by_id, constitution.templates
    exemplars = constitution.critique_revision[: style.exemplars]
    examples = [_exemplar_turns(templates, by_id[exemplar.principle], exemplar) for exemplar in exemplars]
    last = _critique_turn(templates, principle, conversation(messages, answer))
    stops = stop_before(constitution.templates.revision), *USUAL_STOPS
    return render(style.form, (opening(constitution, "review"), examples, last), "Critique", stops)


def revision(constitution: Constitution, request: Rendered, critique: str, principle: Principle) -> Rendered:
    """What asks for the revision, grown from what asked for the critique."""
    stops = stop_before(constitution.templates.critique), *USUAL_STOPS
    return grow(request, critique, _revision_turn(constitution.templates, principle), "Revision", stops)


@lru_cache(maxsize=64)
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


def _critique_turn(templates: Templates, principle: Principle, text: str) -> Turn:
    values = {**words_of(principle), "request": principle.critique, "conversation": text}
    return Turn("user", fill(templates.critique, values))


def _revision_turn(templates: Templates, principle: Principle) -> Turn:
    return Turn("user", fill(templates.revision, {**words_of(principle), "request": principle.revision}))


@lru_cache(maxsize=256)
def _exemplar_turns(templates: Templates, principle: Principle, exemplar: CritiqueRevisionExemplar) -> tuple[Turn, ...]:
    """An exemplar's turns, which are the same in every request."""
    text = conversation([{"role": "user", "content": exemplar.prompt}], exemplar.answer)
    return (
        _critique_turn(templates, principle, text),
        Turn("assistant", exemplar.critique, "Critique"),
        _revision_turn(templates, principle),
        Turn("assistant", exemplar.revision, "Revision"),
    )
