"""Keeps a child process no longer than its parent lives: also when the parent is killed with ``kill -9``.

    python -m cai.keeper COMMAND ARG…

The parent holds the other end of this process's standard input. When that closes, for whatever reason, the child and
all its descendants are ended. Servers and trainers are started through it, so that no orphan holds a GPU or a folder.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_SECONDS = 15.0


def start(command: Sequence[str], log: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command under a keeper, its output appended to a log; closing ``stdin`` of what is returned ends it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "cai.keeper", *command],
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


def _end(group: int, sign: signal.Signals) -> None:
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return


def main() -> int:
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)

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
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
