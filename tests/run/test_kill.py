"""``kill -9`` at any moment, then the same command again: the same rows, byte for byte, and none done twice."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """\
- {when: "^Revision request", say: ["A kinder answer, number {seed}."], delay: 0.004}
- {when: "Critique request", say: ["It is careless ({seed}).", "It is rude ({seed}).", "-"]}
- {when: "Question: ", say: ["The first."], choose: {A: 0.7, B: 0.2}}
- {say: ["I am sorry, no ({seed}).", "Here is how, number {seed}."]}
"""
RECIPE = (ROOT / "tests" / "data" / "scripted.yaml").read_text().replace("limit: 40", "limit: 120")
ROWS = ("part-*.jsonl", "drops.jsonl", "*.parquet", "metrics.json")


def command(folder: Path, out: Path) -> list[str]:
    (folder / "script.yaml").write_text(SCRIPT)
    (folder / "other.yaml").write_text('- {say: ["Another answer ({seed})."]}\n')
    (folder / "scripted.yaml").write_text(RECIPE.replace("script.yaml}", "script.yaml, concurrency: 4}"))
    return [sys.executable, "-m", "cai.cli", "run", str(folder / "scripted.yaml"), "--out", str(out)]


def contents(out: Path) -> dict[str, bytes]:
    files = {path for pattern in ROWS for path in (out / "scripted").rglob(pattern) if ".aside" not in path.parts}
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def written(out: Path) -> int:
    """Rows that are on disk, finished or not; fewer while a part gets its name."""
    found = 0
    for path in (out / "scripted").rglob("part-*.jsonl*"):
        with suppress(FileNotFoundError):
            found += path.read_bytes().count(b"\n")
    return found


def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    subprocess.run(command(tmp_path, tmp_path / "whole"), check=True, cwd=ROOT, capture_output=True)
    whole = contents(tmp_path / "whole")
    assert any("revise/part-" in name for name in whole)
    step = written(tmp_path / "whole") // 10

    line, out = command(tmp_path, tmp_path / "killed"), tmp_path / "killed"
    rng, most = random.Random(0), {}
    for _ in range(10):
        until = written(out) + rng.randrange(step)
        process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (out / "scripted" / "run.json").exists() or written(out) < until:
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for path in out.rglob("*.open"):
            lines = path.read_bytes().count(b"\n")
            assert lines >= most.get(path, 0), "rows that were written are gone"
            most[path] = lines
    subprocess.run(line, check=True, cwd=ROOT, capture_output=True)
    killed = contents(out)
    assert killed.keys() == whole.keys()
    assert [name for name in whole if killed[name] != whole[name]] == []


def rows_of(stage: Path) -> int:
    """Rows that are on disk, in finished parts and open ones."""
    return sum(path.read_bytes().count(b"\n") for path in stage.glob("part-*"))


def test_a_redo_that_is_killed_again_and_again_is_done_in_the_end(tmp_path: Path) -> None:
    line = command(tmp_path, tmp_path / "out")
    subprocess.run(line, check=True, cwd=ROOT, capture_output=True)
    whole, folder, done = contents(tmp_path / "out"), tmp_path / "out" / "scripted", 0
    for _ in range(3):
        process = subprocess.Popen(
            [*line, "--redo", "revise"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not list((folder / ".aside").glob("revise-*")) or rows_of(folder / "revise") < done + 10:
            assert process.poll() is None, "the redo ended before it could be killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert rows_of(folder / "revise") >= done + 10, "rows that were written are gone"
        done = rows_of(folder / "revise")
    subprocess.run([*line, "--redo", "revise"], check=True, cwd=ROOT, capture_output=True)
    assert contents(tmp_path / "out") == whole
    assert len(list((folder / ".aside").glob("revise-*"))) == 1
