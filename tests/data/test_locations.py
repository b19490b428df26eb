"""What a source may be: files of each kind, packed ones, wildcards, folders of several makers; and what is none."""

import gzip
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from cai.data.account import Account
from cai.data.locations import digest
from cai.data.prompts import PromptSource, read, with_keys
from cai.errors import UserError
from cai.stages import pairs
from cai.stages.pairs import Pairs
from cai.store.rows import Drop, Pair, Prompt
from cai.store.stage import Stage

Write = Callable[[str, str], Path]
ROWS = [{"prompt": "Is rye sour?"}, {"prompt": "Is it, really?"}]
TEXTS = ["Is rye sour?", "Is it, really?"]


def texts(path: Path | str, **more: Any) -> list[str]:
    rows = read({"redteam": [PromptSource(str(path), **more)]})
    return [row.messages[-1]["content"] for row in rows if isinstance(row, Prompt)]


def lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


CSV = 'prompt\nIs rye sour?\n"Is it, really?"\n'


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.jsonl", lines(ROWS).encode()),
        ("p.ndjson", b"\xef\xbb\xbf" + lines(ROWS).replace("\n", "\r\n").encode()),
        ("P.JSONL", lines(ROWS).encode()),
        ("p.json", json.dumps(ROWS).encode()),
        ("p.json", json.dumps({"version": 1, "data": ROWS}).encode()),
        ("p.json", json.dumps(TEXTS).encode()),
        ("p.json", lines(ROWS).encode()),
        ("p.json", json.dumps({"baking": {"grain": TEXTS[:1], "bread": TEXTS[1:]}}).encode()),
        ("p.csv", CSV.encode()),
        ("p.tsv", b"n\tprompt\n1\tIs rye sour?\n2\tIs it, really?\n"),
        ("p.jsonl.gz", gzip.compress(lines(ROWS).encode())),
        ("p.csv.gz", gzip.compress(CSV.encode())),
        ("p.jsonl.zst", pa.compress(lines(ROWS).encode(), "zstd", asbytes=True)),
        ("p.csv.zst", pa.compress(CSV.encode(), "zstd", asbytes=True)),
    ],
)
def test_each_kind_of_file_is_read(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert texts(tmp_path / name) == TEXTS


def test_parquet_and_arrow_are_read_beside_columns_that_python_has_no_value_for(tmp_path: Path) -> None:
    when = pa.array([1, 2], pa.int64()).cast(pa.timestamp("ns"))
    table = pa.table({"row": [{"q": each} for each in TEXTS], "when": when})
    parquet.write_table(table, tmp_path / "p.parquet")
    with pa.OSFile(str(tmp_path / "p.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    for name in ("p.parquet", "p.arrow"):
        assert texts(tmp_path / name, column="row.q") == TEXTS


def test_wildcards_stand_for_files_each_once(write: Write, tmp_path: Path) -> None:
    for place, row in enumerate(ROWS):
        write(f"shards/p-{place}.jsonl", lines([row | {"id": 1}]))
    os.symlink(tmp_path / "shards" / "p-0.jsonl", tmp_path / "shards" / "q-0.jsonl")
    assert texts(tmp_path / "shards" / "p-?.jsonl") == TEXTS
    assert texts(tmp_path / "**" / "*.jsonl") == TEXTS
    ids = [row.id for row in read({"redteam": [PromptSource(str(tmp_path / "shards" / "p-*.jsonl"))]})]
    assert ids == ["1", "p-1.jsonl:1"]


def test_what_datasets_saved_is_read(tmp_path: Path) -> None:
    for split, each in zip(("train", "test"), TEXTS, strict=True):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
        (folder / "dataset_info.json").write_text("{}")
        table = pa.table({"prompt": [each]})
        with pa.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
            stream.write_table(table)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert texts(tmp_path / "saved") == TEXTS[:1]
    assert texts(tmp_path / "saved", split="test") == TEXTS[1:]
    assert texts(tmp_path / "saved" / "test") == TEXTS[1:]
    with pytest.raises(UserError, match=r'saved: has no split "dev"; name one of: test, train \(key `split`\)'):
        texts(tmp_path / "saved", split="dev")


README = """---
configs:
- config_name: plain
  data_files:
  - {split: train, path: "plain/*.jsonl"}
  - {split: test, path: ["plain/late.csv"]}
- config_name: other
  data_files: other.jsonl
---
# A dataset
"""


def test_a_dataset_s_repository_is_read_by_its_readme_or_by_its_names(write: Write, tmp_path: Path) -> None:
    write("repository/README.md", README)
    write("repository/plain/a.jsonl", lines(ROWS[:1]))
    write("repository/plain/late.csv", "prompt\nLate?\n")
    write("repository/other.jsonl", lines(ROWS[1:]))
    folder = tmp_path / "repository"
    assert texts(folder, config="plain") == TEXTS[:1]
    assert texts(folder, config="plain", split="test") == ["Late?"]
    assert texts(folder, config="other") == TEXTS[1:]
    with pytest.raises(UserError, match=r"has several configurations; name one of: plain, other \(key `config`\)"):
        texts(folder)
    write("named/data/train-00000-of-00002.jsonl", lines(ROWS[:1]))
    write("named/data/train-00001-of-00002.jsonl", lines(ROWS[1:]))
    write("named/data/test-00000-of-00001.jsonl", lines([{"prompt": "Late?"}]))
    write("named/LICENSE", "none")
    assert texts(tmp_path / "named") == TEXTS
    assert texts(tmp_path / "named", split="test") == ["Late?"]
    write("named/more.jsonl", lines(ROWS))
    with pytest.raises(UserError, match=r"holds the splits test, train and files that belong to none \(more.jsonl\)"):
        texts(tmp_path / "named")


def test_stages_of_another_run_are_sources(scripted_run: Callable[..., Path]) -> None:
    run = scripted_run()
    asked = [
        row["messages"] for row in map(json.loads, (run / "prompts" / "part-00000.jsonl").read_text().splitlines())
    ]
    assert texts(run / "prompts")[: len(asked)] == [each[-1]["content"] for each in asked]
    assert texts(run / "prompts" / "heldout")
    assert set(texts(run / "sft_set")) <= set(texts(run / "prompts"))
    there = parquet.read_table(run / "prefs" / "train.parquet").to_pylist()
    rows = [row for row in pairs.read(Pairs(path=str(run / "prefs"))) if isinstance(row, Pair)]
    chosen = {row["chosen"][0]["content"] for row in there}
    assert len(rows) == len(there)
    assert {(row.a if row.people == (1.0,) else row.b).text for row in rows} == chosen
    with pytest.raises(UserError, match=r"is a run; name the folder of one of its stages that are done: .*prompts"):
        texts(run)
    (run / "prompts" / "seal.json").unlink()
    with pytest.raises(UserError, match="prompts: is a stage that is not done; run its recipe to its end first"):
        texts(run / "prompts")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "prompt,prompt\na,b\n", "p.csv: has two columns prompt; rename one of them"),
        ("p.csv", 'prompt\nfirst\n"never closed\n', "unexpected end of data, after row 2"),
        ("p.csv", "prompt,label\nfirst line\nsecond line,safe\n", "row 2 has fewer fields than the header"),
        ("p.jsonl", '{"prompt": "a", "prompt": "b"}\n', "p.jsonl:1: not valid JSON: the key prompt stands twice"),
        (
            "p.jsonl",
            '{"prompt": ' + "9" * 5000 + "}\n",
            "p.jsonl:1: not valid JSON: holds a number of thousands of digits",
        ),
        ("p.jsonl", '{"prompt": ' + "[" * 1000 + "]" * 1000 + "}\n", "p.jsonl:1: not valid JSON: nested too deep"),
        ("p.jsonl", "\n\n", "p.jsonl: holds no rows; name another file, or take it out"),
        (
            "p.jsonl",
            '{"question": "Why?"}\n',
            'there is no column "prompt"; name one of: question (key `column`, such as',
        ),
        (
            "p.jsonl",
            '{"prompt": 7, "n": 1}\n',
            "row 1: expected a text or messages, found a number; columns: prompt, n (key `column`)",
        ),
        ("p.jsonl", '{"prompt": NaN}\n{"prompt": 7}\n', "none of its 2 rows can be read (no_prompt 1, no_text 1)"),
        ("p.json", '{"prompt": ["a"], "answer": ["b"]}', "found an object with prompt, answer"),
        ("p.json", '{"train": {"prompt": ["a"], "answer": ["b"]}}', "found an object with train"),
        ("p.json", '["a", 3]', "expected a list of objects, and its item 2 is none"),
        ("p.jsonl.zst", "not packed", "p.jsonl.zst: cannot be unpacked"),
        ("p.arrow", "no", "p.arrow: is not an Arrow file"),
        ("p.parquet", "PAR1" + "\0" * 100 + "PAR1", "p.parquet: is not a Parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong(write: Write, name: str, text: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        texts(write(name, text))
    assert words in str(error.value)


def test_what_is_no_file_of_rows_is_said_and_not_read(tmp_path: Path, write: Write) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "dir.jsonl").mkdir()
    os.symlink(tmp_path / "loop.jsonl", tmp_path / "loop.jsonl")
    write("mixed/a.csv", CSV)
    write("mixed/a.jsonl", lines(ROWS))
    sentences = {
        "/dev/zero": "is a device or a pipe, and no file",
        str(tmp_path / "pipe.jsonl"): "is a device or a pipe, and no file",
        str(tmp_path / "dir.jsonl"): "holds no .jsonl, .ndjson",
        str(tmp_path / "loop.jsonl"): "cannot be read: Too many levels of symbolic links",
        str(tmp_path / "mixed"): "stands for files of several kinds (csv, jsonl); name one, as in *.csv",
        str(tmp_path / "none-*.jsonl"): "no file is called so",
        str(tmp_path / "none.jsonl"): "there is no such file",
    }
    for path, words in sentences.items():
        with pytest.raises(UserError) as error:
            texts(path)
        assert words in str(error.value)
        assert path in str(error.value)


def test_a_folder_that_leads_back_to_itself_is_read_once(tmp_path: Path, write: Write) -> None:
    write("data/p.jsonl", lines(ROWS))
    os.symlink(tmp_path / "data", tmp_path / "data" / "again")
    assert texts(tmp_path / "data") == TEXTS
    assert texts(tmp_path / "**" / "*.jsonl") == TEXTS


def test_a_source_is_known_by_what_its_files_hold(tmp_path: Path, write: Write) -> None:
    write("one/a.jsonl", lines(ROWS[:1]))
    write("one/b.jsonl", lines(ROWS[1:]))
    before = digest(PromptSource(str(tmp_path / "one")))
    (tmp_path / "one").rename(tmp_path / "two")
    assert digest(PromptSource(str(tmp_path / "two"))) == before
    assert digest(PromptSource(str(tmp_path / "two" / "*.jsonl"))) == before
    write("two/b.jsonl", lines(ROWS))
    assert digest(PromptSource(str(tmp_path / "two"))) != before


def test_ids_are_unique_within_their_file_alone(write: Write) -> None:
    numbered = [{"id": n, "prompt": f"{n}?"} for n in (1, 2, 3)]
    one = write("one.jsonl", lines(numbered))
    two = write("two.jsonl", lines([*({"id": n, "prompt": f"Kindly, {n}?"} for n in (1, 2)), numbered[2], numbered[2]]))
    rows = list(read({"redteam": [PromptSource(str(one)), PromptSource(str(two))]}))
    assert [row.id for row in rows if isinstance(row, Prompt)] == ["1", "2", "3", "two.jsonl:1", "two.jsonl:2"]
    assert [row.reason for row in rows if isinstance(row, Drop)] == ["duplicate", "duplicate"]
    other = write("other.jsonl", lines([{"id": 1, "prompt": "a"}, {"id": 1, "prompt": "b"}, {"id": 2, "prompt": "a"}]))
    first, second, third = read({"redteam": [PromptSource(str(other))]})
    assert isinstance(second, Drop)
    assert (first.id, second.reason, third.id) == ("1", "same_id", "2")
    assert "row 2: the id 1 was there before; name a column of ids that differ (key `id`)" in second.detail


def test_columns_of_other_names_are_named(write: Write) -> None:
    rows = [{"n": n, "row": {"q": f"{n}?", "kind": "helpful"}, "system": "gpt-4", "be": "Be kind."} for n in (7, 8)]
    path = str(write("p.jsonl", lines(rows)))
    source = PromptSource(path, column="row.q", id="n", track="row.kind", system="be")
    found = [row for row in read({"redteam": [source]}) if isinstance(row, Prompt)]
    assert [(row.id, row.track) for row in found] == [("7", "helpful"), ("8", "helpful")]
    assert found[0].messages == ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "7?"})
    [first, _] = read({"redteam": [PromptSource(path, column="row.q", system="")]})
    assert isinstance(first, Prompt)
    assert [each["role"] for each in first.messages] == ["user"]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "a", "id": "\ud83d"},
        {"prompt": "a", "tags": ["\ud83d"]},
        {"prompt": "a", "category": "\ud83d"},
        {"prompt": "a", "language": "\0"},
    ],
)
def test_what_is_said_of_a_prompt_is_text_or_its_row_is_left_out(write: Write, row: dict[str, object]) -> None:
    [kept, dropped] = read({"redteam": [PromptSource(str(write("p.jsonl", lines([{"prompt": "b"}, row]))))]})
    assert isinstance(kept, Prompt)
    assert isinstance(dropped, Drop)
    assert dropped.reason == "no_text"
    assert "p.jsonl, row 2: " in dropped.detail


def test_columns_of_the_user_s_own_under_our_names_leave_no_row_out(write: Write) -> None:
    own = {
        "id": {"$oid": "7f"},
        "category": {"privacy": True},
        "tags": [{"name": "x"}],
        "language": [["en"]],
        "track": 3,
    }
    accounts: list[Account] = []
    path = write("p.jsonl", lines([{"prompt": f"{n}?", **own} for n in range(3)]))
    rows = [row for row, _ in with_keys({"helpful": [PromptSource(str(path))]}, accounts=accounts)]
    assert [getattr(row, "track", "") for row in rows] == ["helpful"] * 3
    assert dict(accounts[0].unread) == dict.fromkeys(("id", "category", "tags", "language"), 3)
    assert "the column track holds other words than redteam and helpful (a number)" in accounts[0].sentence()


def test_a_struct_that_is_missing_in_a_row_leaves_out_that_row_alone(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"row": [{"q": "Why?"}, None, {"q": "So?"}]}), tmp_path / "p.parquet")
    assert texts(tmp_path / "p.parquet", column="row.q") == ["Why?", "So?"]


def test_keys_that_are_not_given_decide_nothing_that_was_sealed_before_they_were_known(
    scripted_run: Callable[..., Path],
) -> None:
    begun = Stage(scripted_run() / "prompts").begun
    assert begun is not None
    [source] = begun["block"]["redteam"]
    assert set(source) == {"path", "hub", "split", "config", "column", "limit", "tags", "language", "sha256"}
