"""What a user sees while a run goes on."""

import asyncio
import io
from collections.abc import Callable

import pytest
from rich.console import Console

import cai.flow.screen
from cai.flow.screen import Screen
from cai.models.concurrency import Slots


def test_a_line_tells_rates_cache_requests_and_drops_by_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cai.flow.screen, "LOG_SECONDS", 0.0)
    monkeypatch.setattr(cai.flow.screen, "DRAW_SECONDS", 0.0)
    out = io.StringIO()
    bar = Screen(Console(file=out, soft_wrap=True)).bar("revise", total=10, done=3)
    bar.slots = Slots(64)
    bar.slots.busy = 1
    bar.spent = lambda: "12.30 of 50 spent"
    bar.advance((100, 60, 20))
    bar.advance((100, 60, 20), "unreadable_critique")
    last = out.getvalue().splitlines()[-1]
    assert last.startswith("revise: 5/10 rows, ")
    for words in (
        "rows/s",
        "tokens/s",
        "60% cached",
        "12.30 of 50 spent",
        "1 in flight, 0 waiting",
        "1 dropped (unreadable critique 1)",
    ):
        assert words in last
    assert "s left" in last


def test_a_screen_is_not_drawn_for_each_of_many_rows() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    screen = Screen(console)
    notes: list[str] = []
    with screen.bars():
        bar = screen.bar("sample", total=10_000)
        note: Callable[[], str] = bar.note
        bar.note = lambda: notes.append("drawn") or note()  # type: ignore[method-assign,func-returns-value]
        for _ in range(10_000):
            bar.advance()
    assert len(notes) < 1000
    assert bar.done == 10_000


def test_a_stage_is_not_silent_until_its_first_row_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cai.flow.screen, "LOG_SECONDS", 0.0)
    monkeypatch.setattr(cai.flow.screen, "BEAT_SECONDS", 0.0)
    out = io.StringIO()
    screen = Screen(Console(file=out, soft_wrap=True))

    async def scene() -> None:
        async with screen.live():
            bar = screen.bar("revise", total=1800)
            bar.slots = Slots(64)
            bar.slots.busy = 64
            bar.reply((100, 60, 20))
            before = out.tell()
            while out.tell() == before:  # lines come, though no row ends and no reply comes
                await asyncio.sleep(0)

    asyncio.run(scene())
    last = out.getvalue().splitlines()[-1]
    assert last.startswith("revise: 0/1800 rows, ")
    for words in ("1 request answered", "tokens/s", "64 in flight"):
        assert words in last
    assert "left" not in last  # of which nothing is known yet
