"""Where the code of a text stands, in the marks of Markdown: blocks between fences, and pieces of a line between ticks."""

import re
from bisect import bisect_left, bisect_right

FENCE = "```"


class Code:
    """The fences, ticks and lines of a text, looked for once, so that each question about a place costs next to nothing.

    Places at which questions are put are the ends of tags, where no run of ticks goes on.
    """

    def __init__(self, text: str) -> None:
        has = "`" in text
        self.fences = [each.end() for each in re.finditer(FENCE, text)] if has else []
        self.ticks = [each.start() for each in re.finditer("`", text)] if has else []
        self.lines = [each.start() for each in re.finditer("\n", text)] if has else []

    def count(self, start: int, end: int) -> int:
        """Fences between two places."""
        return bisect_right(self.fences, end) - bisect_right(self.fences, start)

    def holds(self, place: int, start: int = 0, before: int = 0) -> bool:
        """Whether a place is within a block of code, or a piece of it in a line.

        Args:
            start: where the text begins.
            before: fences that stand before that.
        """
        if not self.ticks:
            return False
        return (before + self.count(start, place)) % 2 == 1 or self._odd(max(start, self._line(place)), place)

    def closes_behind(self, start: int, tag: tuple[int, int]) -> bool:
        """Whether a tag is within code that ends behind it: code that is open to the end of the text closes with nothing.

        Args:
            start: where the text begins.
        """
        place, end = tag
        if not self.holds(place, start):
            return False
        if self.count(start, place) % 2 == 1:
            return (len(self.fences) - bisect_right(self.fences, end)) % 2 == 1
        return self._odd(end, self._line_end(end))

    def _odd(self, start: int, end: int) -> bool:
        """Whether there is an odd number of ticks between two places of a line, beside its fences."""
        ticks = bisect_left(self.ticks, end) - bisect_left(self.ticks, start)
        return (ticks + self.count(start, end)) % 2 == 1

    def _line(self, place: int) -> int:
        """Where the line of a place begins."""
        number = bisect_left(self.lines, place)
        return self.lines[number - 1] + 1 if number else 0

    def _line_end(self, place: int) -> int:
        number = bisect_left(self.lines, place)
        return self.lines[number] if number < len(self.lines) else (self.ticks[-1] + 1 if self.ticks else place)
