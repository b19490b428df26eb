"""The plan of the house: what each room says that it imports is what its modules import, and nothing points back."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 300
NO_NOUNS = {"util", "utils", "common", "core", "base", "helpers", "misc"}
FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "cai").rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items()}
ROOMS = sorted(name for name, path in MODULES.items() if path.name == "__init__.py" and name.count(".") == 1)


def imported(path: Path) -> Iterator[str]:
    """Our modules that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                yield inner if inner in MODULES else node.module


def room(module: str) -> str:
    """The room of a module; launch/ within train/ is one of its own, which others may use without torch."""
    parts = module.split(".")[1:]
    return "train.launch" if parts[:2] == ["train", "launch"] else parts[0]


def declared(name: str) -> set[str]:
    """The rooms that a room says it imports: the last line of its docstring."""
    path = MODULES[f"cai.{name}"]
    line = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[-1]
    found = re.fullmatch(r"imports: (.*)", line)
    assert found, f"{path}: the docstring ends with a line `imports: …`"
    return {each.strip() for each in found[1].split(",")}


HOUSE = {name.removeprefix("cai."): declared(name.removeprefix("cai.")) for name in ROOMS}
HOUSE |= {"train.launch": declared("train.launch"), "errors": set()}


def within_reach(name: str) -> set[str]:
    """A room's imports, and theirs."""
    direct = HOUSE[name]
    return direct.union(*(within_reach(each) for each in direct))


@pytest.mark.parametrize("name", sorted(HOUSE))
def test_a_room_imports_what_it_says_it_does(name: str) -> None:
    used: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if module != "cai" and room(module) == name:
            for each in imported(path):
                used.setdefault(room(each), set()).add(f"{path.relative_to(ROOT)} → {each}")
    used.pop(name, None)
    wrong = [line for each in used.keys() - within_reach(name) for line in sorted(used[each])]
    assert not wrong, "\n".join(wrong)
    assert not HOUSE[name] - used.keys(), f"{name} does not import what it says it does"


def test_nothing_goes_in_a_circle() -> None:
    for graph in (HOUSE, {name: {*imported(path)} - {name} for name, path in MODULES.items()}):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as circle:
            pytest.fail(" → ".join(circle.args[1]))


def test_no_file_hides_an_import_is_longer_than_a_sitting_or_has_no_noun() -> None:
    for name, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        assert "TYPE_CHECKING" not in text, path
        assert text.count("\n") <= MOST_LINES, path
        assert not NO_NOUNS & set(name.split(".")), path
