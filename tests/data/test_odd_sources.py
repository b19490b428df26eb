"""Files of broken shapes, drawn from a seed: each is read as text that is whole, dropped with its reason, or is one sentence.

By hand, more of them: CAI_ODD_SOURCES=5000 python -m pytest tests/data/test_odd_sources.py
"""

import csv
import gzip
import io
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from cai.data import records
from cai.data.prompts import PromptSource, read
from cai.errors import UserError
from cai.stages import pairs
from cai.stages.pairs import Pairs
from cai.store.identity import is_text
from cai.store.rows import Drop, Message, Pair, Prompt, encode

COUNT = int(os.environ.get("CAI_ODD_SOURCES", "60"))
MOST_SECONDS = 5
Row = TypeVar("Row")
TEXTS = (
    *(
        "Is rye sour?",
        "",
        "  ",
        "a\nb",
        "it: is",
        "Human: Hi",
        "\n\nHuman: Hi\n\nAssistant: Yo\n\nHuman: So?",
        "nan",
        "[]",
    ),
    *(
        "\n\nHuman: Hi\n\nAssistant:",
        "\n\nAssistant: Yes.",
        "System: be kind\n\nHuman: Hi",
        "Human: a\nAssistant: b",
        "{}",
    ),
    *(
        "half \ud83d",
        "a NUL \0",
        "\ufeffmark",
        "\u2028",
        "x" * 3000,
        "\n\nHuman: \n\nAssistant: a",
        "[{'role': 'user'",
        "0",
    ),
    *(
        "[{'role': 'user', 'content': 'Hi'}]",
        '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]',
    ),
    *(
        '[{"from": "human", "value": "Hi"}',
        "[{'role': 'user', 'content': __import__('os')}]",
        "[{'role': 'user', 'content': [[[",
    ),
    *(
        "[{'role': 'user', 'content': 'a'}\n {'role': 'assistant', 'content': 'b'}]",
        '{"role": "admin"}',
        '"quoted',
        "a,b\tc",
    ),
)
ROLES = (
    "user",
    "assistant",
    "system",
    "tool",
    "human",
    "gpt",
    "narrator",
    "User ",
    "half \ud83d",
    "",
    None,
    3,
    ["user"],
    {},
)
PARTS: tuple[object, ...] = (
    {"type": "text", "text": "Is it?"},
    {"type": "text", "text": None},
    {"type": "image"},
    {"type": "image_url", "image_url": {"url": "x"}},
    *(
        {"type": "input_audio"},
        {"type": "tool_use", "name": "f"},
        {"type": 3},
        {"text": "half \ud83d"},
        "bare",
        3,
        None,
        [],
    ),
)
BESIDE = (
    "id",
    "track",
    "tags",
    "language",
    "category",
    "system",
    "history",
    "input",
    "context",
    "image",
    "",
    "half \ud83d",
)
PROMPTS: tuple[dict[str, object], ...] = (
    {"prompt": "Why?"},
    {"messages": [{"role": "user", "content": "Why?"}]},
    {"conversations": [{"from": "human", "value": "Why?"}]},
    {"prompt": "\n\nHuman: Hi\n\nAssistant: Yo\n\nHuman: Why?", "system": "Be kind."},
)
BOTH = ("chosen", "rejected")
PAIRS: tuple[dict[str, object], ...] = (
    {"prompt": "Why?", "chosen": "So.", "rejected": "No."},
    {"chosen": "\n\nHuman: Why?\n\nAssistant: So.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
    {"instruction": "Why?", "input": "it", "response_a": "So.", "response_b": "No.", "winner": "a"},
    {"prompt": "Why?", "corrects": ["So."], "incorrects": ["No.", "Hm."]},
    {key: [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": key}] for key in BOTH},
    {"conversations": [{"from": "human", "value": "Why?"}], **{key: {"from": "gpt", "value": key} for key in BOTH}},
)


class Maker:
    """Draws values, rows and files."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)

    def value(self, depth: int = 0) -> object:
        rng = self.rng
        simple: tuple[Callable[[], object], ...] = (
            lambda: rng.choice(TEXTS),
            lambda: rng.choice(
                (None, True, False, 0, 7, -1, 2**63, 2**70, 1.5, float("nan"), float("inf"), -float("inf"))
            ),
        )
        nested: tuple[Callable[[], object], ...] = (
            self.messages,
            lambda: [rng.choice(PARTS) for _ in range(rng.randrange(3))],
            lambda: [[rng.choice(TEXTS), rng.choice(TEXTS)] for _ in range(rng.randrange(3))],
            lambda: [self.value(depth + 1) for _ in range(rng.randrange(4))],
            lambda: {rng.choice(BESIDE): self.value(depth + 1) for _ in range(rng.randrange(4))},
            self.deep,
        )
        return rng.choice(simple if depth > 2 or rng.random() < 0.5 else nested)()

    def deep(self) -> object:
        value: object = "in"
        for _ in range(self.rng.choice((50, 300, 900))):
            value = [value] if self.rng.random() < 0.5 else {"content": value}
        return value

    def messages(self) -> object:
        rng = self.rng
        turns: list[object] = []
        for _ in range(rng.randrange(4)):
            keys = rng.choice((("role", "content"), ("from", "value"), ("role", "value"), ("speaker", "text")))
            content = rng.choice((rng.choice(TEXTS), [rng.choice(PARTS)], None, 3, {}))
            turn: dict[str, object] = {
                keys[0]: rng.choice(ROLES if rng.random() < 0.4 else ROLES[:2]),
                keys[1]: content,
            }
            if rng.random() < 0.1:
                turn[rng.choice(("tool_calls", "function_call", "images", "audio", "weight"))] = [1]
            turns.append(turn if rng.random() < 0.95 else rng.choice(("text", None, [], 3)))
        shapes = (
            turns,
            turns,
            turns,
            {"role": [rng.choice(ROLES)], "content": [rng.choice(TEXTS)]},
            turns[0] if turns else {},
        )
        return rng.choice(shapes)

    def row(self, good: dict[str, object]) -> dict[str, object]:
        """A good row, most often spoiled: some of its values are others, some columns are gone, some are added."""
        row, rng = dict(good), self.rng
        for key in good:
            draw = rng.random()
            if draw < 0.3:
                row[key] = rng.choice((self.value, self.messages, lambda: rng.choice(TEXTS)))()
            elif draw < 0.35:
                del row[key]
        return row | {rng.choice(BESIDE): self.value() for _ in range(rng.choice((0, 0, 1, 2)))}

    def write(self, folder: Path, forms: tuple[dict[str, object], ...]) -> Path:
        good, rng = self.rng.choice(forms), self.rng
        rows = [good, *(self.row(good) for _ in range(rng.randrange(6)))][rng.choice((0, 0, 0, 1)) :]
        kind = rng.choice(("jsonl", "jsonl", "jsonl", "ndjson", "json", "csv", "tsv", "parquet", "arrow"))
        data = _bytes(kind, rows, rng)
        for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
            data = self.broken(data)
        if kind in ("jsonl", "json", "csv", "tsv") and rng.random() < 0.3:
            packing = rng.choice(("gz", "zst"))
            data = gzip.compress(data) if packing == "gz" else pa.compress(data, "zstd", asbytes=True)
            kind, data = f"{kind}.{packing}", self.broken(data) if rng.random() < 0.3 else data
        path = folder / f"odd.{kind}"
        path.write_bytes(data)
        return path

    def broken(self, data: bytes) -> bytes:
        rng = self.rng
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        return rng.choice(
            (
                lambda: data[:at],
                lambda: data[:at] + data[end:],
                lambda: data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
                lambda: b"\xef\xbb\xbf" + data,
                lambda: data.replace(b"\n", b"\r\n"),
                lambda: data[:at] + b"\0" + data[at:],
                lambda: data.decode("utf-8", "replace").encode("utf-16"),
                lambda: data + data[at:],
                lambda: data[:at] + b'"' + data[at:],
            )
        )()


def _bytes(kind: str, rows: list[dict[str, Any]], rng: Random) -> bytes:
    if kind in ("parquet", "arrow"):
        try:
            table = pa.Table.from_pylist([row for row in rows if _fits(rows[0], row)])
            sink = pa.BufferOutputStream()
            if kind == "parquet":
                parquet.write_table(table, sink)
            else:
                with pa.ipc.new_stream(sink, table.schema) as stream:
                    stream.write_table(table)
            return sink.getvalue().to_pybytes()
        except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeError):
            return b"PAR1"
    if kind in ("csv", "tsv"):
        file = io.StringIO()
        names = list(dict.fromkeys(key for row in rows for key in row)) or ["prompt"]
        writer = csv.DictWriter(file, names, delimiter="," if kind == "csv" else "\t")
        writer.writeheader()
        writer.writerows({key: str(each)[:5000] for key, each in row.items()} for row in rows)
        return file.getvalue().encode("utf-8", rng.choice(("replace", "surrogatepass")))
    if kind == "json":
        some = rng.choice(
            (rows, {"data": rows}, rows[0] if rows else {}, [3, rows], {"a": {"b": ["x", "y"]}}, {"a": ["x"]})
        )
        return json.dumps(some).encode()
    lines = [json.dumps(row) for row in rows]
    lines += [
        rng.choice(("", "", "[1]", "{", '{"prompt": "a", "prompt": "b"}', '{"prompt": ' + "9" * 5000 + "}", "[" * 2000))
    ]
    return "\n".join(lines[: None if rng.random() < 0.1 else -1]).encode()


def _fits(first: dict[str, object], row: dict[str, object]) -> bool:
    """Whether Arrow can have two rows in one table."""
    try:
        pa.Table.from_pylist([first, row])
    except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeError):
        return False
    return True


def whole(messages: tuple[Message, ...]) -> bool:
    """Whether a conversation is text that somebody says, each turn of it."""
    return bool(messages) and all(
        each.keys() == {"role", "content"}
        and each["role"] in ("user", "assistant", "system")
        and isinstance(each["content"], str)
        and each["content"].strip()
        and is_text(each["content"])
        and "\0" not in each["content"]
        for each in messages
    )


def check_drop(row: Drop) -> None:
    assert re.fullmatch(r"[a-z_]+", row.reason), row
    assert row.reason == "same_pair" or re.search(r"odd\.\S+, row \d+: ", row.detail), row


def in_time(rows: Callable[[], Iterable[Row]]) -> list[Row]:
    """The rows of a file; none where it is one sentence about it."""
    start = perf_counter()
    try:
        return list(rows())
    except UserError as error:
        sentence = str(error)
    finally:
        assert perf_counter() - start < MOST_SECONDS
    assert "odd." in sentence and "\n" not in sentence
    return []


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_file_of_prompts_is_text_a_drop_or_a_sentence(tmp_path: Path, seed: int) -> None:
    path = Maker(seed).write(tmp_path, PROMPTS)
    rows = in_time(lambda: read({"redteam": [PromptSource(str(path))]}))
    for row in rows:
        encode(row).encode()
        if isinstance(row, Drop):
            check_drop(row)
        else:
            assert isinstance(row, Prompt) and whole(row.messages) and row.messages[-1]["role"] == "user", row
            assert not row.messages[-1]["content"].startswith(("[{'role", '[{"role')), row
    kept = [row.id for row in rows if isinstance(row, Prompt)]
    assert len(set(kept)) == len(kept)


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_file_of_pairs_is_text_a_drop_or_a_sentence(tmp_path: Path, seed: int) -> None:
    path = Maker(-seed - 1).write(tmp_path, PAIRS)
    rows = in_time(lambda: pairs.read(Pairs(str(path))))
    for row in rows:
        encode(row).encode()
        if isinstance(row, Drop):
            check_drop(row)
        else:
            assert isinstance(row, Pair) and whole(row.messages), row
            answers = [{"role": "assistant", "content": each.text} for each in (row.a, row.b)]
            assert whole(tuple(answers)) and row.track in ("redteam", "helpful"), row
            assert not any(each["content"].startswith(("[{'role", '[{"role')) for each in answers), row


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("a.jsonl.gz", "a.jsonl.gz:2: is longer than 1,000 characters"), ("a.csv.gz", "a.csv.gz:2: is longer than 1,000")],
)
def test_a_line_that_does_not_end_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    """A few kilobytes may hold more than there is memory."""
    monkeypatch.setattr(records, "LONGEST", 1000)
    first = "prompt\n" if "csv" in name else '{"prompt": "Hi"}\n'
    with gzip.open(tmp_path / name, "wt") as file:
        file.write(first + "x" * 5000)
    with pytest.raises(UserError, match=sentence):
        list(records.entries(PromptSource(str(tmp_path / name))))


def test_a_packed_text_of_json_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST", 100)
    with gzip.open(tmp_path / "a.json.gz", "wt") as file:
        file.write(json.dumps([{"prompt": "Hi"}] * 50))
    with pytest.raises(UserError, match="unpacks to more than 100 characters in one JSON text; write it as JSONL"):
        list(records.entries(PromptSource(str(tmp_path / "a.json.gz"))))
