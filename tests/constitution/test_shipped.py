"""Where a named file is looked for: beside, in the current folder, among the shipped ones of a checkout or a wheel."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from constitution.load import load
from constitution.shipped import HOME, SHIPPED, advice, find
from constitution.source import InputError


def test_a_file_is_looked_for_beside_then_here_then_among_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    name = "principles/harmless.yaml"
    assert find(name, tmp_path) == SHIPPED / name
    for folder in (Path(), tmp_path):
        (folder / "principles").mkdir()
        (folder / name).touch()
        assert find(name, tmp_path) == folder / name


def test_only_constitutions_prompts_and_recipes_are_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find("runs/quickstart.yaml") and find("principles/prompts/redteam.jsonl")
    assert not any(find(name) for name in ("cai", "constitution", "constitution/source.py", "pyproject.toml", "tests"))
    assert not any(find(name) for name in ("harmless.yaml", "x" * 5000, "~nobody/x", "a\0b"))


def test_a_shipped_file_is_named_in_full_and_never_taken_by_its_last_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert advice("hhh.yaml", "check the path") == 'did you mean "principles/hhh.yaml"?'
    assert advice("mine/harmless.yaml", "") == 'did you mean "principles/harmless.yaml" or "runs/harmless.yaml"?'
    assert advice("redteam.jsonl", "") == 'did you mean "principles/prompts/redteam.jsonl"?'
    for name in ("mine.yaml", "principles/none.yaml", "prompts", "", "/", "x" * 5000, "a\0b"):
        assert advice(name, "check the path") == "check the path"
    assert load(Path("principles/hhh.yaml")).name
    with pytest.raises(InputError, match=r'^hhh.yaml: there is no such file; did you mean "principles/hhh.yaml"\?$'):
        load(Path("hhh.yaml"))


def test_a_wheel_s_files_are_found_in_the_package_and_not_in_folders_of_other_packages(tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site-packages", tmp_path / "elsewhere"
    shutil.copytree(HOME / "constitution", site / "constitution")
    shutil.copytree(SHIPPED / "principles", site / "cai" / "shipped" / "principles")
    for other in ("principles", "runs"):
        (site / other).mkdir()
        (site / other / "stranger.yaml").touch()
    elsewhere.mkdir()
    names = "principles/hhh.yaml", "principles/stranger.yaml", "runs/stranger.yaml"
    code = f"from constitution.shipped import find; print(*map(find, {names}), sep='\\n')"
    line = [sys.executable, "-c", code]
    ran = subprocess.run(line, capture_output=True, text=True, cwd=elsewhere, env={"PYTHONPATH": str(site)})
    assert ran.stdout.split("\n")[:3] == [str(site / "cai/shipped/principles/hhh.yaml"), "None", "None"], ran.stderr
