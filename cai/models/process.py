"""Keeps a child process no longer than its parent lives: also when the parent is killed with ``kill -9``.

    python -m cai.models.process RECORD COMMAND ARG…

The parent holds the other end of this process's standard input. When that closes, for whatever reason, the child and
all its descendants are ended. Servers and trainers are started through it, so that no orphan holds a GPU or a folder.
Should this process be killed outright, too, a record beside the log lets the next start end what was left behind.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cai.models.bundled import cache_folder

GRACE_SECONDS = 15.0
PR_SET_CHILD_SUBREAPER = 36
"""See ``man 2 prctl``."""


def start(
    command: Sequence[str], log: Path, env: Mapping[str, str], folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a command under a keeper, its output appended to a log; closing ``stdin`` of what is returned ends it.

    Args:
        folder: where it works; in the current one unless given.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    record = log.resolve().with_suffix(".pid")
    _end_left_behind(record)
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "cai.models.process", str(record), *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_bytecode(), **env},
            cwd=folder,
            # Ctrl-C in a terminal goes to the whole group: the run ends its children itself, in order.
            start_new_session=True,
        )


def _bytecode() -> dict[str, str]:
    """Where this process is told to keep no bytecode, as in many containers, children keep theirs in the cache.

    Each of them would otherwise compile torch, TRL and vLLM anew, which takes longer than to import them.
    """
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache_folder().with_name("bytecode"))}


def stop(keeper: subprocess.Popen[bytes]) -> None:
    """End what ``start`` started and wait until it is gone."""
    if keeper.stdin:
        keeper.stdin.close()
    keeper.wait()


def cause(log: Path) -> str:
    """The most telling line of a server's log: its last error, without the prefixes."""
    lines = log.read_text(errors="replace").splitlines()[-400:] if log.exists() else []
    errors = [line for line in lines if re.search(r"\w*(?:Error|Exception)\b: \S", line)]
    # The last error is often only "engine core failed, see root cause above".
    telling = [line for line in errors if "root cause" not in line] or lines[-1:]
    if not telling:
        return "it left no log"
    error = re.search(r"\w*(?:Error|Exception): .*", telling[-1])
    return (error.group() if error else telling[-1]).strip()[:300]


def _end_left_behind(record: Path) -> None:
    """End a child whose keeper was killed before it could."""
    try:
        keeper, child = (each.split() for each in record.read_text().splitlines())
    except (OSError, ValueError):
        return
    if not _runs(*keeper) and _runs(*child):
        _end_all(int(child[0]))
        until = time.monotonic() + GRACE_SECONDS
        while _runs(*child) and time.monotonic() < until:
            time.sleep(0.05)


def _runs(pid: str, started: str) -> bool:
    """Whether this very process is there, and not a later one of its number."""
    return _started(pid) == started != ""


def _started(pid: int | str) -> str:
    """When a process began, in the kernel's ticks; nothing where there is none, or no such kernel."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if after_name[0] == "Z" else after_name[19]


def _end(pid: int, sign: signal.Signals, kill: Callable[[int, int], None] = os.killpg) -> None:
    try:
        kill(pid, sign)
    except ProcessLookupError:
        return


def _end_all(pid: int) -> None:
    """Kill a process, its group, and what it started in groups of their own, as launchers of several processes do."""
    for each in _descendants(pid):
        _end(each, signal.SIGKILL, os.kill)
    _end(pid, signal.SIGKILL)


def _end_below(pid: int) -> None:
    """End all that runs below a process, those first asked that can be."""
    began = time.monotonic()
    while (below := _descendants(pid)) and (seconds := time.monotonic() - began) < 2 * GRACE_SECONDS:
        for each in below:
            _end(each, signal.SIGTERM if seconds < GRACE_SECONDS else signal.SIGKILL, os.kill)
        time.sleep(0.1)


def _descendants(pid: int) -> list[int]:
    """The processes that run below one; none where there is no such kernel."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    pids, below = [], children.get(pid, [])
    while below:
        pids, below = pids + below, [each for parent in below for each in children.get(parent, ())]
    return pids


def _adopt() -> None:
    """Let descendants whose parents are killed become children of this process, so that none gets lost."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> int:
    record = Path(sys.argv[1])
    _adopt()
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True)
    if record.is_symlink():  # what it leads to is not written over
        record.unlink()
    record.write_text("".join(f"{pid} {_started(pid)}\n" for pid in (os.getpid(), child.pid)))

    def watch() -> None:
        os.read(0, 1)  # returns when the parent closes its end, or is no more
        _end(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _end_all(child.pid)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    _end(child.pid, signal.SIGKILL)  # its group, then descendants that outlived it elsewhere
    _end_below(os.getpid())
    record.unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
