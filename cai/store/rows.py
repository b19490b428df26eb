"""Row types, their JSON codec and their ids.

A row is frozen and only grows: a chain's ``drafts[0]`` is the answer and each revision appends one. Rows are known by id,
never by their text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import combinations
from typing import Any, Literal, TypeVar, cast, get_type_hints

import msgspec

from cai.store.form import Count, Reader, Share, conversation, reader
from cai.store.votes import Status as Status
from cai.store.votes import Vote as Vote
from constitution.model import About
from constitution.tools import features

Message = dict[str, str]
Track = Literal["redteam", "helpful"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation to be answered; the last message is the person's.

    ``category``, ``tags`` and ``language`` are as its file gives them.
    """

    id: str
    messages: tuple[Message, ...]
    source: str
    track: str
    category: str = ""
    tags: tuple[str, ...] = ()
    language: str = ""

    @property
    def about(self) -> About:
        """What principles are chosen by."""
        tags = (self.category, *self.tags) if self.category else self.tags
        return About(self.track, tags, self.language, features(self.messages))


@dataclass(frozen=True, slots=True)
class Draft:
    """One answer. ``principle`` and ``critique`` led to it; both are empty for a first answer.

    ``finish`` is how it ended, see ``cai.models.replies``. ``seed`` is the request's. ``flags`` are what was noticed of it as
    it was made: "leaked_exemplar" and "leaked_request" (see ``cai.data.leaks``), "fine" (its critique found nothing) or
    "not_better" (a judge did not find the revision better), and under the last two it is the draft before it, which stands.
    ``thinking`` is what the model thought before the text, ``critique_thinking`` what it thought before the critique: no part
    of either, and never shown to a critic or a judge.
    """

    text: str
    model: str
    finish: str
    seed: int
    principle: str = ""
    critique: str = ""
    flags: tuple[str, ...] = ()
    thinking: str = ""
    critique_thinking: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """A prompt's answer and its successive drafts, one for each round; ``language`` is the prompt's, ``added`` as in ``Pair``."""

    id: str
    messages: tuple[Message, ...]
    drafts: tuple[Draft, ...]
    source: str
    track: str
    language: str = ""
    added: int = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """See ``Pair``."""
        return self.messages[: len(self.messages) - self.added]

    @property
    def revisions(self) -> tuple[int, ...]:
        """The numbers of the drafts that are revisions: neither the first answer nor the draft before them once more."""
        rounds = enumerate(self.drafts[1:], 1)
        return tuple(number for number, draft in rounds if not {"fine", "not_better"} & set(draft.flags))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt; ``prompt_id`` keeps pairs of one prompt on one side of a split.

    Attributes:
        more: further answers, where a group is sampled to be ranked at once.
        people: what people who compared the two said, one by one: 1 where a is the better, 0 where b is, 0.5 for a tie, or
            the probability that a is. No judge is shown it.
        added: messages at the end that no prompt had: the conversation went on.
    """

    id: str
    prompt_id: str
    messages: tuple[Message, ...]
    a: Draft
    b: Draft
    track: str
    tags: tuple[str, ...] = ()
    language: str = ""
    more: tuple[Draft, ...] = ()
    people: tuple[Share, ...] = ()
    added: Count = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What the conversation began with: rows of one prompt are on one side of a split."""
        return self.messages[: len(self.messages) - self.added]

    @property
    def answers(self) -> tuple[Draft, ...]:
        """All of them; two unless it is a group."""
        return (self.a, self.b, *self.more)

    @property
    def about(self) -> About:
        """What principles are chosen by."""
        return About(self.track, self.tags, self.language, features(self.messages))


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair with its votes and the probability that ``a`` is the better.

    Attributes:
        p_a: the votes together, as read; None where none could be.
        p_label: calibrated and within the clamp, the label to train on; None unless the status is ok.
        p_calibrated: what a fitted judge's probability stands for; None without a calibration.
    """

    id: str
    pair: Pair
    votes: tuple[Vote, ...]
    p_a: Share | None
    p_label: Share | None
    status: Status
    p_calibrated: Share | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the two answers answer."""
        return self.pair.messages

    @property
    def prompt(self) -> tuple[Message, ...]:
        """See ``Pair``."""
        return self.pair.prompt

    @property
    def confidence(self) -> float | None:
        """The probability that a is the better, before the clamp."""
        return self.p_a if self.p_calibrated is None else self.p_calibrated


@dataclass(frozen=True, slots=True)
class Answers:
    """One prompt answered by one model, for evaluation."""

    id: str
    messages: tuple[Message, ...]
    draft: Draft
    track: str
    tags: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """Answers to one prompt, each scored by itself.

    Attributes:
        scores: of the answers in their order, in the unit of the method (``cai.judge.methods.single``); None where one could
            not be read.
        principle: the id of the one they were scored under; empty for methods that show none.
        model: whose scores they are; the method's name where no model is asked.
    """

    id: str
    prompt_id: str
    messages: tuple[Message, ...]
    answers: tuple[Draft, ...]
    scores: tuple[float | None, ...]
    principle: str
    method: str
    model: str
    track: str
    tags: tuple[str, ...] = ()
    language: str = ""
    added: Count = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """See ``Pair``."""
        return self.messages[: len(self.messages) - self.added]


@dataclass(frozen=True, slots=True)
class Drop:
    """A row left out, with its reason (short, counted) and what was made of it so far."""

    id: str
    reason: str
    detail: str = ""
    partial: object = None


def pair_id(row: Pair, one: int, other: int) -> str:
    """The id of a pair of a group's answers; a group of two is the pair itself."""
    return row.id if len(row.answers) == 2 else f"{row.id}:{one}-{other}"


def pairs_of(row: Pair) -> list[Pair]:
    """Every pair of a group."""
    return [
        replace(row, id=pair_id(row, one, other), a=row.answers[one], b=row.answers[other], more=())
        for one, other in combinations(range(len(row.answers)), 2)
    ]


def encode(row: object) -> str:
    """One line of JSON; the same row always gives the same bytes."""
    try:
        line = _FAST.encode(row).decode()
    except (TypeError, ValueError):
        return _JSON.encode(row)
    # Which may be a NaN or an infinity, that are to stay what they are.
    return _JSON.encode(row) if "null" in line else line


def shallow(row: object) -> dict[str, object]:
    """A row's fields by name; what is plain data already is left as it is."""
    return row if isinstance(row, dict) else {name: getattr(row, name) for name in _readers(type(row))}


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=shallow)
_FAST = msgspec.json.Encoder(enc_hook=shallow)


def plain(row: object) -> dict[str, Any]:
    """A row as JSON has it. Unlike ``dataclasses.asdict`` it copies no text, as rows never change."""
    return {name: _plain(each) for name, each in shallow(row).items()}


def _plain(value: object) -> object:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return plain(value)


def decode(kind: type[T], data: Mapping[str, object]) -> T:
    """Plain data → a row type, nested rows and tuples included; ``dict`` leaves it plain. Raises TypeError where it is none."""
    if kind is dict:
        return cast("T", data)
    readers = _readers(kind)
    return kind(**{name: readers[name](value) for name, value in data.items() if name in readers})


@cache
def _readers(kind: type) -> dict[str, Reader]:
    """Field → what makes its value of plain data; looked up once for each row type."""
    hints = get_type_hints(kind, include_extras=True)
    readers = {each.name: reader(hints[each.name], decode) for each in fields(kind)}  # pyright: ignore[reportArgumentType]
    return readers | ({"messages": conversation} if "messages" in readers else {})
