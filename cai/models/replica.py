"""One server: its URL, what it has to do and how it has been doing."""

import time

from cai.models.transport import public

FAILURES_BEFORE_REST = 3
REST_SECONDS = 5.0
LONGEST_REST = 60.0


class Replica:
    """One server of a model.

    Attributes:
        title: its URL as people are shown it.
    """

    def __init__(self, url: str) -> None:
        base, mark, query = url.partition("?")
        base = base.rstrip("/").removesuffix("/chat/completions").removesuffix("/completions")
        self.url = f"{base}{mark}{query}"
        self.title = public(self.url)
        self.load = self.requests = self.failures = 0
        self.rests_until = 0.0

    def well(self) -> bool:
        """Whether it may be asked; after a rest, by one request that shows whether it is well again."""
        if self.failures < FAILURES_BEFORE_REST:
            return True
        return time.monotonic() >= self.rests_until and not self.load

    def note_failure(self) -> None:
        """One more request that it did not answer."""
        self.failures += 1
        rests = self.failures - FAILURES_BEFORE_REST
        if rests >= 0:
            self.rests_until = time.monotonic() + min(REST_SECONDS * 2**rests, LONGEST_REST)

    def note_answer(self) -> None:
        """It is well."""
        self.failures, self.rests_until = 0, 0.0
