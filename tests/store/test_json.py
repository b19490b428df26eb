"""Lines of JSON are written and read by a fast library; nothing of what they say may differ from what Python's own reads."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from cai.errors import Damage
from cai.models.transport import Page, to_json
from cai.store.files import json_object
from cai.store.rows import Draft, encode

SCALARS = some.none() | some.booleans() | some.integers() | some.floats() | some.text()
VALUES = some.recursive(SCALARS, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner), max_leaves=8)
LINE = '{"a": [1, 2.5, 1e-7, "\\u00e9\\ud83d\\ude00", null, true], "b": {}}'
PIECES = (b"NaN", b"Infinity", b'"\\ud800"', b"1e400", b"\xff", b"\xef\xbb\xbf{}", b"1" * 5000, b"-0", b'{"a":1,"a":2}')


def same(one: object, other: object) -> bool:
    """Equal, and NaN is like NaN, 1 unlike 1.0 and true."""
    return repr(one) == repr(other)


@given(VALUES)
@example([math.nan, "null"])
@example({"a": math.inf})
@example(["null", 1e-7, 1e16])
@example("\ud800")
@example(2**70)
def test_what_is_written_is_what_is_read(value):
    assert same(json.loads(encode(value)), value)
    assert same(json.loads(to_json(value)), value)


def test_a_number_that_is_none_is_not_taken_for_nothing():
    with pytest.raises(Damage, match="line 3 is no JSON object"):
        json_object(encode({"score": math.nan}), Path("rows.jsonl"), 3)
    assert json_object(encode({"score": None}), Path("rows.jsonl"), 3) == {"score": None}


@given(some.binary() | some.sampled_from(PIECES) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_a_page_says_what_python_reads_in_it(data):
    try:
        expected = json.loads(data)
    except ValueError as error:
        with pytest.raises(type(error)):
            Page(200, data).json()
    else:
        assert same(Page(200, data).json(), expected)


@given(
    some.integers(0, len(LINE)), some.sampled_from(["", '"', ",", "NaN", "\\ud800", "0", "e", "]", "\x01", "\u2028"])
)
def test_a_changed_line_is_read_as_python_reads_it_or_is_damage(place, more):
    line = LINE[:place] + more + LINE[place + 1 :]
    try:
        data = json.loads(line, parse_constant=lambda word: json.loads("x"))
        "".join(json.dumps(data, ensure_ascii=False)).encode()
        assert isinstance(data, dict)
    except (ValueError, AssertionError):
        with pytest.raises(Damage):
            json_object(line, Path("rows.jsonl"), 1)
    else:
        assert same(json_object(line, Path("rows.jsonl"), 1), data)


def test_a_row_is_one_line_of_few_bytes_in_the_order_of_its_fields():
    line = encode(Draft("a\nb\u2028é/", "m", "stop", 7))
    assert line.startswith('{"text":"a\\nb\u2028é/","model":"m","finish":"stop","seed":7,"principle":""')
