"""How many requests a model answers at once, and which of those that wait is next."""

import asyncio
import heapq
import itertools
import math

TAIL_ROWS = 2
"""Rows for each slot that are the tail. Of fewer than one for each slot none waits, and nothing can be put in order."""


class Slots:
    """At most ``limit`` holders at once; the limit may change while some hold.

    The row with most steps behind it is next, so that rows end, and are on disk and leave the server's cache, before new
    ones begin. In the tail, when ``TAIL_ROWS`` rows a slot are left, the one with fewest steps behind it is next: rows
    that have most left to do start on it early, and no long chain is left to run alone at the end.

    Args:
        limit: holders at once, to begin with.
        most: what the limit may grow to; ``limit`` itself unless given.

    Attributes:
        busy: holders now.
        peak: holders at the most so far.
    """

    def __init__(self, limit: int, most: int | None = None) -> None:
        self.limit, self.most = limit, most or limit
        self.busy = self.peak = 0
        self.rows_left: float = math.inf
        self.tail = False
        self.waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self.arrivals = itertools.count()

    @property
    def queued(self) -> int:
        """How many wait."""
        return len(self.waiting)

    def remain(self, rows: float) -> None:
        """Say how many rows are left, those that are open included; infinity while nobody knows."""
        self.rows_left = rows
        self._reorder()

    def resize(self, limit: int) -> None:
        """Let more hold at once, or fewer as those that do let go."""
        self.limit = max(1, min(limit, self.most))
        self._reorder()
        self._hand_on()

    async def acquire(self, step: int) -> None:
        """Wait for a slot."""
        if self.busy < self.limit:
            self._take()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.waiting, (self._rank(step), next(self.arrivals), step, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # the slot was given just as its holder was cancelled
            raise

    def release(self) -> None:
        """Hand the slot on."""
        self.busy -= 1
        self._hand_on()

    def _hand_on(self) -> None:
        while self.waiting and self.busy < self.limit:
            *_, turn = heapq.heappop(self.waiting)
            if not turn.done():
                self._take()
                turn.set_result(None)

    def _take(self) -> None:
        self.busy += 1
        self.peak = max(self.peak, self.busy)

    def _reorder(self) -> None:
        """Put those that wait in the order that the rows left ask for, where that is another one now."""
        tail = self.rows_left <= TAIL_ROWS * self.limit
        if tail != self.tail:
            self.tail = tail
            self.waiting = [(self._rank(step), arrival, step, turn) for _, arrival, step, turn in self.waiting]
            heapq.heapify(self.waiting)

    def _rank(self, step: int) -> int:
        return step if self.tail else -step
