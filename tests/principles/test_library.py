"""The shipped constitutions: clean, with exemplars and an exam, and each with a header that says what it follows."""

import json
import re
from pathlib import Path

import pytest

from constitution.check import check
from constitution.load import load
from constitution.source import read_yaml

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "principles").glob("*.yaml"))


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.stem)
def test_the_library_is_clean_and_examined(path: Path) -> None:
    source = read_yaml(path)
    assert [str(finding) for finding in check(source) if finding.level != "note"] == []
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../constitution/constitution.schema.json"
    assert lines[1].startswith("#")
    constitution = load(path)
    least = 4 if path.stem in ("harmless", "helpful", "honest") else 2
    assert all(len(each.examples) >= least and each.judgment for each in constitution.principles)
    assert {each.verdict for each in constitution.judgment} == {"A", "B"}
    assert sum(each.answer == each.revision for each in constitution.critique_revision) >= 1


GUIDE = ROOT / "principles" / "README.md"


def test_the_guide_names_every_key() -> None:
    schema = json.loads((ROOT / "constitution" / "constitution.schema.json").read_text(encoding="utf-8"))
    guide = GUIDE.read_text(encoding="utf-8")
    table = guide.split("## Every key")[1].split("\n## ")[0]
    words = {word for quoted in re.findall(r"`[^`]*`", table) for word in re.findall(r"[a-z_]+", quoted)}
    keys = {key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", {})}
    assert keys | set(schema["properties"]["templates"]["properties"]) <= words


def test_the_guide_s_smallest_file_is_clean(tmp_path: Path) -> None:
    [text] = [block for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.S) if "name: mine" in block]
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert [each.level for each in check(read_yaml(tmp_path / "mine.yaml"))] == ["note"]


def test_the_library_has_what_the_guide_lists() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([a-z-]+)\.yaml`", guide, re.M))
    assert listed == {path.stem for path in LIBRARY}
    assert len(load(ROOT / "principles" / "harmless.yaml").principles) >= 16
    assert len(load(ROOT / "principles" / "rules.yaml").principles) >= 16
