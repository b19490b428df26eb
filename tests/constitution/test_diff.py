"""What changed between two constitutions, and word-level differences that people can read; saving and loading again."""

import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.diff import _longest_common, changes, words
from constitution.load import digest, load
from constitution.model import AppliesTo, Constitution, Principle
from constitution.save import dump

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("a b c", "a b c", [("same", "a b c")]),
        ("", "a b", [("added", "a b")]),
        ("a b", "", [("removed", "a b")]),
        (
            "the red house",
            "the blue house",
            [("same", "the "), ("removed", "red "), ("added", "blue "), ("same", "house")],
        ),
        # "to" is an island between changes, and counts as changed.
        (
            "go home to rest now",
            "run off to play now",
            [("removed", "go home to rest "), ("added", "run off to play "), ("same", "now")],
        ),
    ],
)
def test_words_are_the_same_removed_or_added(old: str, new: str, parts: list[tuple[str, str]]) -> None:
    assert list(words(old, new)) == parts


def test_both_texts_can_be_read_back_from_a_difference() -> None:
    old, new = "One two three, four five six. Seven!", "One two three five, six seven. Seven eight!"
    found = list(words(old, new))
    assert "".join(text for kind, text in found if kind != "added").split() == old.split()
    assert "".join(text for kind, text in found if kind != "removed").split() == new.split()


def counted(old: str, new: str) -> list[tuple[str, int]]:
    return [(kind, len(part.split())) for kind, part in words(old, new)]


@pytest.mark.parametrize("count", [600, 5_000])
def test_answers_that_loop_are_compared_at_once_and_rightly(count: int) -> None:
    began = time.process_time()
    loop = ["round", "and"] * (count // 2)
    other = [*loop[: count // 3], "stop", *loop[count // 3 :]]
    assert counted(" ".join(loop), " ".join(other)) == [
        ("same", count // 3),
        ("added", 1),
        ("same", count - count // 3),
    ]
    three = ["one", "two", "three"] * (count // 3)
    found = list(words(" ".join(loop), " ".join(three)))
    assert "".join(text for kind, text in found if kind != "added").split() == loop
    assert "".join(text for kind, text in found if kind != "removed").split() == three
    assert time.process_time() - began < 2  # a thousand words took eight seconds, and the time grew with their cube


@settings(max_examples=100, deadline=None)
@given(*[st.lists(st.sampled_from("abc"), max_size=12)] * 2)
def test_the_common_part_of_loops_is_as_long_as_can_be(old: list[str], new: list[str]) -> None:
    longest = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for at, word in enumerate(old):
        for at2, word2 in enumerate(new):
            best = max(longest[at][at2 + 1], longest[at + 1][at2])
            longest[at + 1][at2 + 1] = longest[at][at2] + 1 if word == word2 else best
    blocks = _longest_common(old, new)
    assert sum(size for *_, size in blocks) == longest[-1][-1]
    assert all(old[start : start + size] == new[start2 : start2 + size] for start, start2, size in blocks)


def test_texts_that_look_like_numbers_are_saved_as_texts(tmp_path: Path) -> None:
    one = Principle("1e5", "12e03", "true", "null", "~", tags=("1e-5", "a\x85b\u2028c"))
    (tmp_path / "saved.yaml").write_text(dump(Constitution("2e1", (one,), version="2e1")), encoding="utf-8")
    assert load(tmp_path / "saved.yaml") == Constitution("2e1", (one,), version="2e1")


@pytest.mark.parametrize("path", sorted((ROOT / "principles").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_saved_constitution_loads_as_the_same(path: Path, tmp_path: Path) -> None:
    constitution = load(path)
    (tmp_path / "saved.yaml").write_text(dump(constitution), encoding="utf-8")
    saved = load(tmp_path / "saved.yaml")
    assert saved == constitution
    assert digest(saved) == digest(constitution)
    assert list(changes(constitution, saved)) == []


def alter(value: object) -> object:
    """Another value of the same kind."""
    match value:
        case str():
            return f"{value} more"
        case float():
            return value + 1
        case AppliesTo():
            return replace(value, tag=(*value.tag, "more"))
        case tuple():
            return value[1:] if len(value) > 1 else (*value, "more")
    return replace(value, judge=f"{value.judge} more")  # type: ignore[attr-defined]


def variants(constitution: Constitution) -> Iterator[tuple[str, Constitution]]:
    """The constitution with one field changed, one thing taken out, or one list turned around."""
    for field in fields(constitution):
        value = getattr(constitution, field.name)
        if field.name != "principles":  # whose ids are unique, and named by exemplars
            yield field.name, replace(constitution, **{field.name: alter(value)})
        if not isinstance(value, tuple) or not value:
            continue
        yield f"{field.name} turned", replace(constitution, **{field.name: value[::-1]})
        if field.name != "principles":
            yield f"{field.name} doubled", replace(constitution, **{field.name: (*value, value[-1])})
        for inner in fields(value[0]):
            if inner.name != "id" and not (field.name != "principles" and inner.name == "principle"):
                changed = replace(value[0], **{inner.name: alter(getattr(value[0], inner.name))})
                yield f"{field.name}.{inner.name}", replace(constitution, **{field.name: (changed, *value[1:])})


CLINIC = load(ROOT / "principles" / "clinic.yaml")


@pytest.mark.parametrize(("what", "other"), [pytest.param(*each, id=each[0]) for each in variants(CLINIC)])
def test_whatever_changes_is_told(what: str, other: Constitution) -> None:
    assert other != CLINIC, what
    assert list(changes(CLINIC, other))
    assert list(changes(other, CLINIC))
