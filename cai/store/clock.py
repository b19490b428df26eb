"""The wall time in which a stage worked: parts overlap in time, and each moment counts once."""

import time
from contextlib import suppress
from pathlib import Path

from cai.errors import RunError
from cai.store.files import read_form, write_json
from cai.store.form import Amount

CLOCK = ".clock.json"
"""A file of the stage's folder; hidden, as it decides no row."""


class Clock:
    """Runs while any part of a stage is open.

    A part's ledger tells of the time since the one before it was finished, so that the parts' seconds add up to the stage's.
    All that it has run is in a file, saved now and then, from where a session goes on after one that was killed.

    Args:
        path: the file; gone once the stage is sealed.
        ledger: seconds that the ledgers tell of.
    """

    def __init__(self, path: Path, ledger: float) -> None:
        self.path, self.ledger = path, ledger
        self.seconds = ledger
        with suppress(RunError):  # damaged, it is of no weight
            earlier = (read_form(path, dict[str, Amount]) or {}).get("seconds", 0.0)
            self.seconds = max(ledger, earlier)
        self.open, self.moment = 0, 0.0

    def start(self) -> None:
        """One part more is open."""
        self._look()
        self.open += 1

    def stop(self) -> None:
        """One part fewer is."""
        self._look()
        self.open -= 1

    def lap(self) -> float:
        """The seconds that no ledger tells of, for the ledger of a part that is finished now."""
        self._look()
        seconds, self.ledger = self.seconds - self.ledger, self.seconds
        return seconds

    def save(self) -> None:
        """Keep how long it has run; raises as ``write_json``."""
        self._look()
        if self.seconds:
            write_json(self.path, {"seconds": round(self.seconds, 3)})

    def _look(self) -> None:
        now = time.monotonic()
        if self.open:
            self.seconds += now - self.moment
        self.moment = now
