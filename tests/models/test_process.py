"""A child lives no longer than its parent, also when the parent is killed outright."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from cai.models import process

PAUSE = "import signal; signal.pause()"
CHILD = f"""
import os, signal, subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", {PAUSE!r}], start_new_session={{apart}})
open({{path!r}}, "w").write(f"{{{{os.getpid()}}}} {{{{grandchild.pid}}}}")
signal.pause()
"""
PARENT = """
import signal, sys
from pathlib import Path
from cai.models import process
process.start([sys.executable, "-c", {child!r}], Path({log!r}), {{}})
signal.pause()
"""


def alive(descriptor: int) -> bool:
    """Whether a process goes on, by its descriptor, which is readable from when it has ended."""
    return not select.select([descriptor], [], [], 0)[0]


def ended(descriptors: Iterable[int]) -> None:
    """Wait for the end of each."""
    for each in descriptors:
        select.select([each], [], [])


def recorded(keeper: subprocess.Popen[bytes], record: Path) -> None:
    """Wait until a keeper has written its record, of which nothing tells but the file."""
    while not record.exists() or str(keeper.pid) not in record.read_text().split():
        time.sleep(0.001)


@pytest.fixture
def pids(tmp_path: Path) -> Path:
    """A pipe: who reads it waits until a child has written there."""
    os.mkfifo(tmp_path / "pids")
    return tmp_path / "pids"


def family(pids: Path) -> list[int]:
    """The descriptors of a child and its grandchild, once both are there."""
    return [os.pidfd_open(int(pid)) for pid in pids.read_text().split()]


@pytest.mark.parametrize("apart", [False, True])
def test_child_and_grandchild_end_when_the_parent_is_killed(tmp_path: Path, pids: Path, apart: bool) -> None:
    """Also where the child gives the grandchild a session of its own, as torchrun does."""
    child = CHILD.format(path=str(pids), apart=apart)
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(child=child, log=str(tmp_path / "log"))])
    both = family(pids)
    assert all(map(alive, both))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    ended(both)


def test_stop_ends_it_and_the_exit_code_is_the_child_s(tmp_path: Path) -> None:
    sleeping = process.start([sys.executable, "-c", PAUSE], tmp_path / "log", {})
    process.stop(sleeping)
    assert sleeping.returncode not in (None, 0)
    failing = process.start([sys.executable, "-c", "print('said'); raise SystemExit(3)"], tmp_path / "log", {})
    assert failing.wait() == 3
    process.stop(failing)
    assert "said" in (tmp_path / "log").read_text()


def test_what_its_child_left_when_it_was_killed_ends_as_well(tmp_path: Path, pids: Path) -> None:
    """A launcher that runs out of memory must not leave processes that go on training."""
    kept = process.start([sys.executable, "-c", CHILD.format(path=str(pids), apart=True)], tmp_path / "log", {})
    child, grandchild = family(pids)
    signal.pidfd_send_signal(child, signal.SIGKILL)
    assert kept.wait() == 128 + signal.SIGKILL
    assert not alive(grandchild)
    process.stop(kept)


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_killed_keeper_left_behind_ends_at_the_next_start(tmp_path: Path, pids: Path, apart: bool) -> None:
    child = CHILD.format(path=str(pids), apart=apart)
    first = process.start([sys.executable, "-c", child], tmp_path / "server.log", {})
    both = family(pids)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert all(map(alive, both))
    second = process.start([sys.executable, "-c", PAUSE], tmp_path / "server.log", {})
    try:
        assert not any(map(alive, both))
        assert second.poll() is None
    finally:
        process.stop(second)
    assert not (tmp_path / "server.pid").exists()


def test_a_server_of_another_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", PAUSE]
    first = process.start(sleeping, tmp_path / "server.log", {})
    recorded(first, tmp_path / "server.pid")
    second = process.start(sleeping, tmp_path / "server.log", {})
    recorded(second, tmp_path / "server.pid")
    assert first.poll() is None
    process.stop(first)
    process.stop(second)
