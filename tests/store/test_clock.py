"""A stage's seconds: those in which it worked, each once, however its parts overlap and whenever it is killed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from cai.store import clock
from cai.store.ledger import Fingerprint
from cai.store.part import Part
from cai.store.reopen import reopen
from cai.store.rows import Prompt
from cai.store.stage import Stage

SETTINGS = Fingerprint("s", {}, 0, "", {}, {})


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, which goes on when a test says so."""
    time = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    return stage


def finish(part: Part) -> None:
    row_id = str(part.number)
    part.put(row_id, [Prompt(row_id, (), "", "redteam")], (1, 0, 1))
    part.finish([row_id])


def test_parts_that_overlap_count_each_moment_once(stage: Stage, time: SimpleNamespace) -> None:
    first, long = Part(stage, 0), Part(stage, 1)
    time.now += 10
    finish(first)
    time.now += 10
    third = Part(stage, 2)
    time.now += 10
    finish(third)
    time.now += 1
    finish(long)
    time.now += 100  # no part is open
    last = Part(stage, 3)
    time.now += 5
    finish(last)
    assert stage.tally().seconds == 36
    assert [tally.seconds for tally in stage.part_tallies().values()] == [10, 20, 1, 5]


def test_a_killed_session_counts_as_far_as_it_was_saved(stage: Stage, time: SimpleNamespace) -> None:
    parts = [Part(stage, number) for number in range(3)]
    time.now += 10
    finish(parts[0])
    time.now += 7
    stage.clock.save()
    time.now += 1  # lost: the process is killed here, and the next one's time begins elsewhere
    time.now = 3.0
    again = Stage(stage.folder)
    left = [Part(again, number) for number in (1, 2)]
    time.now += 4
    for part in left:
        finish(part)
    again.close(SETTINGS, again.tally())
    assert again.seal and again.seal["seconds"] == 21
    assert not (stage.folder / clock.CLOCK).exists()


def test_what_a_ledger_tells_of_is_not_counted_again(stage: Stage, time: SimpleNamespace) -> None:
    parts = [Part(stage, number) for number in range(2)]
    time.now += 10
    stage.clock.save()
    finish(parts[0])  # and killed here
    again = Stage(stage.folder)
    part = Part(again, 1)
    time.now += 1
    finish(part)
    assert again.tally().seconds == 11


def test_a_reopened_stage_keeps_what_it_took(stage: Stage, time: SimpleNamespace, tmp_path: Path) -> None:
    parts = [Part(stage, number) for number in range(3)]
    time.now += 10
    for part in parts[:2]:
        finish(part)
    time.now += 2
    stage.clock.save()
    reopen(stage, tmp_path, SETTINGS, {"1"})
    again = Stage(stage.folder)
    for part in [Part(again, number) for number in (1, 2)]:
        time.now += 3
        finish(part)
    assert again.tally().seconds == 18


@pytest.mark.parametrize(
    "kept", ['{"seconds": null}', '{"seconds": "long"}', '{"seconds": Infinity}', "[1]", "{}", "", "\0"]
)
def test_a_clock_that_somebody_damaged_is_of_no_weight(stage: Stage, time: SimpleNamespace, kept: str) -> None:
    (stage.folder / clock.CLOCK).write_text(kept)
    part = Part(stage, 0)
    time.now += 3
    finish(part)
    assert stage.tally().seconds == 3
