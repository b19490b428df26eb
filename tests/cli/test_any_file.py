"""Whatever a recipe or a run's folder holds, a command does its work or says in a sentence why not.

Each case changes files at random, from its number. What is wrong in a new way is found by more of them: FILES=500 pytest ….
"""

import copy
import json
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai.cli import app

CASES = range(int(os.environ.get("FILES", "50")))
ROOT = Path(__file__).resolve().parents[2]
ODD: list[Any] = [
    None,
    [],
    {},
    5,
    -1,
    2.5,
    "",
    "x",
    "[/bold]",
    "\x1b[2J",
    True,
    float("nan"),
    float("inf"),
    10**30,
    1e308,
]
ODD += [[[]], {"a": 1}, "../../x", "name\n", "a: b", ["x"], [None], {"path": 5}, {"hub": "a/b"}, "policy", "\ud800"]
KEYS = [
    "x",
    "as",
    "from",
    "model",
    "rounds",
    "limit",
    "stages",
    "panel",
    "clamp",
    "heldout",
    "trl",
    "guards",
    "id",
    "in",
    "[/b]",
]
RECIPE = """\
name: r
constitution: c.yaml
models: {m: {scripted: s.yaml}, o: {scripted: o.yaml}, j: {scripted: j.yaml}}
stages:
  - prompts: {redteam: p.jsonl, heldout: 0.3, part_size: 4}
  - revise: {model: m, rounds: 2}
  - sft_set: {test: 0.3}
  - sample: {model: m}
  - label: {model: j, method: logprob, orders: one}
  - prefs: {test: 0.3}
  - evaluate: {models: [m, o], judge: j}
  - report: {}
"""
PRINCIPLES = """\
name: c
principles:
  - {id: one, critique: Say what is wrong., revision: Rewrite it., judgment: Which is better?}
  - {id: two, critique: Say what is cruel., revision: Rewrite it kindly., judgment: Which is kinder?}
"""
Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process; returns its exit code, and makes sure that it ended with a sentence."""

    def run(*line: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cai", *line])
        code = 0
        try:
            app.main()
        except SystemExit as end:
            code = int(end.code or 0)
        shown = capsys.readouterr()
        assert "Traceback" not in shown.out + shown.err, f"{line}: {shown.err}"
        assert code in (0, 1, 2), line
        return code

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with its files, and its run."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "p.jsonl").write_text("".join(json.dumps({"prompt": f"Bad thing number {n}?"}) + "\n" for n in range(12)))
    (folder / "s.yaml").write_text('- {when: "Critique", say: ["It is careless."]}\n- {say: ["Answer {seed}."]}\n')
    (folder / "o.yaml").write_text('- {say: ["Other {seed}."]}\n')
    (folder / "j.yaml").write_text('- {say: ["(A) is kinder."], choose: {A: 0.8, B: 0.1}}\n')
    (folder / "c.yaml").write_text(PRINCIPLES)
    (folder / "r.yaml").write_text(RECIPE)
    return folder


@pytest.fixture
def copied(whole: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with both, in which commands work."""
    if not (whole / "runs").exists():
        monkeypatch.chdir(whole)
        assert command("run", "r.yaml") == 0
    shutil.copytree(whole, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def places(data: Any, change: Callable[[Any], None], drop: Callable[[], object]) -> Iterator[tuple[Any, Any, Any]]:
    """Every value within some data, with how it is changed and how it is taken out."""
    yield data, change, drop
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from places(data[key], lambda new, key=key: data.__setitem__(key, new), lambda key=key: data.pop(key))


def changed(data: Any, draw: random.Random) -> Any:
    """The data with one place of it changed."""
    box = {"all": copy.deepcopy(data)}
    there = [*places(box["all"], lambda new: box.__setitem__("all", new), lambda: None)]
    value, change, drop = draw.choice(there)
    match draw.randrange(6):
        case 0:
            drop()
        case 1 if isinstance(value, dict):
            value[draw.choice(KEYS)] = (
                value.pop(draw.choice([*value])) if value and draw.random() < 0.5 else draw.choice(ODD)
            )
        case 2:
            change([value])
        case 3:
            change(copy.deepcopy(draw.choice(there)[0]))
        case _:
            change(copy.deepcopy(draw.choice(ODD)))
    return box["all"]


def rewritten(text: str, draw: random.Random) -> str:
    """The text with a slip of the keyboard in it."""
    lines, at = text.split("\n"), draw.randrange(len(text))
    row = draw.randrange(len(lines))
    match draw.randrange(4):
        case 0:
            lines.insert(row, draw.choice(lines))
        case 1:
            lines[row] = draw.choice(["\t", "  ", " "]) + lines[row]
        case 2:
            lines[row] = lines[row].replace(draw.choice(":-{,"), "", 1)
        case _:
            letter = draw.choice(
                ["'", '"', ":", "[", "]", "{", "#", "&a ", "*a", "!x ", "|", "%", "@", "\x07", "\r", "? ", ","]
            )
            return text[:at] + letter + text[at + draw.randrange(3) :]
    return "\n".join(lines)


def damage(file: Path, draw: random.Random) -> None:
    """Leave a file as an accident, or somebody's editor, could."""
    was = file.read_bytes()
    match draw.randrange(8):
        case 0:
            file.write_bytes(was[: draw.randrange(len(was) + 1)])
        case 1:
            file.write_bytes(draw.randbytes(40) + draw.choice([b"", b"\n"]))
        case 2:
            file.write_bytes(
                was + draw.choice([b"{torn", b"[]\n", b"null\n", b"\n", b'{"in": 5}\n', b"[" * 3000 + b"\n"])
            )
        case 3:
            file.write_bytes(b"".join(draw.sample(lines := was.splitlines(True), max(len(lines) - 1, 0))))
        case 4:
            file.unlink()
            draw.choice([Path.mkdir, lambda path: path.symlink_to("nowhere"), lambda path: None])(file)
        case _ if file.suffix == ".json":
            file.write_text(json.dumps(changed(json.loads(was), draw)))
        case _ if file.suffix == ".jsonl" and was:
            lines = was.decode().splitlines()
            row = draw.randrange(len(lines))
            lines[row] = json.dumps(changed(json.loads(lines[row]), draw))
            file.write_text("".join(f"{line}\n" for line in lines))
        case _:
            file.write_bytes(was + was)


@pytest.mark.parametrize("number", CASES)
def test_any_recipe_is_run_or_refused_in_a_sentence(number: int, copied: Path, command: Command) -> None:
    draw = random.Random(f"recipe {number}")
    base = draw.choice([copied / "r.yaml", *sorted((ROOT / "runs").glob("*.yaml"))])
    text = base.read_text(encoding="utf-8")
    for _ in range(draw.choice([1, 1, 2, 3])):
        if draw.random() < 0.3:
            text = rewritten(text, draw)
            break
        text = yaml.safe_dump(changed(yaml.safe_load(text), draw), sort_keys=False)
    (copied / "f.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    command("check", "f.yaml")
    if base.parent == copied:
        command("run", "f.yaml", "--out", "out")


@pytest.mark.parametrize("number", CASES)
def test_any_damage_to_a_run_s_folder_is_told_in_a_sentence(number: int, copied: Path, command: Command) -> None:
    draw = random.Random(f"damage {number}")
    files = sorted(path for path in (copied / "runs" / "r").rglob("*") if path.is_file() and path.name != ".lock")
    for file in draw.sample(files, draw.choice([1, 1, 2, 3])):
        damage(file, draw)
    stage = draw.choice(["prompts", "revise", "sft_set", "label", "prefs", "evaluate"])
    command("status", "r", *draw.choice([(), ("--json",)]))
    command("show", "r", *draw.choice([(stage,), (stage, "--drops"), ("revise", "--diff")]))
    command("report", "r")
    command("diff", "r", "c.yaml", "--run", "r")
    command("run", "r.yaml", *draw.choice([(), (), ("--redo", stage), ("--redo-changed",)]))
    command("run", "r.yaml")


def test_a_folder_without_damage_is_shown_and_stands(copied: Path, command: Command) -> None:
    shown = [("status", "r"), ("show", "r", "prefs"), ("show", "r", "revise", "--diff"), ("report", "r")]
    for line in (*shown, ("diff", "r", "c.yaml", "--run", "r"), ("run", "r.yaml")):
        assert command(*line) == 0
