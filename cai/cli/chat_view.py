"""How a chat looks: answers in a terminal, beside each other where there are two, or plain text in a pipe."""

import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cai.cli.chat_talk import Talk, Turn
from cai.data.endings import cut
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.store.rows import Draft
from constitution.visible import visible
from constitution.wording import count

NARROW = 60
"""Columns of a terminal under which two answers stand one below the other."""
HELP = (
    ("/retry", "ask the last turn again, or the one that was stopped"),
    ("/undo", "take the last turn back"),
    ("/new", "begin another conversation"),
    ("/thoughts", "show what was thought before the last answers"),
    ("/save FILE", "write what was said, as rows that prompts and pairs read"),
    ("/quit", "end, as Ctrl-D does; Ctrl-C ends an answer"),
)
VOTING = ("1, 2, t", "vote on the last answers: the first, the second, or a tie")
AS_IT_IS = ("\\…", "say a line that would be a command or a vote: \\1, \\/home")


class View:
    """Where a chat is shown.

    Args:
        live: whether a person sits before it; otherwise lines come from a pipe, and what is no answer goes to stderr.
    """

    def __init__(self, screen: Screen, live: bool) -> None:
        self.console, self.live = screen.console, live
        self.console.soft_wrap = False

    def note(self, text: str) -> None:
        """Something that no model said."""
        if self.live:
            self.console.print(Text(text, style="dim"))
        else:
            line(text, error=True)

    def help(self, several: bool) -> None:
        """All commands."""
        for word, what in (*((VOTING,) if several else ()), *HELP, AS_IT_IS):
            self.note(f"{word:<11} {what}")

    @contextmanager
    def waiting(self, names: Sequence[str]) -> Iterator[None]:
        """A sign of life with the seconds so far, while answers are written."""
        if not self.live:
            yield
            return
        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
        with _no_echo(), Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task(f"{' and '.join(names)} …" if len(names) > 1 else f"{names[0]} …", total=None)
            yield

    def answers(self, talk: Talk, turn: Turn) -> None:
        """The answers to a turn, under their models' names."""
        shown = [(heading(talk, column), turn.answers[side]) for column, side in enumerate(talk.order)]
        if not self.live:
            self._plain(shown)
        elif len(shown) > 1 and self.console.width >= NARROW:
            self.console.print(_beside(shown))
        else:
            for name, answer in shown:
                self.console.print(Text(name, style="bold"))
                self.console.print(Padding(_answer(answer), (0, 0, 0, 2), expand=False))
        if self.live:
            self.console.print()

    def _plain(self, shown: Sequence[tuple[str, Draft]]) -> None:
        for name, answer in shown:
            if len(shown) > 1:
                line(f"{name}:")
            line(answer.text)
            if remark := _remark(answer):
                line(f"{name}: {remark}", error=True)
        line("")
        sys.stdout.flush()

    def thoughts(self, talk: Talk, turn: Turn) -> None:
        """What was thought before the answers to a turn."""
        for column, side in enumerate(talk.order):
            name, answer = heading(talk, column), turn.answers[side]
            self.note(f"{name} thought:\n{answer.thinking}" if answer.thinking else f"{name} thought nothing")


@contextmanager
def _no_echo() -> Iterator[None]:
    """What is typed meanwhile is for the next line, and shown there alone."""
    place = sys.stdin.fileno()
    former = termios.tcgetattr(place)
    quiet = [*former]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(place, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):  # a terminal that was closed meanwhile
            termios.tcsetattr(place, termios.TCSADRAIN, former)


def heading(talk: Talk, column: int) -> str:
    """What stands over a column: its number, where there are two, and the model's name, unless that is hidden."""
    name = talk.names[talk.order[column]]
    return name if len(talk.order) == 1 else str(column + 1) if talk.hidden else f"{column + 1} {name}"


def _beside(shown: Sequence[tuple[str, Draft]]) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
    for name, _ in shown:
        grid.add_column(Text(name), ratio=1, overflow="fold")
    grid.add_row(*(_answer(answer) for _, answer in shown))
    return grid


def _answer(answer: Draft) -> RenderableType:
    """An answer with what is to be known of it; its controls are written out before it is laid out, for they take room."""
    remark = _remark(answer)
    folded = (
        f"(thought for {count(len(answer.thinking.split()), 'word')}; /thoughts shows it)" if answer.thinking else ""
    )
    parts = (Text(folded, style="dim"), Text(visible(answer.text)), Text(f"({remark})", style="dim"))
    return Group(*(part for part, wanted in zip(parts, (folded, answer.text, remark), strict=True) if wanted))


def _remark(answer: Draft) -> str:
    """What is to be known of an answer; empty where it is whole."""
    if reason := cut(answer):
        why = {"truncated": "cut off; --max-tokens allows more"}
        return why.get(reason, f"{reason.replace('_', ' ')}; /retry asks again")
    return "" if answer.text else "nothing was said; /retry asks again"
