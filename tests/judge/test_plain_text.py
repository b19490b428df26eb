"""Bits of a byte of plain text, and their drift from the model before."""

import math
from pathlib import Path

import pytest

from cai.judge.plain_text import PLAIN_TEXT, Passage, PlainText, passages_of, plain_text, plain_text_fault
from cai.store.form import misfit
from constitution.shipped import find

BASE = (20.0, 30.0, 25.0) * 4


def passages(*nats: float) -> list[Passage]:
    return [{"nats": each, "tokens": 10, "bytes": 40} for each in nats]


def test_bits_are_of_all_bytes_and_drift_is_by_passage() -> None:
    base = plain_text(passages(*BASE))
    assert misfit(base, PlainText) == ""
    assert base["bits"]["value"] == pytest.approx(300 / math.log(2) / 480) and base["bits"]["of"] == 12
    assert base["perplexity"] == pytest.approx(math.exp(2.5)) and "growth" not in base
    worse = plain_text(passages(*(each + 1.0 + each / 30 for each in BASE)), passages(*BASE))["growth"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
    assert worse["first"] == pytest.approx(base["bits"]["value"])
    assert worse["change"] == pytest.approx(22 / math.log(2) / 480)
    assert 0 < worse["low"] <= worse["change"] <= worse["high"]
    same = plain_text(passages(*BASE), passages(*BASE))["growth"]  # pyright: ignore[reportTypedDictNotRequiredAccess]
    assert (same["change"], same["low"], same["high"]) == (0.0, None, None), "equal passages tell nothing of others"


def test_the_shipped_text_has_passages_and_other_files_are_told_what_they_lack(tmp_path: Path) -> None:
    shipped = find(PLAIN_TEXT)
    assert shipped and plain_text_fault(shipped) == "" and len(passages_of(shipped.read_text(encoding="utf-8"))) == 12
    (tmp_path / "a.txt").write_text("Only one.\n", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    assert "fewer than 2 passages" in plain_text_fault(tmp_path / "a.txt")
    assert "UTF-8" in plain_text_fault(tmp_path / "b.txt")
    assert passages_of("One.\n \n\n--\n\nTwo,\nand more.") == ["One.", "Two,\nand more."]
