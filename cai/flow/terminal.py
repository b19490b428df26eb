"""The only ways by which text reaches a terminal: a console for tables and bars, and plain lines."""

import io
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from constitution.visible import visible


class Terminal(Console):
    """A console that takes no text for markup, emoji codes or controls, whoever wrote it."""

    def __init__(self, **more: object) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **more})  # pyright: ignore[reportArgumentType]

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does it; its own controls, which are no text, pass."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def line(text: object, error: bool = False) -> None:
    """One plain line, on stderr where it is an error."""
    print(visible(str(text)), file=sys.stderr if error else sys.stdout)


def data_line(text: str) -> None:
    """One line of data on stdout: as it is where a program or a file takes it, as ``line`` on a terminal."""
    if sys.stdout.isatty():
        line(text)
    else:
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
            sys.stdout.reconfigure(encoding="utf-8")  # as files have it, whatever the terminal's encoding
        sys.stdout.write(f"{text}\n")
