"""What is said in a chat: the person's turns with an answer of each model, and the rows that are kept of it.

Each model has a conversation of its own, in which its own answers stand. What both were asked word for word alike, and the
person voted on, is a pair; where their conversations had gone apart before, a vote says nothing of two answers to the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from cai.store.rows import Draft, Message

VOTES = {"1": 0, "2": 1, "t": None}
"""What the person types → the column that won, or neither."""
SIDES = ("response_a", "response_b")
"""Columns of the two answers in a pair's row, which are what its winner is called as well."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What the person said, and what each model answered.

    Attributes:
        winner: of two answers, one of ``SIDES`` or "tie"; empty before the person has voted.
        blind: whether the vote was given without knowing whose answer is whose.
    """

    person: str
    answers: tuple[Draft, ...]
    winner: str = ""
    blind: bool = False


@dataclass(slots=True)
class Talk:
    """A conversation with one model or two.

    Attributes:
        names: of the models.
        order: which model's answers stand in the first column, and in the second.
        hidden: whether the person does not know the order.
    """

    names: Sequence[str]
    system: str = ""
    order: tuple[int, ...] = (0,)
    hidden: bool = False
    turns: list[Turn] = field(default_factory=list)

    def messages(self, side: int, count: int | None = None) -> tuple[Message, ...]:
        """One model's conversation, or its first turns."""
        own: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns[:count]:
            own.append({"role": "user", "content": turn.person})
            own.append({"role": "assistant", "content": turn.answers[side].text})
        return tuple(own)

    def vote(self, word: str) -> None:
        """Keep the person's vote on the last turn: a key of ``VOTES``."""
        column = VOTES[word]
        winner = "tie" if column is None else SIDES[self.order[column]]
        self.turns[-1] = replace(self.turns[-1], winner=winner, blind=self.hidden)

    @property
    def votes(self) -> int:
        """How many turns were voted on."""
        return sum(bool(turn.winner) for turn in self.turns)


def rows(talk: Talk) -> Iterator[dict[str, object]]:
    """What is kept of a conversation: a row for each pair, and each model's conversation where those do not hold all of it.

    ``messages`` are what a stage of prompts asks; a pair's are what was said before its two answers.
    """
    pairs = [number for number, turn in enumerate(talk.turns) if turn.winner and _same(talk, number)]
    yield from (_pair(talk, number) for number in pairs)
    if len(pairs) < len(talk.turns):
        for side, name in enumerate(talk.names):
            votes = {"votes": [_side(turn, side) for turn in talk.turns]} if talk.votes else {}
            yield {"messages": list(talk.messages(side)), "model": name, **votes}


def count_pairs(talk: Talk) -> int:
    """How many of its turns are pairs."""
    return sum("winner" in row for row in rows(talk))


def _same(talk: Talk, number: int) -> bool:
    """Whether both models had been told the same before a turn."""
    return talk.messages(0, number) == talk.messages(1, number)


def _pair(talk: Talk, number: int) -> dict[str, object]:
    turn = talk.turns[number]
    return {
        "messages": [*talk.messages(0, number), {"role": "user", "content": turn.person}],
        **{column: answer.text for column, answer in zip(SIDES, turn.answers, strict=True)},
        "winner": turn.winner,
        "blind": turn.blind,
        **{f"model_{column[-1]}": name for column, name in zip(SIDES, talk.names, strict=True)},
        **{f"finish_{column[-1]}": answer.finish for column, answer in zip(SIDES, turn.answers, strict=True)},
    }


def _side(turn: Turn, side: int) -> str:
    """What a vote says of one model's answer."""
    if turn.winner in ("", "tie"):
        return turn.winner
    return "better" if turn.winner == SIDES[side] else "worse"
