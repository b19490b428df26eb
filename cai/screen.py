"""What a user sees while a run goes on: bars in a terminal, plain lines in a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LOG_SECONDS = 15.0


class Bar:
    """The progress of one stage: rows, tokens and drops."""

    def __init__(self, screen: "Screen", name: str, total: int, done: int, unit: str) -> None:
        self.screen, self.name, self.total, self.done, self.unit = screen, name, total, done, unit
        self.first, self.began = done, time.monotonic()
        self.tokens = self.dropped = 0
        self.said = self.began
        self.task: TaskID | None = None
        if screen.progress is not None:
            self.task = screen.progress.add_task(name, total=total, completed=done, note="")

    def advance(self, tokens: int = 0, kept: bool = True) -> None:
        """One row more, with the tokens generated for it."""
        self.tokens += tokens
        self.dropped += not kept
        self.at(self.done + 1)

    def at(self, done: int, note: str = "") -> None:
        """So many are done."""
        self.done = done
        note = note or self.note()
        if self.screen.progress is not None and self.task is not None:
            self.screen.progress.update(self.task, completed=done, note=note)
        elif time.monotonic() - self.said >= LOG_SECONDS:
            self.said = time.monotonic()
            self.screen.say(f"{self.name}: {done}/{self.total} {self.unit}, {note}{self._left()}")

    def note(self) -> str:
        """Rates so far: rows a second, generated tokens a second, drops."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        words = [f"{(self.done - self.first) / seconds:.1f} {self.unit}/s"]
        if self.tokens:
            words.append(f"{self.tokens / seconds:.0f} tokens/s")
        if self.dropped:
            words.append(f"{self.dropped} dropped")
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
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as self.progress:
            yield
        self.progress = None

    def bar(self, name: str, total: int, done: int = 0, unit: str = "rows") -> Bar:
        """A bar for one stage."""
        return Bar(self, name, total, done, unit)
