"""A conversation goes on: a model plays the person, and each of the assistant's turns is compared or revised in its own place.

So a set shows faults that only a later turn has, as where an answer gives way to the third time of asking.
"""

import re
from collections.abc import Iterable
from typing import Protocol

from cai.flow.ask import Ask
from cai.models.types import Request
from cai.store.rows import Draft, Message
from constitution.turns import Turn, conversation, render

PERSON = (
    "You play the person in a conversation with an AI assistant. Want what the person wants and speak as they speak: ask on, "
    "give what was asked for, or insist where the assistant did not do what you came for. Reply with the person's next "
    "message alone."
)
"""What the role that plays the person is told, unless the block has words of its own."""
_LABEL = re.compile(r"\A\s*(?:Human|User|Person)\s*:\s*", re.IGNORECASE)
LEAKED = {"leaked_exemplar", "leaked_request"}
STOPS = ("\n\nAssistant:", "\n\nHuman:")


class Dialogue(Protocol):
    """What a block says of conversations that go on, see ``cai.stages.sample.Sample``."""

    @property
    def user(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def temperature(self) -> float: ...


def standing(drafts: Iterable[Draft]) -> Draft | None:
    """The answer with which the conversation goes on: the first that is whole and its own; none where none is."""
    whole = (each for each in drafts if each.text and each.finish == "stop")
    return next((each for each in whole if not LEAKED & set(each.flags)), None)


async def next_turn(
    messages: tuple[Message, ...], answer: Draft | None, want: Dialogue, ask: Ask
) -> tuple[Message, ...] | None:
    """The conversation with an answer and the person's next message; None, and counted, where there is not both."""
    if answer:
        messages = (*messages, {"role": "assistant", "content": answer.text})
        if words := await _message(messages, want, ask.of(want.user)):
            return (*messages, {"role": "user", "content": words})
    ask.counts["conversations_cut_short"] += 1
    return None


async def _message(messages: tuple[Message, ...], want: Dialogue, ask: Ask) -> str:
    """What the person says next; nothing where that is not whole."""
    turn = Turn("user", f"{conversation(messages)}\n\nWhat does the person say next?")
    asked = render(ask.model.format, (want.person or PERSON, (), turn), "Human", STOPS)
    request = Request(asked.messages, asked.prompt, 1, want.max_tokens, want.temperature, stop=STOPS, seed=ask.seed())
    reply = (await ask(request)).samples[0]
    return _LABEL.sub("", reply.text).strip() if reply.finish == "stop" else ""
