"""A conversation goes on: a model plays the person, and each of the assistant's turns is sampled and compared in its own place.

So preferences show faults that only a later turn has, as where an answer gives way to the third time of asking.
"""

import re

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
STOPS = ("\n\nAssistant:", "\n\nHuman:")


def standing(drafts: list[Draft]) -> Draft | None:
    """The answer with which the conversation goes on: the first that is whole; none where none is."""
    return next((each for each in drafts if each.text and each.finish == "stop"), None)


async def gone_on(
    messages: tuple[Message, ...], answer: Draft, told: str, most: tuple[int, float], ask: Ask
) -> tuple[Message, ...] | None:
    """The conversation with an answer and with the person's next message; None where the person says nothing that serves.

    Args:
        told: what the person's role is told.
        most: tokens of the message, and the temperature it is drawn at.
    """
    said = (*messages, {"role": "assistant", "content": answer.text})
    turn = Turn("user", f"{conversation(said)}\n\nWhat does the person say next?")
    asked = render(ask.model.format, (told or PERSON, (), turn), "Human", STOPS)
    request = Request(asked.messages, asked.prompt, 1, most[0], most[1], stop=STOPS, seed=ask.seed())
    reply = (await ask(request)).samples[0]
    words = _LABEL.sub("", reply.text).strip()
    if reply.finish != "stop" or not words:
        return None
    return (*said, {"role": "user", "content": words})
