"""Tables, and objects, of rows: what could be read as other rows than were meant is one sentence."""

import gzip
import json
from pathlib import Path

import pytest

from cai.data.prompts import PromptSource, read
from cai.errors import UserError
from cai.store.rows import Prompt


def texts(path: Path) -> list[str]:
    rows = read({"redteam": [PromptSource(str(path))]})
    return [row.messages[-1]["content"] for row in rows if isinstance(row, Prompt)]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "p.csv",
            "prompt;n\nRye, or not?;1\n",
            "has semicolons between its fields and not commas (prompt;n); write it with",
        ),
        ("p.csv", "prompt\tn\nRye?\t1\n", "has tabs between its fields and not commas (prompt\\tn); name it .tsv"),
        ("p.csv", "prompt|n\nRye?|1\n", "has bars between its fields and not commas"),
        ("p.tsv", "prompt,n\nRye?,1\n", "has commas between its fields and not tabs (prompt,n); write it with tabs"),
        ("p.csv", "n,prompt\n1,Rye?\nn,prompt\n2,Oats?\n", "row 3 is the header again, as where two files were put"),
        ("p.csv", "n,prompt\n1,Rye?\n2\n", "row 3 has fewer fields than the header; quote what holds commas"),
        ("p.csv", "n,prompt\n1,Rye, or not?\n", "row 2 has more fields than the header; quote what holds commas"),
        ("p.csv", 'n,prompt\n1,"Rye?\n2,Oats?\n', "cannot be read as fields with commas between them"),
        ("p.csv", "n,n,prompt\n1,2,Rye?\n", "has two columns n; rename one of them"),
    ],
)
def test_a_table_that_is_none_is_said(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        texts(tmp_path / name)
    assert words in str(error.value)


def test_quotes_empty_lines_and_columns_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('\n,prompt\n0,"Say ""rye"",\n\nthen; stop."\n\n1,5" | so?\n')
    assert texts(tmp_path / "p.csv") == ['Say "rye",\n\nthen; stop.', '5" | so?']
    (tmp_path / "one.csv").write_text('"prompt"\n"Rye, or not?"\n')
    assert texts(tmp_path / "one.csv") == ["Rye, or not?"]


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz"])
def test_one_list_is_read_whatever_the_name_says(tmp_path: Path, name: str) -> None:
    text = json.dumps([{"prompt": "Rye?"}, {"prompt": "Oats?"}], indent=1).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert texts(tmp_path / name) == ["Rye?", "Oats?"]


@pytest.mark.parametrize(
    "data",
    [
        {"q1": {"rounds": ["Rye?", "So?"], "gold": ["Sour."]}, "q2": {"rounds": ["Oats?"], "gold": ["Sweet."]}},
        {"q1": {"questions": ["Rye?"], "answers": ["Sour."]}},
        {"q1": {"turns": ["Rye?"], "references": ["Sour."]}},
        {"id": "7", "data": ["Rye?", "Sour.", "So?"]},
        {"prompt": {"0": "Rye?", "1": "Oats?"}},
        {"columns": ["prompt"], "index": [0], "data": [["Rye?"]]},
    ],
)
def test_answers_under_ids_are_not_asked_as_prompts(tmp_path: Path, data: dict[str, object]) -> None:
    (tmp_path / "p.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"p\.json: expected a list of objects"):
        texts(tmp_path / "p.json")


def test_texts_under_data_and_under_categories_are_prompts(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"data": ["Rye?", "Oats?"]}))
    assert texts(tmp_path / "p.json") == ["Rye?", "Oats?"]
    (tmp_path / "p.json").write_text(json.dumps({"bread": {"rye": ["Rye?"], "oats": ["Oats?"]}, "beer": {"malt": []}}))
    assert texts(tmp_path / "p.json") == ["Rye?", "Oats?"]


def test_tags_in_the_notation_of_a_list_are_tags(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('prompt,tags\nRye?,"[""grain"", ""sour""]"\nOats?,grain\n')
    rows = [
        row.about.tags for row in read({"redteam": [PromptSource(str(tmp_path / "p.csv"))]}) if isinstance(row, Prompt)
    ]
    assert rows == [("grain", "sour"), ("grain",)]
