"""Trainings in processes of their own, each a fork of one that has loaded torch and TRL: a start costs no imports.

What runs is ``python -m cai.train.KIND JOB`` all the same: a process, its command line, its exit, its death.
"""

import multiprocessing
import os
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from cai.train.launch.hardware import Hardware

KINDS = ("sft", "dpo", "orpo", "simpo", "kto", "rrhf", "reward", "ppo", "grpo", "rloo")
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([f"cai.train.{kind}" for kind in KINDS])


def run(module: str, line: list[str], log: str, env: Mapping[str, str], deadly: str = "") -> None:
    """What the fork does; the first four are as for ``python -m``.

    Args:
        deadly: a file; as soon as it exists, the process dies as by ``kill -9``.
    """
    os.environ.update(env)
    with open(log, "ab", buffering=0) as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    if deadly:
        threading.Thread(target=die, args=(Path(deadly),), daemon=True).start()
    sys.argv = [module, *line]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def die(sign: Path) -> None:
    """End this process, without its being asked, once a file exists."""
    while not sign.exists():
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGKILL)


def begin(module: str, line: list[str], log: Path, env: Mapping[str, str] | None = None, deadly: str = "") -> Any:
    """Start a process; see ``run``."""
    process = FORKS.Process(target=run, args=(module, line, str(log), env or {}, deadly))
    process.start()
    return process


def killed(module: str, line: list[str], log: Path, sign: Path) -> None:
    """Run a module until a file exists, and be killed there.

    Raises:
        AssertionError: it ended before.
    """
    process = begin(module, line, log, deadly=str(sign))
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"it ended before it could be killed: {log.read_text()[-2000:]}"


def killed_at(checkpoint: int, kind: str, job: Path) -> None:
    """Train until a checkpoint is complete, and be killed there; raises as ``killed``."""
    sign = job.parent / "checkpoints" / f"checkpoint-{checkpoint}" / "complete"
    killed(f"cai.train.{kind}", [str(job)], job.with_suffix(".log"), sign)


def together(kind: str, job: Path, count: int = 2) -> None:
    """Train in several processes that share the rows, as ``torchrun`` starts them.

    Raises:
        AssertionError: one of them failed.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    same = {
        **Hardware("cpu", count).environment(),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    log = job.with_suffix(".log")
    ranks = [
        begin(f"cai.train.{kind}", [str(job)], log, {**same, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
    while running := [each for each in ranks if each.exitcode is None]:
        wait([each.sentinel for each in running])
        if any(each.exitcode for each in ranks):  # the others would wait for it
            for each in running:
                each.kill()
    assert [each.exitcode for each in ranks] == [0] * count, log.read_text()[-3000:]
