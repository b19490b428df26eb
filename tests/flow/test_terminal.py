"""What strangers wrote cannot steer the terminal that shows it: no controls, no markup, by no way."""

import ast
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cai.flow.screen import Screen
from cai.flow.terminal import Terminal
from constitution.visible import json_text, visible

ROOT = Path(__file__).resolve().parents[2]
WICKED = "\x1b]0;taken\x07 \x9b31m red \x1b[2J \u202egnp.exe\u2066 [/bold] [red]x[/red] :bug: \x7f\rover"
SHOWN = r"\x1b]0;taken\x07 \x9b31m red \x1b[2J \u202egnp.exe\u2066 [/bold] [red]x[/red] :bug: \x7f\x0dover"


def test_controls_are_written_out_and_nothing_else_is_touched() -> None:
    assert visible(WICKED) == SHOWN
    plain = (
        "tabs\tand lines\n and \u00e9, \u4f60\u597d, \U0001f600, \u0627\u0644\u0639\u0631\u0628\u064a\u0629, [brackets]"
    )
    assert visible(plain) == plain
    assert visible("one\r\ntwo") == "one\ntwo"


def test_json_holds_the_same_text_without_its_controls() -> None:
    shown = json_text({"said": WICKED, "half": "\ud83d"})
    assert json.loads(shown) == {"said": WICKED, "half": "\ud83d"}
    assert visible(shown) == shown


@pytest.mark.parametrize("way", ["say", "print", "text", "padding", "table", "live", "bar"])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_console_shows_text_as_it_is_whatever_holds_it(way: str, terminal: bool) -> None:
    out = io.StringIO()
    console = Terminal(
        file=out, force_terminal=terminal, color_system=None, width=200, soft_wrap=way in ("say", "print")
    )
    table = Table(box=None)
    table.add_column("h")
    table.add_row(WICKED)
    match way:
        case "say":
            Screen(console).say(WICKED)
        case "print":
            console.print(WICKED)
        case "text":
            console.print(Text(WICKED))
        case "padding":
            console.print(Padding(WICKED, 1))
        case "table":
            console.print(table)
        case "live":
            with Live(console=console, auto_refresh=False) as live:
                live.update(table, refresh=True)
        case _:
            screen = Screen(console)
            with screen.bars():
                screen.bar("stage", total=2, unit="rows").at(2, WICKED)
                if not terminal:
                    screen.say(WICKED)
    assert "\\x1b]0;taken" in out.getvalue()
    assert "[/bold]" in out.getvalue()
    for control in ("\x1b]", "\x07", "\x9b", "\x1b[2J \\u", "\u202e", "\x7f"):
        assert control not in out.getvalue()


def test_text_reaches_a_terminal_by_these_ways_alone() -> None:
    for path in (ROOT / "cai").rglob("*.py"):
        inner = path.relative_to(ROOT / "cai").parts[0]
        if path.name in ("terminal.py", "bundled.py") or inner in ("train", "cluster"):  # those write to logs
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert name not in ("print", "Console", "sys.stdout.write", "sys.stderr.write"), f"{path}:{node.lineno}"


def test_rows_and_errors_of_a_run_are_shown_without_their_controls(
    cai: Callable[..., subprocess.CompletedProcess[str]], write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    write("c.yaml", "name: c\nprinciples:\n  - {id: one, title: '[/bold]', critique: Criticise., revision: Rewrite.}\n")
    write("p.jsonl", json.dumps({"prompt": f"Hello {WICKED}"}) + "\n")
    write("s.yaml", json.dumps([{"say": [f"Answer {WICKED}"]}]))
    stages = "[{prompts: {redteam: p.jsonl, heldout: 0}}, {revise: {model: m, rounds: 1}}, {report: {}}]"
    write("r.yaml", f"name: r\nconstitution: c.yaml\nmodels: {{m: {{scripted: s.yaml}}}}\nstages: {stages}\n")
    shown = [cai("run", "r.yaml", cwd=tmp_path)]
    shown += [cai("show", "r", "revise", *more, cwd=tmp_path) for more in ([], ["--diff"])]
    shown += [cai("show", "r", WICKED, cwd=tmp_path), cai("check", f"none{WICKED}.yaml", cwd=tmp_path)]
    shown += [cai("try", "c.yaml", "hi", "--model", "s.yaml", "--show-prompt", cwd=tmp_path)]
    for each in shown:
        assert "\\x1b]0;taken" in each.stdout + each.stderr
        assert not {"\x1b", "\x9b", "\u202e", "\x07"} & {*each.stdout, *each.stderr}
    row = json.loads(cai("show", "r", "prompts", cwd=tmp_path).stdout)
    assert row["messages"][0]["content"] == f"Hello {WICKED}"
    page = (tmp_path / "runs" / "r" / "report" / "report.html").read_text(encoding="utf-8")
    assert "Answer" in page
    assert not {"\x1b", "\x9b", "\u202e"} & {*page}
