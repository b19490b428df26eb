"""``cai test``: how well a judge applies each principle, by the examples that the constitution carries.

Each example (a prompt, a better and a worse answer) is judged under its principle in both orders, as the ``label`` stage
would; the two probabilities are averaged, so that a judge which always names the first answer scores one half. What
cannot be read counts as not right. Floors say what would be scored without reading: the first answer, the longer one, the
shorter one.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cai.errors import RowError, UserError
from cai.flow.ask import Ask, generator
from cai.judge.compare import compare
from cai.judge.exam import doubt
from cai.judge.settings import Judging
from cai.judge.statistics import wilson
from cai.models.concurrency import Slots
from cai.models.types import Model, Reply, Request
from cai.store.rows import Draft, Pair, Vote
from constitution.model import Constitution, Example, Principle
from constitution.source import nearest


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as the judge was sent it, and its reply; None where it gave none."""

    request: Request
    reply: Reply | None = None


@dataclass(slots=True)
class RecordedAsk(Ask):
    """An ``Ask`` that keeps what was asked through it."""

    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, request: Request) -> Reply:
        """See ``Ask``."""
        self.exchanges.append(Exchange(request))
        place = len(self.exchanges) - 1
        reply = await Ask.__call__(self, request)
        self.exchanges[place] = Exchange(request, reply)
        return reply


@dataclass(frozen=True, slots=True)
class JudgedExample:
    """One example with the judge's votes in both orders.

    Attributes:
        error: why there are none.
        exchanges: all that the judge was sent of it, and what it replied.
    """

    principle: str
    number: int
    example: Example
    votes: tuple[Vote, ...]
    error: str = ""
    exchanges: tuple[Exchange, ...] = ()

    @property
    def p_better(self) -> float | None:
        """The mean probability of the better answer; None where a vote could not be read."""
        shares = [vote.p_a for vote in self.votes if vote.p_a is not None]
        return sum(shares) / len(shares) if shares and len(shares) == len(self.votes) else None

    @property
    def right(self) -> float:
        """1 where the better answer is preferred, one half for a tie, 0 otherwise."""
        p = self.p_better
        return 0.0 if p is None or p < 0.5 else 0.5 if p == 0.5 else 1.0

    @property
    def same_position(self) -> bool | None:
        """Whether the same position won in both orders; None where a vote could not be read, or none won in it."""
        if self.p_better is None or len(self.votes) < 2 or any(vote.p_a == 0.5 for vote in self.votes):
            return None
        return len({(vote.p_a > 0.5) == (vote.order == "ab") for vote in self.votes if vote.p_a is not None}) == 1

    @property
    def longer(self) -> float:
        """1 where the better answer is the longer one, one half for a tie."""
        better, worse = len(self.example.better), len(self.example.worse)
        return 0.5 if better == worse else float(better > worse)


@dataclass(frozen=True, slots=True)
class Score:
    """What the judge made of some examples; shares are from 0 to 1, None where nothing was counted."""

    examples: int
    accuracy: float | None
    low: float
    high: float
    same_position: float | None
    unreadable: float
    longer: float | None


def testable(constitution: Constitution, only: Sequence[str]) -> list[tuple[Principle, int, Example]]:
    """The examples to be judged.

    Raises:
        UserError: a name is no principle's id, or there are no examples.
    """
    for id in only:
        if id not in constitution.by_id:
            raise UserError(f'--principle: there is no principle "{id}"; {nearest(id, list(constitution.by_id))}')
    examples = [
        (principle, number, example)
        for principle in constitution.principles
        if not only or principle.id in only
        for number, example in enumerate(principle.examples, 1)
        if principle.judgment
    ]
    if only and (untold := untested(constitution, only)):
        raise UserError(f"--principle: {', '.join(untold)}: no examples or no judgment question; add some to test")
    if not examples:
        raise UserError(f"{constitution.name}: no principle with a judgment question has examples; add some to test")
    return examples


def untested(constitution: Constitution, only: Sequence[str]) -> list[str]:
    """The ids of the principles that cannot be tested, among all or the named ones."""
    principles = [each for each in constitution.principles if not only or each.id in only]
    return [each.id for each in principles if not (each.examples and each.judgment)]


async def examine(
    constitution: Constitution, only: Sequence[str], model: Model, want: Judging, on_row: Callable[[], None]
) -> list[JudgedExample]:
    """Judge every example, as many at once as the model takes.

    Raises:
        RunError: the model does not answer at all.
    """
    slots = Slots(model.concurrency)

    async def one(principle: Principle, number: int, example: Example) -> JudgedExample:
        row = _pair(principle, number, example)
        ask, votes, why = RecordedAsk(model, slots, constitution, row.id, generator(0, "test", row.id)), (), ""
        try:
            [preference] = await compare(row, [principle], want, ask)
            votes = preference.votes
        except RowError as error:
            why = str(error)
        on_row()
        return JudgedExample(principle.id, number, example, votes, why, tuple(ask.exchanges))

    return list(await asyncio.gather(*(one(*each) for each in testable(constitution, only))))


def score(judged: Sequence[JudgedExample]) -> Score:
    """The judge's score on some examples."""
    positions = [each.same_position for each in judged if each.same_position is not None]
    right, count = sum(each.right for each in judged), len(judged)
    low, high = wilson(right, count)
    unread = sum(sum(vote.p_a is None for vote in each.votes) / len(each.votes) if each.votes else 1 for each in judged)
    return Score(
        examples=count,
        accuracy=right / count if count else None,
        low=low,
        high=high,
        same_position=sum(positions) / len(positions) if positions else None,
        unreadable=unread / count if count else 0.0,
        longer=sum(each.longer for each in judged) / count if count else None,
    )


def question(judged: Sequence[JudgedExample]) -> str:
    """What to ask oneself of a judge that is surely worse than a coin on the examples it could read; else nothing."""
    scores = [each.right for each in judged if each.p_better is not None]
    todo = "If `better` and `worse` have changed places in the constitution, change them back."
    return doubt(wilson(sum(scores), len(scores))[1], "examples", todo)


def by_principle(judged: Sequence[JudgedExample]) -> dict[str, Score]:
    """A score for each principle, in the constitution's order."""
    ids = dict.fromkeys(each.principle for each in judged)
    return {id: score([each for each in judged if each.principle == id]) for id in ids}


def floors(judged: Sequence[JudgedExample]) -> dict[str, float]:
    """What is scored without reading: by the first answer in each order, the longer one, the shorter one."""
    longer = score(judged).longer or 0.0
    return {"first": 0.5, "longer": longer, "shorter": 1 - longer}


def _pair(principle: Principle, number: int, example: Example) -> Pair:
    messages = ({"role": "user", "content": example.prompt},)
    better, worse = Draft(example.better, "", "stop", 0), Draft(example.worse, "", "stop", 0)
    return Pair(f"{principle.id}/{number}", principle.id, messages, better, worse, "")


def plain(judged: Sequence[JudgedExample]) -> list[dict[str, object]]:
    """Each example's outcome, as JSON has it."""
    return [
        {
            "principle": each.principle,
            "example": each.number,
            "p_better": each.p_better,
            "p_by_order": {vote.order: vote.p_a for vote in each.votes},
            "status": each.error or [vote.status for vote in each.votes if vote.p_a is None] or "read",
        }
        for each in judged
    ]
