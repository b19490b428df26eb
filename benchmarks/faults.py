"""Servers that misbehave on schedule, and what becomes of a run: every row is written once or dropped with its reason.

    python benchmarks/faults.py

Each fault is put in the way of a whole ``cai run`` (answer → critique → revision on 40 prompts, rows stored). The table
says how often the fault came, how many rows were kept and dropped, and what the run said. ``tests/test_faults.py`` holds
each line to what it should be.
"""

import errno
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from aiohttp import web
from faulty import Answer, Faulty, empty, hang, reset, serving, status, torn
from rich.console import Console
from server import end_server, running

from cai.errors import CaiError
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.run.walk import start

PROMPTS = 40
RECIPE = """\
name: faults
constitution: principles/harmless.yaml
models:
  policy: {{endpoints: [{urls}], model: mock, concurrency: 8, timeout: 1.0, patience: {patience}}}
stages:
  - prompts: {{redteam: prompts.jsonl, heldout: 0, part_size: 16}}
  - revise: {{model: policy, rounds: 1, exemplars: 0}}
"""


@dataclass(slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        faults: how often the fault came.
        said: the error's sentence, empty where the run came to its end.
    """

    faults: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    said: str = ""
    sealed: bool = False


def run(folder: Path, *urls: str, patience: float = 5.0) -> str:
    """One ``cai run`` in the folder; returns the error's sentence."""
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"p{n:02}", "prompt": f"Prompt {n}?"}) + "\n" for n in range(PROMPTS)))
    (folder / "faults.yaml").write_text(RECIPE.format(urls=", ".join(f'"{url}"' for url in urls), patience=patience))
    try:
        start(load_recipe(folder / "faults.yaml"), folder / "run", Screen(Console(quiet=True)))
    except CaiError as error:
        return str(error)
    return ""


def outcome(folder: Path, said: str, *servers: Faulty) -> Outcome:
    """What the run's folder holds: each row once, kept or dropped.

    Raises:
        AssertionError: a row is there twice, or the seal does not add up.
    """
    stage = folder / "run" / "revise"
    files = [*stage.glob("part-*.jsonl"), *stage.glob("part-*.open")]
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    kept = [line.get("id") or line["in"] for line in lines]
    left_out = stage / "drops.jsonl"
    drops = [json.loads(line) for line in left_out.read_text().splitlines()] if left_out.exists() else []
    ids = [*kept, *(drop["in"] for drop in drops)]
    assert len(ids) == len(set(ids)), "a row is there twice"
    found = Outcome(sum(each.failed for each in servers), len(kept), Counter(drop["reason"] for drop in drops), said)
    if (stage / "seal.json").exists():
        seal = json.loads((stage / "seal.json").read_text())
        assert seal["rows_in"] == PROMPTS == seal["rows_kept"] + sum(seal["dropped"].values())
        assert (seal["rows_kept"], seal["dropped"]) == (found.kept, dict(found.dropped))
        found.sealed = True
    return found


def one_prompt(code: int, text: str) -> Answer:
    """Only what is about prompt 7 fails, always."""
    odd = lambda body: re.search(r"Prompt 7\?", json.dumps(body["messages"]))  # noqa: E731
    return lambda request, body: web.Response(status=code, text=text) if odd(body) else None


PASSING: dict[str, tuple[Answer, int]] = {
    "429": (status(429), 5),
    "429 with Retry-After": (status(429, Retry_After="0.2"), 5),
    "500": (status(500), 5),
    "503": (status(503), 5),
    "503 with Retry-After": (status(503, Retry_After="0.2"), 5),
    "reset connection": (reset, 5),
    "hang (timeout 1 s)": (hang, 20),
    "truncated JSON": (torn, 5),
    "empty choices": (empty, 5),
}
"""Faults that pass: all rows are kept."""
OF_ONE_ROW: dict[str, tuple[Answer, str]] = {
    "context too long, one row": (
        one_prompt(400, "This model's maximum context length is 9 tokens"),
        "context_too_long",
    ),
    "refused, one row": (one_prompt(400, "content policy"), "refused_by_server"),
    "500 always, one row": (one_prompt(500, "on schedule"), "server_error"),
}
"""Faults of one row: it alone is dropped, with this reason."""
FOR_GOOD: dict[str, tuple[Answer, str]] = {
    "wrong model": (status(404), "refuses mock (404 on schedule); check `model` and the URL"),
    "key refused": (status(401), "refuses mock (401 on schedule); check the key (api_key_env)"),
    "429 for good": (status(429), "mock has been too busy for 1 s: 429 on schedule"),
}
"""Faults of everyone: the run stops with this sentence, and the same command goes on when they are gone."""


def passing(name: str, folder: Path) -> Outcome:
    """A run through a fault that passes."""
    server = Faulty(*PASSING[name])
    with serving(server) as url:
        return outcome(folder, run(folder, url), server)


def of_one_row(name: str, folder: Path) -> Outcome:
    """A run with a row that cannot be done."""
    server = Faulty(OF_ONE_ROW[name][0], every=1)
    with serving(server) as url:
        return outcome(folder, run(folder, url), server)


def for_good(name: str, folder: Path) -> tuple[Outcome, Outcome]:
    """A run that has to stop, and the same command when the fault is gone."""
    server = Faulty(lambda request, body: FOR_GOOD[name][0](request, body) if server.asked > 30 else None, every=1)
    with serving(server) as url:
        stopped = outcome(folder, run(folder, url, patience=1.0), server)
        server.fault = None
        return stopped, outcome(folder, run(folder, url, patience=1.0), server)


def slow_start(folder: Path) -> Outcome:
    """A server that is there and has not loaded its model yet."""
    server = Faulty(loading=3)
    with serving(server) as url:
        return outcome(folder, run(folder, url), server)


def killed_and_restarted(folder: Path) -> Outcome:
    """One of two servers is killed in mid-run and comes back."""
    steady, dying = Faulty(), Faulty()
    with serving(steady) as url, running(0, mean=0.02) as first:
        port = int(first.rsplit(":", 1)[1])

        def kill_and_restart() -> None:
            while steady.asked < 20:
                time.sleep(0.005)
            end_server(port)
            dying.failed += 1
            time.sleep(0.5)
            again.enter_context(running(port, mean=0.02))

        with ExitStack() as again:
            thread = threading.Thread(target=kill_and_restart)
            thread.start()
            said = run(folder, url, f"{first}/v1")
            thread.join()
    return outcome(folder, said, dying)


def all_gone_for_a_while(folder: Path) -> Outcome:
    """The only server goes in mid-run and comes back within the patience."""
    server = Faulty()
    with ExitStack() as first:
        url = first.enter_context(serving(server))

        def go_and_come() -> None:
            while server.asked < 30:
                time.sleep(0.01)
            first.close()
            server.failed += 1
            time.sleep(1.5)
            again.enter_context(serving(server, int(url.split(":")[2].split("/")[0])))

        with ExitStack() as again:
            thread = threading.Thread(target=go_and_come)
            thread.start()
            said = run(folder, url, patience=30.0)
            thread.join()
            return outcome(folder, said, server)


def _no_room(file: int, kept: Callable[[int], None] = os.fsync) -> None:
    """Brings a file to the disk, on which there is no room for the second part's rows."""
    if os.readlink(f"/proc/self/fd/{file}").endswith(".part-00001.jsonl.tmp"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    kept(file)


def disk_full(folder: Path) -> tuple[Outcome, Outcome]:
    """No room for a part's rows, then room again."""
    server = Faulty()
    with serving(server) as url:
        server.failed = 1
        with patch("os.fsync", _no_room):
            stopped = outcome(folder, run(folder, url), server)
        return stopped, outcome(folder, run(folder, url), server)


def read_only(folder: Path) -> Outcome:
    """A folder that nobody may write to, whoever runs this."""
    with serving(Faulty()) as url:
        (folder / "run").symlink_to("/sys/kernel")
        return Outcome(faults=1, said=run(folder, url))


def clock_jump(folder: Path) -> Outcome:
    """The wall clock goes back an hour, and forward a day, in mid-run."""
    real, jumps = time.time, (0.0, -3600.0, 86400.0)
    server = Faulty()
    with serving(server) as url:
        time.time = lambda: real() + jumps[min(server.asked // 40, 2)]
        try:
            said = run(folder, url)
        finally:
            time.time = real
        server.failed = 2
        return outcome(folder, said, server)


def two_at_once(folder: Path) -> tuple[Outcome, Outcome]:
    """A second process on the same run's folder, which is refused, and what becomes of the first."""
    server = Faulty()
    server.held = True
    with serving(server) as url:
        said: list[str] = []
        first = threading.Thread(target=lambda: said.append(run(folder, url)))
        first.start()
        while not server.asked:
            time.sleep(0.005)
        line = [sys.executable, "-m", "cai.cli", "run", str(folder / "faults.yaml"), "--out", str(folder / "elsewhere")]
        (folder / "elsewhere").mkdir()
        (folder / "elsewhere" / "faults").symlink_to(folder / "run")
        second = subprocess.run(line, capture_output=True, text=True)
        server.held = False
        first.join()
        return Outcome(faults=1, said=second.stderr.strip()), outcome(folder, said[0], server)


def main() -> None:
    """Print the table."""
    print("| fault | times | kept | dropped | what the run said |\n|---|---|---|---|---|")

    def line(name: str, found: Outcome) -> None:
        drops = ", ".join(f"{reason} {count}" for reason, count in found.dropped.items()) or "0"
        said = re.sub(r"/\S*?/\d+/(?:run|elsewhere/faults)\b", "RUN", re.sub(r"127\.0\.0\.1:\d+", "HOST", found.said))
        print(f"| {name} | {found.faults} | {found.kept} | {drops} | {said} |", flush=True)

    with tempfile.TemporaryDirectory() as place:
        folders = (Path(place) / str(number) for number in range(99))
        for name in PASSING:
            line(name, passing(name, _made(next(folders))))
        for name in OF_ONE_ROW:
            line(name, of_one_row(name, _made(next(folders))))
        for name in FOR_GOOD:
            stopped, after = for_good(name, _made(next(folders)))
            line(name, stopped)
            line("… the same command when it is gone", after)
        line("slow start", slow_start(_made(next(folders))))
        line("one of two servers killed and restarted", killed_and_restarted(_made(next(folders))))
        line("the only server gone for a while", all_gone_for_a_while(_made(next(folders))))
        for name, both in (("disk full", disk_full), ("two processes on one folder", two_at_once)):
            stopped, after = both(_made(next(folders)))
            line(name, stopped)
            line("… the first of the two" if both is two_at_once else "… the same command when it is gone", after)
        line("read-only folder", read_only(_made(next(folders))))
        line("clock jumps", clock_jump(_made(next(folders))))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
