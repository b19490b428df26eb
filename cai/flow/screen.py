"""What a user sees while a run goes on: bars in a terminal, plain lines in a log."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column

from cai.flow.terminal import Terminal
from constitution.visible import visible
from constitution.wording import count

LOG_SECONDS = 10.0
"""Between two lines of a log, whether a row has ended meanwhile or not."""
DRAW_SECONDS = 0.1
BEAT_SECONDS = 1.0
COUNT_WIDTH = 9


class Open(Protocol):
    """What a stage has open with its model: requests in flight, and those that wait for a slot."""

    @property
    def busy(self) -> int: ...

    @property
    def queued(self) -> int: ...


class Bar:
    """The progress of one stage: rows, tokens and drops, what its model is doing, and what the whole run has spent."""

    def __init__(self, screen: "Screen", name: str, total: int, done: int, unit: str) -> None:
        self.screen, self.name, self.total, self.done, self.unit = screen, name, total, done, unit
        self.first, self.began = done, time.monotonic()
        self.tokens, self.requests = [0, 0, 0], 0
        self.dropped: Counter[str] = Counter()
        self.slots: Open | None = None
        self.spent: Callable[[], str] = str
        self.last_line = self.last_look = self.began
        self.task: TaskID | None = None
        if screen.progress is not None:
            self.task = screen.progress.add_task(name, total=total, completed=done, note="", left="")

    def reply(self, tokens: Sequence[int]) -> None:
        """One request more is answered, with its tokens (in, cached, out)."""
        self.requests += 1
        self._spend(tokens)
        self.look()

    def advance(self, tokens: Sequence[int] = (0, 0, 0), reason: str = "") -> None:
        """One row more, with its tokens unless its replies were told, and, if it was dropped, why."""
        self._spend(tokens)
        if reason:
            self.dropped[reason] += 1
        self.at(self.done + 1)

    def at(self, done: int, note: str = "") -> None:
        """So many are done."""
        self.done = done
        self.look(note)

    def look(self, note: str = "") -> None:
        """Show how far it is, unless that was shown a moment ago."""
        now = time.monotonic()
        if now - self.last_look < DRAW_SECONDS and self.done < self.total:
            return
        self.last_look = now
        if self.screen.progress is not None and self.task is not None:
            self.screen.progress.update(self.task, completed=self.done, note=note or self.note(), left=self.left())
        elif now - self.last_line >= LOG_SECONDS:
            self.last_line, left = now, self.left()
            text = f"{self.name}: {self.done}/{self.total} {self.unit}, {note or self.note()}"
            self.screen.say(f"{text}, about {left} left" if left else text)

    def _spend(self, tokens: Sequence[int]) -> None:
        for place in (0, 1, 2):
            self.tokens[place] += tokens[place]

    def note(self) -> str:
        """Rates so far, cache hits, money spent, requests in flight and waiting, drops by reason."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        tokens_in, cached, out = self.tokens
        words = [f"{(self.done - self.first) / seconds:.1f} {self.unit}/s"]
        if self.requests:
            words.append(f"{count(self.requests, 'request')} answered")
        if out:
            words.append(f"{out / seconds:,.0f} tokens/s")
        if cached:
            words.append(f"{100 * cached / tokens_in:.0f}% cached")
        words += filter(None, [self.spent()])
        if self.slots is not None:
            words.append(f"{self.slots.busy} in flight, {self.slots.queued} waiting")
        if self.dropped:
            reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in self.dropped.most_common(3))
            words.append(f"{self.dropped.total()} dropped ({reasons})")
        return ", ".join(words)

    def left(self) -> str:
        """The time left, ``4 min``; empty until more rows have ended than are open, before which it would say nothing."""
        new, open_rows = self.done - self.first, self.slots.busy if self.slots is not None else 0
        if new <= open_rows or self.done >= self.total:
            return ""
        left = (self.total - self.done) * (time.monotonic() - self.began) / new
        return f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min" if left < 6000 else f"{left / 3600:.1f} h"


class Screen:
    """Bars where the console is a terminal, a line now and then where it is not."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Terminal(soft_wrap=True)
        self.progress: Progress | None = None
        self.by_name: dict[str, Bar] = {}

    def say(self, text: str) -> None:
        """One plain line."""
        self.console.print(visible(text), markup=False, emoji=False)

    @contextmanager
    def bars(self) -> Iterator[None]:
        """Bars may be shown until the block is left."""
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description:<14}", markup=False),
            BarColumn(16, table_column=Column(min_width=16)),
            MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=COUNT_WIDTH, justify="right")),
            TextColumn(
                "{task.fields[left]}", markup=False, table_column=Column(no_wrap=True, min_width=6, justify="right")
            ),
            # Where a terminal is narrow, this is what is cut.
            TextColumn(
                "{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
        )
        with Progress(*columns, console=self.console, transient=True, expand=True) as self.progress:
            yield
        self.progress = None

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """As ``bars``; what is shown moves on by itself, so that a stage whose rows take long is not silent."""
        with self.bars():
            beat = asyncio.create_task(self._beat())
            try:
                yield
            finally:
                beat.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            for bar in list(self.by_name.values()):
                if bar.done < bar.total and bar.requests:
                    bar.look()

    def bar(self, name: str, total: int, done: int = 0, unit: str = "rows") -> Bar:
        """A bar for one stage."""
        self.by_name[name] = Bar(self, name, total, done, unit)
        return self.by_name[name]
