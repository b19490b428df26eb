"""Servers that misbehave on schedule, full disks, a second process: every row is written once or dropped with its reason.

The faults themselves are in benchmarks/faults.py, which prints the table in benchmarks/README.md; ``outcome`` there also
holds that no row is there twice and that the ledger adds up.
"""

from pathlib import Path

import faults
import pytest
from faults import FOR_GOOD, OF_ONE_ROW, PASSING, PROMPTS, Outcome


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off and probes in hundredths of seconds."""
    monkeypatch.setattr("cai.models.retries._backoff", lambda _: 0.01)
    monkeypatch.setattr("cai.models.pool.PROBE_SECONDS", 0.05)


def whole(found: Outcome) -> bool:
    return (found.kept, found.said, found.sealed) == (PROMPTS, "", True) and not found.dropped


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_costs_no_row(tmp_path: Path, name: str) -> None:
    found = faults.passing(name, tmp_path)
    assert found.faults
    assert whole(found), found


@pytest.mark.parametrize("name", OF_ONE_ROW)
def test_what_is_one_row_s_costs_that_row(tmp_path: Path, name: str) -> None:
    found = faults.of_one_row(name, tmp_path)
    assert (found.kept, found.dropped, found.sealed) == (PROMPTS - 1, {OF_ONE_ROW[name][1]: 1}, True)


@pytest.mark.parametrize("name", FOR_GOOD)
def test_what_is_everyone_s_stops_the_run_and_the_same_command_goes_on(tmp_path: Path, name: str) -> None:
    stopped, after = faults.for_good(name, tmp_path)
    assert FOR_GOOD[name][1] in stopped.said
    assert 0 < stopped.kept < PROMPTS
    assert not stopped.dropped
    assert whole(after), after


def test_a_server_that_still_loads_is_waited_for(tmp_path: Path) -> None:
    found = faults.slow_start(tmp_path)
    assert (found.faults, whole(found)) == (3, True)


def test_one_of_two_servers_is_killed_and_comes_back(tmp_path: Path) -> None:
    assert whole(faults.killed_and_restarted(tmp_path))


def test_the_only_server_goes_for_a_while(tmp_path: Path) -> None:
    assert whole(faults.all_gone_for_a_while(tmp_path))


def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(tmp_path: Path) -> None:
    stopped, after = faults.disk_full(tmp_path)
    assert "part-00001.jsonl: No space left on device; make room" in stopped.said
    assert whole(after), after


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    assert "cannot write" in (said := faults.read_only(tmp_path).said), said


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path) -> None:
    assert whole(faults.clock_jump(tmp_path))


def test_a_second_process_on_the_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    refused, first = faults.two_at_once(tmp_path)
    assert "is in use by another cai run; wait for it or stop it" in refused.said
    assert whole(first), first
