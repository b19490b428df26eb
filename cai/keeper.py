"""Keeps a child process no longer than its parent lives: also when the parent is killed with ``kill -9``.

    python -m cai.keeper RECORD COMMAND ARG…

The parent holds the other end of this process's standard input. When that closes, for whatever reason, the child and
all its descendants are ended. Servers and trainers are started through it, so that no orphan holds a GPU or a folder.
Should this process be killed outright, too, a record beside the log lets the next start end what was left behind.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 15.0


def start(command: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command under a keeper, its output appended to a log; closing ``stdin`` of what is returned ends it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    record = log.with_suffix(".pid")
    _end_left_behind(record)
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "cai.keeper", str(record), *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            # Ctrl-C in a terminal goes to the whole group: the run ends its children itself, in order.
            start_new_session=True,
        )


def stop(keeper: subprocess.Popen[bytes]) -> None:
    """End what ``start`` started and wait until it is gone."""
    if keeper.stdin:
        keeper.stdin.close()
    keeper.wait()


def _end_left_behind(record: Path) -> None:
    """End a child whose keeper was killed before it could."""
    try:
        keeper, child = (each.split() for each in record.read_text().splitlines())
    except (OSError, ValueError):
        return
    if not _runs(*keeper) and _runs(*child):
        _end(int(child[0]), signal.SIGKILL)
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


def _end(group: int, sign: signal.Signals) -> None:
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return


def main() -> int:
    record = Path(sys.argv[1])
    child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True)
    record.write_text("".join(f"{pid} {_started(pid)}\n" for pid in (os.getpid(), child.pid)))

    def watch() -> None:
        os.read(0, 1)  # returns when the parent closes its end, or is no more
        _end(child.pid, signal.SIGTERM)
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            _end(child.pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    _end(child.pid, signal.SIGKILL)  # descendants that outlived the child
    record.unlink(missing_ok=True)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
