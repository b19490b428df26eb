"""What a user sees while a run goes on: bars in a terminal, plain lines in a log."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

LOG_SECONDS = 15.0
DRAW_SECONDS = 0.1
COUNT_WIDTH = 9


class Open(Protocol):
    """What a stage has open with its model: requests in flight, and those that wait for a slot."""

    @property
    def busy(self) -> int: ...

    @property
    def queued(self) -> int: ...


class Bar:
    """The progress of one stage: rows, tokens and drops, and what its model is doing."""

    def __init__(self, screen: "Screen", name: str, total: int, done: int, unit: str) -> None:
        self.screen, self.name, self.total, self.done, self.unit = screen, name, total, done, unit
        self.first, self.began = done, time.monotonic()
        self.tokens = [0, 0, 0]
        self.dropped: Counter[str] = Counter()
        self.slots: Open | None = None
        self.said = self.drawn = self.began
        self.task: TaskID | None = None
        if screen.progress is not None:
            self.task = screen.progress.add_task(name, total=total, completed=done, note="")

    def advance(self, tokens: Sequence[int] = (0, 0, 0), reason: str = "") -> None:
        """One row more, with its tokens (in, cached, out) and, if it was dropped, why."""
        for place, count in enumerate(tokens):
            self.tokens[place] += count
        if reason:
            self.dropped[reason] += 1
        self.at(self.done + 1)

    def at(self, done: int, note: str = "") -> None:
        """So many are done."""
        self.done = done
        now = time.monotonic()
        if now - self.drawn < DRAW_SECONDS and done < self.total:
            return
        self.drawn = now
        if self.screen.progress is not None and self.task is not None:
            self.screen.progress.update(self.task, completed=done, note=note or self.note())
        elif now - self.said >= LOG_SECONDS:
            self.said = now
            self.screen.say(f"{self.name}: {done}/{self.total} {self.unit}, {note or self.note()}{self._left()}")

    def note(self) -> str:
        """Rates so far, cache hits, requests in flight and waiting, drops by reason."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        asked, cached, out = self.tokens
        words = [f"{(self.done - self.first) / seconds:.1f} {self.unit}/s"]
        if out:
            words.append(f"{out / seconds:,.0f} tokens/s")
        if cached:
            words.append(f"{100 * cached / asked:.0f}% cached")
        if self.slots is not None:
            words.append(f"{self.slots.busy} in flight, {self.slots.queued} waiting")
        if self.dropped:
            reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in self.dropped.most_common(3))
            words.append(f"{self.dropped.total()} dropped ({reasons})")
        return ", ".join(words)

    def _left(self) -> str:
        new = self.done - self.first
        if not new or self.done >= self.total:
            return ""
        left = (self.total - self.done) * (time.monotonic() - self.began) / new
        return f", about {left:.0f} s left"


class Screen:
    """Bars where the console is a terminal, a line now and then where it is not."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.progress: Progress | None = None
        self.shown: dict[str, Bar] = {}

    def say(self, text: str) -> None:
        """One plain line."""
        self.console.print(text, markup=False)

    @contextmanager
    def bars(self) -> Iterator[None]:
        """Bars may be shown until the block is left."""
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(16, table_column=Column(min_width=16)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=COUNT_WIDTH, justify="right")),
            TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
            # Where a terminal is narrow, this is what is cut.
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        )
        with Progress(*columns, console=self.console, transient=True, expand=True) as self.progress:
            yield
        self.progress = None

    def bar(self, name: str, total: int, done: int = 0, unit: str = "rows") -> Bar:
        """A bar for one stage."""
        self.shown[name] = Bar(self, name, total, done, unit)
        return self.shown[name]
