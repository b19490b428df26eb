"""What a run has spent, and whether it may spend more: requests are handed out only while the budget could pay for all in flight.

A request is held to cost the most that it may (``cai.models.prices.most``), by the densest text so far and the tokens that are
allowed, until its answer tells what it did cost. One that the budget could not pay for waits until others have come in, those of
rows with most steps behind them first, so that rows end. When nothing is in flight any more and the next one may still be too
dear, the run stops: all that was asked for is there.
"""

import asyncio
import heapq
import itertools
from collections.abc import Mapping, Sequence
from typing import TypedDict

from cai.errors import RunError
from cai.models.prices import SINGLY, Price, cost, most, size
from cai.models.types import Model, Reply, Request
from cai.store.ledger import Spent
from cai.store.spending import Spending, Usage

LONG = 1000
"""Bytes of a request from which on it shows how many tokens a byte makes: of a short one the template's count for more."""
MARGIN = 1.5
"""Times as many tokens of a byte as were seen at the most that another request may have."""
LOSS = 1e-4
"""The share of a budget that a kill may take from what is known to be spent."""


class Bill(TypedDict, total=False):
    """What a seal tells of money."""

    spent: dict[str, Spent]
    cost: float


class Purse:
    """A run's money.

    Args:
        spending: the tokens so far, which are added to it, with what they cost.
        prices: by role, of those that have one; they are those of what is asked now, and of what no cost was kept of.
        budget: no bound where it is None.
    """

    def __init__(
        self, spending: Spending, prices: Mapping[str, Price] | None = None, budget: float | None = None
    ) -> None:
        self.spending, self.prices, self.budget = spending, prices or {}, budget
        self.costs = {role: self._cost(role, usage) for role, usage in spending.by_role().items()}
        self.reserve, self.in_flight = 0.0, 0
        self.density: dict[str, float] = {}
        """Tokens of a byte at the most, by role, as far as long requests have shown."""
        self.waiting: list[tuple[int, int, float, asyncio.Future[None]]] = []
        self.arrivals = itertools.count()

    @property
    def spent(self) -> float:
        """What was spent so far, of all sessions."""
        return sum(self.costs.values())

    async def hold(self, role: str, request: Request, model: Model, steps: int) -> float:
        """Set aside what a request may cost, when there is so much; returns it.

        Raises:
            RunError: there is not, though nothing is in flight.
        """
        price = self._price(f"{role}{SINGLY}")
        if self.budget is None or not price:
            return 0.0
        dense = self.density.get(role, 1.0) if size(request) >= LONG else 1.0
        if not (amount := most(price, request, model, dense)):
            return 0.0
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (-steps, next(self.arrivals), amount, turn))
        self._hand_on()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and not turn.exception():
                self.release(amount)  # it was set aside just as its holder was cancelled
            raise
        return amount

    def release(self, amount: float) -> None:
        """A request is in flight no more."""
        if amount:
            self.reserve, self.in_flight = self.reserve - amount, self.in_flight - 1
            self._hand_on()

    def pay(self, stage: str, role: str, request: Request, reply: Reply) -> None:
        """Count an answer.

        Raises:
            RunError: there is a budget, and the server does not say how many tokens it was.
        """
        if self.budget is not None and self.prices.get(role) and not reply.tokens_in:
            raise RunError(
                f"the server of {role} does not say how many tokens it was asked, so that no budget can be kept; take `budget` "
                "out, or the role's `price`"
            )
        if self.budget is not None and (long := size(request)) >= LONG:
            dense = min(MARGIN * reply.tokens_in / long, 1.0)
            self.density[role] = max(self.density.get(role, 0.0), dense)
        if reply.paid is None:
            self.spend(stage, role, reply.spent)
            return
        for way, tokens in reply.paid.items():
            self.spend(stage, f"{role}{way}", tokens)

    def spend(self, stage: str, role: str, tokens: Sequence[int]) -> None:
        """Tokens of a role were used."""
        amount = cost(price, tokens) if (price := self._price(role)) else None
        self.spending.add(stage, role, tokens, amount)
        self.costs[role] = self.costs.get(role, 0.0) + (amount or 0.0)
        if self.budget is not None and self.spending.recent_cost > LOSS * self.budget:
            self.spending.save()

    def bill(self, stage: str) -> Bill:
        """What a stage was billed, by role; nothing where none of them has a price."""
        spent: dict[str, Spent] = {}
        for role, usage in self.spending.of(stage).items():
            tokens_in, cached, out = usage.tokens
            spent[role] = {"tokens_in": tokens_in, "tokens_cached": cached, "tokens_out": out}
            if self._price(role) or usage.cost:
                spent[role]["cost"] = self._cost(role, usage)
        costs = [each["cost"] for each in spent.values() if "cost" in each]
        return {"spent": spent, "cost": sum(costs)} if costs else {}

    def by_role(self) -> str:
        """``policy 2.10, judge 10.20``."""
        priced = dict.fromkeys([*self.prices, *(role for role in self.costs if self._price(role) or self.costs[role])])
        roles = (role for role in priced if role in self.costs or not role.endswith(SINGLY))
        return ", ".join(f"{role} {money(self.costs.get(role, 0.0))}" for role in roles)

    def words(self) -> str:
        """``12.30 of 50 spent``; empty where nothing has a price."""
        if not (self.prices or self.spent):
            return ""
        return f"{money(self.spent)} {'' if self.budget is None else f'of {self.budget:,g} '}spent"

    def _cost(self, role: str, usage: Usage) -> float:
        """What was paid, and by the price of now what no cost was kept of."""
        return usage.cost + cost(self._price(role), usage.unpriced)

    def _price(self, role: str) -> Price:
        """What a role costs; of one that is not asked in batches any more, also what it was asked beside them."""
        return self.prices.get(role) or self.prices.get(role.removesuffix(SINGLY)) or {}

    def _hand_on(self) -> None:
        while self.waiting and (self._fits(self.waiting[0][2]) or not self.in_flight):
            *_, amount, turn = heapq.heappop(self.waiting)
            if turn.done():
                continue
            if self._fits(amount):
                self.reserve, self.in_flight = self.reserve + amount, self.in_flight + 1
                turn.set_result(None)
            else:
                turn.set_exception(RunError(self._too_dear(amount)))

    def _fits(self, amount: float) -> bool:
        return self.budget is None or self.spent + (self.reserve if self.in_flight else 0.0) + amount <= self.budget

    def _too_dear(self, amount: float) -> str:
        return (
            f"{money(self.spent)} of the budget of {self.budget:,g} is spent ({self.by_role()}), and the next "
            f"request may cost up to {money(amount)}; all answers are kept: raise `budget` and run the same command again to go on"
        )


def money(amount: float) -> str:
    """``1,234.50``, ``0.0042``."""
    return f"{amount:,.2f}" if amount >= 1 or not amount else f"{amount:.2g}"
