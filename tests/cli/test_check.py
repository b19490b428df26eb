"""What ``cai check`` looks at where nothing is named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cai.cli.check import check_paths, project
from cai.errors import UserError


def test_without_a_path_it_checks_what_the_folder_holds(
    write: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no constitution and no recipe in this folder, .* or begin with: cai init"):
        project()
    write("services.yaml", "services: {web: {image: x}}\n")
    write("mine.yaml", "name: mine\nprinciples:\n  - {id: one, critique: Criticise., revision: Rewrite.}\n")
    write("broken.yaml", "name: a: b\n")
    write("runs/r.yaml", "stages: 5\n")
    assert project() == [Path("broken.yaml"), Path("mine.yaml"), Path("runs/r.yaml")]
    count, findings = check_paths(project())
    assert count == 3
    assert {str(each.problem.path) for each in findings if each.level == "error"} == {"broken.yaml", "runs/r.yaml"}


def test_a_project_is_checked_from_outside_too(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    write("project/notes.yaml", "a: 1\n")
    write("project/principles/p.yaml", "name: a: b\n")
    write("project/runs/r.yaml", "stages: 5\n")
    count, findings = check_paths([tmp_path / "project"])
    assert count == 2
    assert {each.problem.path.name for each in findings if each.level == "error"} == {"p.yaml", "r.yaml"}
    write("plain/mine.yaml", "stages: 5\n")
    assert check_paths([tmp_path / "plain"])[0] == 1
