"""A folder from elsewhere may hold links: what they lead to is never written over."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.data import dataset
from cai.errors import RunError
from cai.store.files import RunLock, append_to, write_json, write_lines


def enter(path: Path) -> None:
    with RunLock(path.parent):
        pass


@pytest.mark.parametrize(
    ("name", "link", "write"),
    [
        (".lock", ".lock", enter),
        ("seal.json", ".seal.json.tmp", lambda path: write_json(path, {})),
        ("report.html", ".report.html.tmp", lambda path: write_lines(path, ["page"])),
        ("report.html", "report.html", lambda path: write_lines(path, ["page"])),
        ("drops.jsonl", "drops.jsonl", lambda path: append_to(path).close()),
        ("train.parquet", ".train-0.tmp", lambda path: dataset.write(path.parent, [{"a": "x", "prompt_id": 1}], set())),
    ],
)
@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_what_a_link_leads_to_is_not_written_over(
    name: str, link: str, write: Callable[[Path], None], make: Callable[..., None], tmp_path: Path
) -> None:
    (victim := tmp_path / "victim").write_text("precious, without an end of line")
    (tmp_path / "run").mkdir()
    if make is os.link and link == "drops.jsonl":
        return  # the very same file, by another name
    make(victim, tmp_path / "run" / link)
    if link in (".lock", "drops.jsonl") and make is os.symlink:
        with pytest.raises(RunError, match="is a link to another place, to which nothing is written; delete it"):
            write(tmp_path / "run" / name)
    else:
        write(tmp_path / "run" / name)
        assert (tmp_path / "run" / name).exists()
    assert victim.read_text() == "precious, without an end of line"


def test_names_stand_in_a_card_as_they_are_and_mean_nothing_else() -> None:
    name = "<img src=x onerror=alert(1)> | ![x](http://a) `y`\n# head \x1b[2J"
    text = dataset.card(f"r: {name}", "About.", {"models": name}, True)
    assert "&lt;img src=x onerror=alert(1)&gt; \\| !\\[x\\](http://a) \\`y\\` # head \\\\x1b\\[2J |" in text
    assert "<img" not in text
    assert "\n# head" not in text
    assert text.startswith("---\nconfigs:\n")
