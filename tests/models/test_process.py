"""A child lives no longer than its parent, also when the parent is killed outright."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.models import process

CHILD = """
import os, subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session={apart})
open({path!r}, "w").write(f"{{os.getpid()}} {{grandchild.pid}}")
time.sleep(3600)
"""
PARENT = """
import sys, time
from pathlib import Path
from cai.models import process
process.start([sys.executable, "-c", {child!r}], Path({log!r}), {{}})
time.sleep(3600)
"""


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait(until: Callable[[], bool]) -> None:
    while not until():
        time.sleep(0.01)


def family(pids: Path) -> list[int]:
    """A child and its grandchild, once both are there."""
    wait(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    return [int(pid) for pid in pids.read_text().split()]


@pytest.mark.parametrize("apart", [False, True])
def test_child_and_grandchild_end_when_the_parent_is_killed(tmp_path: Path, apart: bool) -> None:
    """Also where the child gives the grandchild a session of its own, as torchrun does."""
    pids = tmp_path / "pids"
    child = CHILD.format(path=str(pids), apart=apart)
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(child=child, log=str(tmp_path / "log"))])
    both = family(pids)
    assert all(map(alive, both))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait(lambda: not any(map(alive, both)))


def test_stop_ends_it_and_the_exit_code_is_the_child_s(tmp_path: Path) -> None:
    sleeping = process.start([sys.executable, "-c", "import time; time.sleep(3600)"], tmp_path / "log", {})
    process.stop(sleeping)
    assert sleeping.returncode not in (None, 0)
    failing = process.start([sys.executable, "-c", "print('said'); raise SystemExit(3)"], tmp_path / "log", {})
    assert failing.wait() == 3
    process.stop(failing)
    assert "said" in (tmp_path / "log").read_text()


def test_what_its_child_left_when_it_was_killed_ends_as_well(tmp_path: Path) -> None:
    """A launcher that runs out of memory must not leave processes that go on training."""
    pids = tmp_path / "pids"
    kept = process.start([sys.executable, "-c", CHILD.format(path=str(pids), apart=True)], tmp_path / "log", {})
    child, grandchild = family(pids)
    os.kill(child, signal.SIGKILL)
    assert kept.wait() == 128 + signal.SIGKILL
    assert not alive(grandchild)
    process.stop(kept)


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_killed_keeper_left_behind_ends_at_the_next_start(tmp_path: Path, apart: bool) -> None:
    child = CHILD.format(path=str(tmp_path / "pids"), apart=apart)
    first = process.start([sys.executable, "-c", child], tmp_path / "server.log", {})
    both = family(tmp_path / "pids")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert all(map(alive, both))
    second = process.start([sys.executable, "-c", "import time; time.sleep(3600)"], tmp_path / "server.log", {})
    try:
        wait(lambda: not any(map(alive, both)))
        assert second.poll() is None
    finally:
        process.stop(second)
    assert not (tmp_path / "server.pid").exists()


def test_a_server_of_another_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(3600)"]
    first = process.start(sleeping, tmp_path / "server.log", {})
    record = tmp_path / "server.pid"
    wait(record.exists)
    second = process.start(sleeping, tmp_path / "server.log", {})
    wait(lambda: str(second.pid) in record.read_text().split())
    assert first.poll() is None
    process.stop(first)
    process.stop(second)
