"""What fails for a moment is tried again, with back-off and honouring Retry-After."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

TRIES = 6
LONGEST_AFTER = 300.0
T = TypeVar("T")


class Transient(Exception):
    """Worth another try.

    Attributes:
        after: the server's Retry-After, in seconds.
        busy: whether the server is well and only wants to be asked later.
        status: as HTTP has it; 0 where there was no answer.
        words: what went wrong, without the place.
    """

    def __init__(
        self, words: str, after: float | None = None, busy: bool = False, status: int = 0, place: str = ""
    ) -> None:
        super().__init__(f"{place}: {words}" if place else words)
        self.words, self.after, self.busy, self.status = words, after, busy, status


async def again(first: Transient, attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """Try again what failed with ``first``; a server that is only busy is asked for longer than one that fails.

    Args:
        patience: seconds to ask a busy one.

    Raises:
        Transient: the last try's.
    """

    def enough(state: RetryCallState) -> bool:
        error = _error(state)
        if error and error.busy:
            return (state.seconds_since_start or 0.0) > patience
        return state.attempt_number >= TRIES

    def wait(state: RetryCallState) -> float:
        """As long as the server wishes, and not beyond our patience."""
        error = _error(state)
        if error is None or error.after is None:
            return _backoff(state)
        return min(error.after, max(patience - (state.seconds_since_start or 0.0), 0.0))

    async for each in AsyncRetrying(retry=retry_if_exception_type(Transient), wait=wait, stop=enough, reraise=True):
        with each:
            if each.retry_state.attempt_number == 1:
                raise first
            return await attempt()
    raise AssertionError("unreachable")


_backoff = wait_random_exponential(multiplier=0.5, max=20)


def _error(state: RetryCallState) -> Transient | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Transient) else None


def retry_after(header: str | None) -> float | None:
    """A Retry-After in seconds; None where there is none, or a date, or no number: back-off then does as well."""
    try:
        seconds = float(header) if header else math.nan
    except ValueError:
        return None
    return min(seconds, LONGEST_AFTER) if seconds >= 0 else None
