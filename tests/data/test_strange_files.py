"""Files that look like prompts or pairs and are something else, or more than one thing: read whole, or said to be what they are."""

import gzip
import json
from pathlib import Path

import pyarrow
import pytest

from cai.data.clean import HeldOut
from cai.data.prompt_source import PromptSource
from cai.data.prompts import with_keys
from cai.errors import UserError
from cai.stages.pairs import Pairs, read
from cai.store.identity import content_key
from cai.store.rows import Drop, Pair

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
PAGE = "\n<!DOCTYPE html>\n<html><head><title>A set</title></head></html>\n"
ENDINGS = ("jsonl", "json", "csv", "tsv", "parquet", "arrow", "jsonl.gz", "jsonl.zst")


def texts(path: Path) -> list[str]:
    rows = with_keys({"helpful": [PromptSource(str(path))]})
    return [row.reason if isinstance(row, Drop) else row.messages[-1]["content"] for row, _ in rows]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("text", "words"),
    [(POINTER, "is a pointer of Git LFS, .*; fetch that with: git lfs pull"), (PAGE, "is a web page; fetch the")],
)
def test_what_stands_for_a_file_is_said_to_be_that(tmp_path: Path, ending: str, text: str, words: str) -> None:
    (path := tmp_path / f"p.{ending}").write_text(text)
    with pytest.raises(UserError, match=rf"p\.{ending}: {words}"):
        texts(path)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_packed_file_of_two_that_were_joined_is_read_to_its_end(tmp_path: Path, ending: str) -> None:
    halves = [json.dumps({"prompt": f"{name}?"}).encode() + b"\n" for name in "ab"]
    pack = gzip.compress if ending == "gz" else lambda text: pyarrow.compress(text, codec="zstd", asbytes=True)
    (path := tmp_path / f"p.jsonl.{ending}").write_bytes(b"".join(map(pack, halves)))
    assert texts(path) == ["a?", "b?"]


def test_zeros_that_a_power_cut_left_are_told_with_their_line(tmp_path: Path) -> None:
    (path := tmp_path / "p.jsonl").write_bytes(b'{"prompt": "a?"}\n' + bytes(512))
    with pytest.raises(UserError, match=r"p\.jsonl:2: not valid JSON"):
        texts(path)


@pytest.mark.parametrize("unseen", ["\u200b", "\ufeff", "\u00ad", "\u2060", "\u200e", "\u180e"])
def test_prompts_that_differ_in_what_nobody_sees_are_one(tmp_path: Path, unseen: str) -> None:
    plain, odd = ({"role": "user", "content": f"How do I bake{each} rye?"} for each in ("", unseen))
    assert content_key([plain]) == content_key([odd])
    assert HeldOut([[plain]]).drop("a", [odd])
    lines = [
        {"prompt": each["content"], "id": name, "track": track}
        for each, name, track in ((plain, "a", "redteam"), (odd, "b", "helpful"))
    ]
    (path := tmp_path / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert texts(path) == [plain["content"], "duplicate"]


@pytest.mark.parametrize("joined", ["\u200c", "\u200d"])
def test_what_joins_letters_is_part_of_a_word(joined: str) -> None:
    one, other = ([{"role": "user", "content": f"می{each}خواهم"}] for each in ("", joined))
    assert content_key(one) != content_key(other)


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (("A>B", "B>A", "A=B"), (1.0, 0.0, 0.5)),
        (("A>>B", "B>>A", "A>B"), (1.0, 0.0, 1.0)),
        (("[[A]]", "[[B]]"), (1.0, 0.0)),
    ],
)
def test_a_label_that_is_a_comparison_says_which_is_better(
    tmp_path: Path, labels: tuple[str, ...], first: tuple[float, ...]
) -> None:
    rows = [
        {"prompt": f"{n}?", "response_a": "GOOD", "response_b": "BAD", "label": label} for n, label in enumerate(labels)
    ]
    (path := tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [row for row in read(Pairs(path=str(path))) if isinstance(row, Pair)]
    assert tuple(row.people[0] if row.a.text == "GOOD" else 1 - row.people[0] for row in pairs) == first


@pytest.mark.parametrize("labels", [("👈", "👉"), ("left", "right"), ("90%", "10%")])
def test_a_label_that_only_looks_like_a_side_is_asked_about(tmp_path: Path, labels: tuple[str, ...]) -> None:
    rows = [
        {"prompt": f"{n}?", "response_a": "GOOD", "response_b": "BAD", "label": label} for n, label in enumerate(labels)
    ]
    (path := tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="do not say which answer is the better; say `columns: "):
        list(read(Pairs(path=str(path))))
