"""What a run wrote is read as what it was: by its form, row by row, with the file and the line of what does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from cai.errors import RunError
from cai.store.files import json_objects
from cai.store.form import misfit
from cai.store.ledger import Seal
from cai.store.lines import DropLine
from cai.store.part_records import RecordLine
from cai.store.rows import Chain, Draft, Scored, decode, plain
from cai.store.run_folder import RunNote
from cai.store.stage import Stage

COUNTS = {"rows_in": 1, "rows_kept": 1, "rows_out": 1, "tokens_in": 0, "tokens_cached": 0, "tokens_out": 0}
LEDGER = {"part": 0, "bytes": 9, "dropped": {}, "seconds": 0.5, "counts": {}, **COUNTS}
SEAL = {**LEDGER, "stage": "s", "digest": "d", "inputs": {}, "versions": {"cai": "1"}, "metrics": {"kl": float("nan")}}
NOTE = {"recipe": "r", "seed": 0, "constitution": "c", "constitution_version": "", "constitution_digest": "d"}
NOTE |= {"principles": {}, "models": {}, "stages": [{"name": "s", "kind": "revise", "reads": "prompts"}]}
DROP = {"part": 0, "in": "a", "id": "a", "reason": "r", "detail": "", "partial": {"deep": [[{}]]}, "tokens": [1, 2, 3]}


@pytest.mark.parametrize(("data", "form"), [(LEDGER, RecordLine), (SEAL, Seal), (NOTE, RunNote), (DROP, DropLine)])
def test_what_a_run_writes_fits(data: dict[str, Any], form: Any) -> None:
    assert misfit(json.loads(json.dumps(data)), form) == ""


@pytest.mark.parametrize(
    ("data", "form", "wrong"),
    [
        ({**LEDGER, "rows_in": "1"}, RecordLine, "rows_in: expected a whole number"),
        ({**LEDGER, "rows_in": 1.0}, RecordLine, "rows_in: expected a whole number"),
        ({**LEDGER, "rows_in": True}, RecordLine, "rows_in: expected a whole number"),
        ({**LEDGER, "dropped": {"refused": []}}, RecordLine, "dropped.refused: expected a whole number"),
        ({**LEDGER, "dropped": []}, RecordLine, "dropped: expected an object"),
        ({key: SEAL[key] for key in SEAL if key != "digest"}, Seal, "digest: is missing"),
        (5, Seal, "expected an object"),
        ({**NOTE, "stages": 3}, RunNote, "stages: expected a list"),
        ({**NOTE, "stages": [{"name": "s", "kind": "k", "reads": None}]}, RunNote, "stages[0].reads: expected text"),
        ({**DROP, "tokens": ["x", 0, 0]}, DropLine, "tokens[0]: expected a whole number"),
        ({**DROP, "tokens": [1, -2, 3]}, DropLine, "tokens[1]: expected a number from 0 to 1e+15"),
        ({**DROP, "tokens": [1, 2]}, DropLine, "tokens: expected 3 items"),
        ({**LEDGER, "seconds": float("nan")}, RecordLine, "seconds: expected a number from 0 to 1e+15"),
        ({**LEDGER, "dropped": {"refused": -1}}, RecordLine, "dropped.refused: expected a number from 0 to 1e+15"),
        ({**LEDGER, "tokens_in": 10**16}, RecordLine, "tokens_in: expected a number from 0 to 1e+15"),
        (
            {**NOTE, "prices": {"policy": {"in": -1.0, "out": 1.0}}},
            RunNote,
            "prices.policy.in: expected a number from 0 to 1e+15",
        ),
        ({**NOTE, "prices": {"policy": {"in": 1.0}}}, RunNote, "prices.policy.out: is missing"),
    ],
)
def test_the_first_place_that_does_not_fit_is_named(data: object, form: Any, wrong: str) -> None:
    assert misfit(data, form) == wrong


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{torn", "its line 2 is no JSON object"),
        (b"[]", "its line 2 is no JSON object"),
        (b"\xff\xfe", "its line 2 is no text"),
        (b"[" * 5000, "its line 2 is no JSON object"),
        (json.dumps({**DROP, "id": "\ud800"}).encode(), "its line 2 is no JSON object"),
        (json.dumps({**DROP, "partial": float("nan")}).encode(), "its line 2 is no JSON object"),
        (json.dumps({**DROP, "part": None}).encode(), "its line 2 does not fit (part: expected a whole number)"),
    ],
)
def test_a_damaged_line_is_told_with_its_file_and_number(line: bytes, words: str, tmp_path: Path) -> None:
    (path := tmp_path / "drops.jsonl").write_bytes(json.dumps(DROP).encode() + b"\n" + line + b"\n")
    with pytest.raises(RunError) as error:
        list(json_objects(path, DropLine))
    assert str(error.value) == f"{path} is damaged: {words}; put it back as it was, or redo its stage"


CHAIN = Chain("p", ({"role": "user", "content": "Hi"},), (Draft("Hello", "m", "stop", 1),), "f", "helpful")
SCORED = Scored("p", "p", CHAIN.messages, CHAIN.drafts, (0.5, None), "one", "score", "m", "helpful")


@pytest.mark.parametrize("row", [CHAIN, SCORED])
def test_a_row_is_read_as_it_was_written(row: Chain | Scored, tmp_path: Path) -> None:
    assert decode(type(row), json.loads(json.dumps(plain(row)))) == row


@pytest.mark.parametrize(
    "more",
    [
        {"id": 5},
        {"messages": []},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": 5}]},
        {"drafts": {}},
        {"drafts": [5]},
        {"drafts": [{"text": "a", "model": "m", "finish": "stop", "seed": "1"}]},
        {"drafts": [{"text": ["a"], "model": "m", "finish": "stop", "seed": 1}]},
        {"drafts": "abc"},
        {"track": None},
    ],
)
def test_a_row_of_other_types_is_none(more: dict[str, object], tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")
    stage.folder.mkdir()
    stage.path(0).write_text(json.dumps({**plain(CHAIN), **more}) + "\n")
    with pytest.raises(RunError, match=r"line 1 of .*part-00000.jsonl is damaged: it is no chain; put the file back"):
        list(stage.all_rows(Chain))
