"""YAML as people write it: numbers, lines, and one clear sentence for what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.source import InputError, parse_yaml

HERE = Path("file.yaml")


@pytest.mark.parametrize("text", ["0x1f", "010", "1:30", "0b1", "=", "<<", "1_000", "9" * 400, "0x" + "f" * 5000])
def test_what_is_no_number_to_a_reader_stays_text(text: str) -> None:
    assert parse_yaml(f"a: {text}", Path("x.yaml")).data == {"a": text}


def test_numbers_and_words_are_what_they_look_like() -> None:
    data = parse_yaml("a: 1e-5\nb: no\nc: true\nd: 3\ne: 2024-01-01\nf: .5\n", HERE).data
    assert data == {"a": 1e-5, "b": "no", "c": True, "d": 3, "e": "2024-01-01", "f": 0.5}


def test_every_key_knows_its_line() -> None:
    source = parse_yaml("a:\n  - b: 1\n  - b: 2\n    c: 3\n", HERE)
    assert source.where(("a", 1, "c")) == "file.yaml:4: a[1].c"
    assert source.where(("a", 1, "missing")) == "file.yaml:3: a[1].missing"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: Be kind: always\n", 1, 'a value holds a colon; put it in quotes, such as key: "one: two"'),
        ("a: 1\n  b: 2\n", 2, "a key stands where none can be; line it up with the keys beside it"),
        ("a:\n\tb: 1\n", 2, "a tab stands before this line's text; take spaces"),
        ("a:\n  b: 1\n\tc: 2\n", 3, "a tab stands before this line's text; take spaces"),
        ("a:\n-\tb: 1\n\tc: 2\n", 2, "a tab stands before this line's text; take spaces"),
        ('a: 1\nb: "hello\nc: 2\n', 2, "a quote is opened here and never closed; close it"),
        ("a: 'hello\nb: 2\n", 1, "a quote is opened here and never closed; close it"),
        ("a: 'it's fine'\n", 1, "text follows a closing quote; put all of it in one pair of quotes"),
        ("a:\n  - [1, 2\nb: 3\n", 2, "a bracket is opened here, and line 3 is within it; close it"),
        ("a: {b: 1\nc: 2\n", 1, "a bracket is opened here, and line 2 is within it; close it"),
        ("a: 1\nhello\nb: 2\n", 2, "a line without a colon; write key: value"),
        ("a:\n  b: 1\n c: 2\n", 3, "does not fit the lines before it; line it up with those beside it"),
        ("a:\n  - b\n  c: 1\n", 3, "does not fit the lines before it; line it up with those beside it"),
        ("a: @x\n", 1, "a value cannot begin with one of @ ` % * & here; put it in quotes"),
        ("a: *\n", 1, "a value cannot begin with one of @ ` % * & here; put it in quotes"),
        ("a: 1\n%b\n", 2, "a line cannot begin with %; put it in quotes"),
        (
            'a: "C:\\docs\\qdir"\n',
            1,
            "a backslash in double quotes begins a code that there is none of; take single quotes",
        ),
        ("a: |x\n", 1, "after | or > nothing can follow; write the text below it, indented"),
        ("a: [1,, 2]\n", 1, "a comma or a closing bracket has nothing before it"),
        ("b: 1\na: [\n", 3, "a bracket is opened before here and never closed; close it"),
        ("a: 1\n---\nb: 2\n", 2, "another document begins here; keep one in a file"),
        ("a: 1\nb: \0\n", 2, "a control character stands here, which no editor shows; take it out"),
    ],
)
def test_what_a_parser_stumbles_over_is_told_in_our_words_at_its_line(text: str, line: int, words: str) -> None:
    for other in (text, text.replace("\n", "\r\n")):
        with pytest.raises(InputError) as error:
            parse_yaml(other, HERE)
        assert str(error.value).startswith(f"file.yaml:{line}: not valid YAML: {words}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1\nb: 2\n", "file.yaml:1: not valid YAML"),
        ("a: 1\na: 2\n", 'file.yaml:2: a: the key "a" is there twice'),
        ("a: &x [1]\nb: *x\n", "file.yaml:2: aliases (*x) are not allowed"),
        ("a: !!python/object:os.system x\n", "file.yaml:1: tags"),
        ("", "the file is empty"),
        ("a: " + "[" * 200_000, "file.yaml:1: nested more than 64 deep"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("? [1, 2]\n: x\n", "a key must be plain text"),
        ("a: {1: 2}\n", "file.yaml:1: a key must be plain text"),
        ("null: 2\n", "file.yaml:1: a key must be plain text"),
    ],
)
def test_bad_yaml_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        parse_yaml(text, HERE)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[" * 70, 1),
        ("a: " + "[" * 990 + "]" * 990, 1),
        ("a: " + "[" * 1010, 1),
        ("a:\n  " + "{b: " * 2000, 2),
        ("- " * 3000 + "a", 1),
        ("".join(" " * deep + "a:\n" for deep in range(1500)), 65),
        ("".join(" " * deep + "a:\n" for deep in range(60)) + " " * 60 + "[" * 1500, 61),
    ],
    ids=["70 lists", "990 lists", "1010 lists", "mappings", "items", "keys", "lists under keys"],
)
def test_depth_is_told_in_our_words_whatever_the_parser_s_own_limit(text: str, line: int) -> None:
    with pytest.raises(InputError) as error:
        parse_yaml(text, HERE)
    assert str(error.value) == f"file.yaml:{line}: nested more than 64 deep; close the brackets"


def test_what_is_not_too_deep_is_no_matter_of_depth() -> None:
    assert parse_yaml("a: " + "[" * 60 + "]" * 60, HERE).data["a"] != []
    brackets = "[" * 2000
    with pytest.raises(InputError, match=r"^file\.yaml:2: not valid YAML"):
        parse_yaml(f"a: '{brackets}'\nb: [1\nc: 2\n", HERE)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}#&*!|>'\"%@` \n\t1.e\0"), max_size=40))
def test_any_text_is_data_or_a_sentence(text: str) -> None:
    complaint = "file.yaml"
    try:
        parse_yaml(text, HERE)
    except InputError as error:
        complaint = str(error)
    assert complaint.startswith("file.yaml")


def test_a_missing_file_and_bytes_are_sentences(tmp_path: Path) -> None:
    from constitution.source import read_yaml

    with pytest.raises(InputError, match="there is no such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"is not UTF-8 text .* at byte"):
        read_yaml(tmp_path / "bytes.yaml")
