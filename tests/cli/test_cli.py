"""The commands as a user runs them: exit codes, sentences, and help that is instant."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cai import __version__

ROOT = Path(__file__).resolve().parents[2]
Cai = Callable[..., subprocess.CompletedProcess[str]]
HEAVY = ("torch", "transformers", "trl", "datasets", "vllm", "pyarrow", "aiohttp")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that came to its end, made once."""
    out = tmp_path_factory.mktemp("finished")
    line = [sys.executable, "-m", "cai.cli", "run", "tests/data/scripted.yaml", "--out", str(out)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    return out / "scripted"


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, for a test to change."""
    return Path(shutil.copytree(finished, tmp_path / "scripted"))


@pytest.mark.parametrize(
    "command",
    ["run", "check", "test", "try", "diff", "status", "show", "report", "init", "chat", "measure", "verify", "export"],
)
def test_every_command_has_help(cai: Cai, command: str) -> None:
    shown = cai(command, "--help")
    assert shown.returncode == 0
    assert "Usage" in shown.stdout
    assert f"cai {command}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("module", ["cai.cli", "cai.recipe.read", "cai.run.walk"])
def test_nothing_heavy_loads_before_it_is_needed(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {set(HEAVY[:5])!r}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert loaded.stdout.strip() == ""


def test_help_loads_nothing_heavy_at_all() -> None:
    code = f"import sys, cai.cli.app; print(*sorted({{m.split('.')[0] for m in sys.modules}} & {set(HEAVY)!r}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert loaded.stdout.strip() == ""


def test_a_run_ends_with_a_row_the_ledger_and_the_outputs(cai: Cai, done: Path) -> None:
    ran = cai("run", "tests/data/scripted.yaml", "--out", done.parent, "--redo", "revise")
    assert ran.returncode == 0
    for words in ("One row, whole", "critique 1, under", "Ledger", "unreadable critique", "report.html"):
        assert words in ran.stdout
    again = cai("run", "tests/data/scripted.yaml", "--out", done.parent)
    assert "revise: done before" in again.stdout


def test_wrong_input_is_a_sentence_exit_code_2_and_nothing_written(cai: Cai, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text((ROOT / "tests" / "data" / "scripted.yaml").read_text().replace("rounds: 2", "round: 2"))
    ran = cai("run", recipe, "--out", tmp_path / "out")
    assert ran.returncode == 2
    assert 'stages[1].revise.round: unknown key; did you mean "rounds"?' in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_failed_before_any_row_can_be_mended(cai: Cai, tmp_path: Path) -> None:
    recipe, good = tmp_path / "r.yaml", (ROOT / "tests" / "data" / "scripted.yaml").read_text()
    for name in ("script.yaml", "other.yaml"):
        (tmp_path / name).write_text((ROOT / "tests" / "data" / name).read_text())
    (tmp_path / "empty.jsonl").write_text("")
    recipe.write_text(
        good.replace("principles/prompts/redteam.jsonl", "empty.jsonl").replace("      helpful:", "      #")
    )
    failed = cai("run", recipe, "--out", tmp_path / "out")
    assert failed.returncode == 2
    assert "empty.jsonl: holds no rows; name another file" in failed.stderr
    recipe.write_text(good)
    assert cai("run", recipe, "--out", tmp_path / "out").returncode == 0


def test_debug_shows_the_trace(cai: Cai) -> None:
    assert "Traceback" in cai("run", "nowhere.yaml", "--debug").stderr
    assert "Traceback" not in cai("run", "nowhere.yaml").stderr


def test_changed_settings_are_refused_until_redone(cai: Cai, done: Path) -> None:
    changed = cai("run", "tests/data/scripted.yaml", "revise.rounds=1", "--out", done.parent)
    assert changed.returncode == 2
    assert "block.rounds: 2 → 1" in changed.stderr
    redone = cai("run", "tests/data/scripted.yaml", "revise.rounds=1", "--out", done.parent, "--redo", "revise")
    assert redone.returncode == 0
    assert "set aside: revise, sft_set" in redone.stdout
    assert list((done / ".aside").glob("revise-*/part-*.jsonl"))
    assert "sample, label: done before" in redone.stdout


def test_a_part_that_was_deleted_is_noticed(cai: Cai, done: Path) -> None:
    (done / "revise" / "part-00000.jsonl").unlink()
    ran = cai("run", "tests/data/scripted.yaml", "--out", done.parent)
    assert ran.returncode == 1
    assert "part-00000.jsonl is gone, though revise was done; put it back, or do it again" in ran.stderr
    assert cai("run", "tests/data/scripted.yaml", "--out", done.parent, "--redo", "revise").returncode == 0


def test_a_changed_constitution_names_both_ways_on(cai: Cai, done: Path, tmp_path: Path) -> None:
    text = (ROOT / "principles" / "harmless.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("Point out", "Show", 1))
    refused = cai("run", "tests/data/scripted.yaml", f"constitution={tmp_path / 'mine.yaml'}", "--out", done.parent)
    assert refused.returncode == 2
    assert "--redo revise, or for the rows alone that the new constitution touches: --redo-changed" in refused.stderr


def test_status_tells_every_stage(cai: Cai, done: Path) -> None:
    stages = {each["name"]: each for each in json.loads(cai("status", done, "--json").stdout)}
    assert {each["state"] for each in stages.values()} == {"done"}
    for each in stages.values():
        assert each["rows_in"] == each["rows_kept"] + sum(each["dropped"].values())
    (done / "label" / "seal.json").unlink()
    assert "open" in cai("status", done).stdout


def test_status_of_an_open_stage_counts_its_rows(cai: Cai, done: Path) -> None:
    (done / "label" / "seal.json").unlink()
    rows = (done / "label" / "part-00001.jsonl").read_text(encoding="utf-8").splitlines()
    (done / "label" / "part-00001.jsonl").unlink()
    opened = "".join(f'{{"in": "{json.loads(row)["id"]}", "tokens": [1, 0, 1], "out": [{row}]}}\n' for row in rows[:5])
    (done / "label" / "part-00001.jsonl.open").write_text(opened, encoding="utf-8")
    left = sum(line.count("\n") for line in [(done / "label" / "part-00000.jsonl").read_text()])
    third = (done / "label" / "part-00002.jsonl").read_text(encoding="utf-8").count("\n")
    assert f"{left + 5 + third} of " in cai("status", done).stdout


def test_it_says_which_version_it_is(cai: Cai) -> None:
    assert cai("--version").stdout.startswith(f"cai {__version__} (python 3.")


def test_status_live_ends_with_the_run(cai: Cai, done: Path) -> None:
    ran = cai("status", done, "--live")
    assert ran.returncode == 0
    assert "revise" in ran.stdout


def test_show_prints_rows_and_drops(cai: Cai, done: Path) -> None:
    assert "revision 1:" in cai("show", done, "revise", "-n", "1").stdout
    assert "unreadable_critique" in cai("show", done, "revise", "--drops").stdout
    assert '"chosen_prob"' in cai("show", done, "prefs").stdout
    assert "P(a is better)" in cai("show", done, "label", "-n", "1").stdout
    wrong = cai("show", done, "revize")
    assert wrong.returncode == 2
    assert 'did you mean "revise"?' in wrong.stderr


def test_show_filters_by_principle_reason_and_text(cai: Cai, done: Path) -> None:
    chains = [json.loads(line) for part in sorted((done / "revise").glob("part-*.jsonl")) for line in part.open()]
    principle = next(draft["principle"] for row in chains for draft in row["drafts"] if draft["principle"])
    mine = [row["id"] for row in chains if any(draft["principle"] == principle for draft in row["drafts"])]
    shown = cai("show", done, "revise", "--principle", principle, "-n", "99").stdout
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("── ")] == mine
    one = mine[0]
    said = next(row for row in chains if row["id"] == one)["drafts"][-1]["text"]
    assert f"── {one} " in cai("show", done, "revise", "--text", said.upper()).stdout
    left = cai("show", done, "revise", "--reason", "unreadable_critique", "-n", "1").stdout
    assert '"reason": "unreadable_critique"' in left
    assert f"under {principle}" in cai("show", done, "label", "--principle", principle, "-n", "99").stdout


def test_show_diff_marks_what_a_revision_changed(cai: Cai, done: Path) -> None:
    shown = cai("show", done, "revise", "--diff", "--text", "kinder answer", "-n", "1").stdout
    assert "revision 1, as it differs:" in shown
    assert re.search(r"\[-.*-\] \{\+.*\+\}", shown, re.S)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("--principle", "privcy"), 'no principle "privcy"; did you mean "privacy"?'),
        (("--reason", "tired"), "has no drops to show with reason tired; reasons there: "),
        (("--text", "nobody says this"), "has no rows to show with text nobody says this"),
    ],
)
def test_show_says_what_is_not_there(cai: Cai, done: Path, line: tuple[str, ...], words: str) -> None:
    ran = cai("show", done, "revise", *line)
    assert ran.returncode == 2
    assert words in ran.stderr


def test_report_escapes_what_models_say(cai: Cai, done: Path, without_digests: Callable[[Path], None]) -> None:
    without_digests(done)
    part = done / "revise" / "part-00000.jsonl"
    part.write_text(part.read_text().replace("Here is how", "<script>alert(1)</script>"))
    assert cai("report", done).returncode == 0
    page = (done / "report" / "report.html").read_text()
    assert "<script>" not in page
    assert "What the principles changed" in page


def test_check_names_file_line_and_field(cai: Cai, tmp_path: Path) -> None:
    good = cai("check", "principles", "runs/quickstart.yaml")
    assert good.returncode == 0
    assert "0 errors" in good.stdout
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: x\nprinciples:\n  - {id: a, critique: b}\n")
    wrong = cai("check", bad, "--json")
    assert wrong.returncode == 2
    assert '"revision" is missing' in json.loads(wrong.stdout)[0]["text"]


def test_init_copies_and_never_overwrites(cai: Cai, tmp_path: Path) -> None:
    assert cai("init", tmp_path).returncode == 0
    for path in (tmp_path / "principles" / "harmless.yaml", tmp_path / "runs" / "quickstart.yaml"):
        schema = path.read_text().partition("\n")[0].partition("$schema=")[2]
        assert json.loads((path.parent / schema).read_text())["$schema"].startswith("https://json-schema.org/")
    assert cai("check", tmp_path / "principles", tmp_path / "runs" / "quickstart.yaml").returncode == 0
    constitution = tmp_path / "principles" / "harmless.yaml"
    constitution.write_text("mine")
    assert "left as it is" in cai("init", tmp_path).stdout
    assert constitution.read_text() == "mine"


def test_a_run_that_is_not_there_is_a_sentence(cai: Cai) -> None:
    missing = cai("status", "nothing")
    assert missing.returncode == 2
    assert "there is no run at nothing" in missing.stderr


@pytest.mark.parametrize("path", ["x" * 300, "~nobody-of-that-name/x.yaml", "pyproject.toml/x.yaml"])
def test_a_path_that_cannot_be_is_a_sentence(cai: Cai, path: str) -> None:
    ran = cai("check", path)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert ran.stdout + ran.stderr


def test_init_into_a_file_is_a_sentence(cai: Cai, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = cai("init", tmp_path / "file")
    assert ran.returncode == 2
    assert "Not a directory" in ran.stderr


def test_the_recipe_that_the_readme_shows_is_there_and_right(cai: Cai) -> None:
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert (ROOT / "runs" / "harmless.yaml").read_text(encoding="utf-8").endswith(shown)
    ran = cai("check", "runs/harmless.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
