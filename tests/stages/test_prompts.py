"""Prompt sources of other people's making: JSONL, Parquet, CSV, their columns and their faults."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from cai.data.account import Account
from cai.data.prompts import PromptSource, read, smallest_hashes, with_keys
from cai.errors import UserError
from cai.stages.prompts import Prompts
from cai.store.rows import Drop, Prompt
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[str, str], Path]


def texts(source: PromptSource) -> list[str]:
    return [row.messages[-1]["content"] for row in read(Prompts((source,)).sources) if isinstance(row, Prompt)]


def test_a_named_column_of_csv_and_parquet(write: Write, tmp_path: Path) -> None:
    path = write("a.csv", 'goal,n\n"Do, it",1\nAgain,2\n')
    assert texts(PromptSource(str(path), column="goal")) == ["Do, it", "Again"]
    parquet.write_table(pa.table({"question": ["One?", "Two?"]}), tmp_path / "a.parquet")
    assert texts(PromptSource(str(tmp_path / "a.parquet"), column="question", limit=1)) == ["One?"]


def test_a_prompt_ends_with_the_person(write: Write) -> None:
    good = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Go on"},
    ]
    rows = [{"messages": some} for some in (good, good[:2], good[1:2])]
    path = write("a.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
    first, second, third = read({"redteam": [PromptSource(str(path))]})
    assert isinstance(first, Prompt)
    assert first.messages == tuple(good)
    assert isinstance(second, Prompt)
    assert second.messages == tuple(good[:1])
    assert isinstance(third, Drop)
    assert third.reason == "no_person_turn"


def test_equal_prompts_with_ids_stay_apart_and_without_ids_are_one(write: Write) -> None:
    path = write(
        "a.jsonl", '{"id": "x", "prompt": "Hi"}\n{"id": "y", "prompt": "Hi"}\n{"prompt": "Hi"}\n{"prompt": "Hi"}\n'
    )
    rows = list(read({"redteam": [PromptSource(str(path))]}))
    assert [row.reason if isinstance(row, Drop) else "kept" for row in rows] == ["kept", "kept", "kept", "duplicate"]


def test_a_byte_order_mark_is_no_part_of_the_text(write: Write) -> None:
    assert texts(PromptSource(str(write("a.jsonl", '\ufeff{"prompt": "Hi"}\n')))) == ["Hi"]
    assert texts(PromptSource(str(write("a.csv", "\ufeffprompt\nHi\n")))) == ["Hi"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "goal\nx\n", 'there is no column "prompt"; name one of: goal'),
        ("a.jsonl", '{"prompt": "x"}\n{oops\n', "a.jsonl:2: not valid JSON"),
        ("a.jsonl", f'{{"prompt": "x"}}\n{"[" * 100_000}\n', "a.jsonl:2: not valid JSON: nested too deep"),
        ("a.json", "[" * 100_000, "a.json: not valid JSON: nested too deep"),
        ("a.jsonl", "[1]\n", "expected a list of objects, and its item 1 is none"),
        ("a.jsonl", "1\n", "expected an object"),
        ("a.txt", "x\n", "rows come from .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .arrow files"),
        ("a.parquet", "x\n", "a.parquet: is not a Parquet file"),
        ("a.csv", "prompt\nx\udcff\n", "a.csv: is not UTF-8 text (invalid start byte at byte 8)"),
        ("a.jsonl", '{"prompt": "x\udcff"}\n', "a.jsonl: is not UTF-8 text"),
    ],
)
def test_faults_are_sentences(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=re.escape(words)):
        list(read({"redteam": [PromptSource(str(tmp_path / name))]}))


def test_tracks_of_the_user_s_own_are_told_and_not_taken_unless_they_are_named(write: Write) -> None:
    rows = '{"prompt": "a", "track": ["x"]}\n{"prompt": "b", "track": "helpful"}\n{"prompt": "c", "track": "blue"}\n'
    path = str(write("a.jsonl", rows))
    accounts: list[Account] = []
    tracks = [getattr(row, "track", "") for row, _ in with_keys({"redteam": [PromptSource(path)]}, accounts=accounts)]
    assert tracks == ["redteam", "helpful", "redteam"]
    assert "holds other words than redteam and helpful (a list, blue)" in accounts[0].sentence()
    assert [getattr(row, "track", "") for row in read({"redteam": [PromptSource(path, track="")]})] == ["redteam"] * 3
    with pytest.raises(UserError, match='the column "track" holds a list, blue; tracks are redteam and helpful'):
        list(read({"redteam": [PromptSource(path, track="track")]}))


def test_the_held_out_share_does_not_depend_on_order() -> None:
    ids = [f"p{number}" for number in range(50)]
    aside = smallest_hashes(ids, 0.1, seed=1)
    assert len(aside) == 5
    assert aside == smallest_hashes(reversed(ids), 0.1, seed=1)
    assert aside != smallest_hashes(ids, 0.1, seed=2)
    assert len(smallest_hashes(["a", "b"], 0.1, 0)) == 1
    assert smallest_hashes(["a"], 0.5, 0) == set()


@pytest.mark.parametrize("track", ["redteam", "helpful"])
def test_the_shipped_prompts_are_many_and_distinct(track: str) -> None:
    rows = [json.loads(line) for line in (ROOT / "principles" / "prompts" / f"{track}.jsonl").read_text().splitlines()]
    assert len(rows) >= 120
    assert len({row["prompt"] for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    assert {row["track"] for row in rows} == {track}
    assert len({row["category"] for row in rows}) >= 10


SHARED = ROOT.parent / "shared" / "data"


def test_a_long_field_of_a_csv_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt\n" + "x" * 200_000)
    [row] = read({"redteam": [PromptSource(str(tmp_path / "a.csv"))]})
    assert isinstance(row, Prompt)
    assert len(row.messages[0]["content"]) == 200_000


@pytest.mark.skipif(not SHARED.exists(), reason="real prompt sets are not here")
def test_real_prompt_sets_read_by_their_column() -> None:
    assert len(texts(PromptSource(str(SHARED / "redteam" / "advbench_behaviors.csv"), column="Behavior"))) == 520
    assert len(texts(PromptSource(str(SHARED / "xstest" / "xstest_prompts.csv")))) == 450
    assert len(texts(PromptSource(str(SHARED / "benign" / "seed_tasks.jsonl"), column="instruction"))) == 175
