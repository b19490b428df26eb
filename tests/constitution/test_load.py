"""Constitutions as files: the shipped one, and what is wrong with others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from constitution.check import check
from constitution.load import digest, load
from constitution.source import InputError

ROOT = Path(__file__).resolve().parents[2]
GOOD = """\
name: tiny
principles:
  - id: kind
    critique: Say what is unkind.
    revision: Make it kind.
    judgment: Which is kinder?
exemplars:
  critique_revision:
    - {prompt: Hi., answer: Go away., principle: kind, critique: Rude., revision: Hello!}
    - {prompt: Hi., answer: Hello!, principle: kind, critique: Nothing., revision: Hello!}
"""


def test_the_shipped_constitution_is_whole() -> None:
    constitution = load(ROOT / "principles" / "harmless.yaml")
    assert len(constitution.principles) >= 16
    assert all(each.critique and each.revision and each.judgment for each in constitution.principles)
    unchanged = [each for each in constitution.critique_revision if each.answer == each.revision]
    assert len(unchanged) >= 2
    assert {each.verdict for each in constitution.judgment} == {"A", "B"}
    assert check(ROOT / "principles" / "harmless.yaml") == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    revision: Make it kind.\n", "", 'c.yaml:3: principles[0]: "revision" is missing'),
        ("    judgment:", "    judgement:", 'c.yaml:6: principles[0].judgement: unknown key; did you mean "judgment"?'),
        ("id: kind", "id: Kind One", "c.yaml:3: principles[0].id: an id has lower-case letters"),
        ("Say what is unkind.", '""', "c.yaml:4: principles[0].critique: must not be empty"),
        ("Say what is unkind.", "[a]", "c.yaml:4: principles[0].critique: expected text, found a list"),
        (
            "answer: Go away., principle: kind",
            "answer: Go away., principle: kin",
            'there is no principle "kin"; did you mean "kind"?',
        ),
        ("name: tiny", "nam: tiny", 'c.yaml:1: nam: unknown key; did you mean "name"?'),
    ],
)
def test_an_error_says_where_and_what_to_do(write: Callable[[str, str], Path], old: str, new: str, words: str) -> None:
    path = write("c.yaml", GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        load(path)
    assert words in str(error.value).replace(str(path), "c.yaml")


def test_repeated_ids_are_refused(write: Callable[[str, str], Path]) -> None:
    path = write("c.yaml", GOOD.replace("exemplars:", "  - {id: kind, critique: a, revision: b}\nexemplars:"))
    with pytest.raises(InputError, match="is already principles"):
        load(path)


def test_a_digest_follows_what_is_said_not_how(write: Callable[[str, str], Path]) -> None:
    first = digest(load(write("a.yaml", GOOD)))
    assert digest(load(write("b.yaml", "# a comment\n" + GOOD))) == first
    assert digest(load(write("c.yaml", GOOD.replace("unkind", "mean")))) != first


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("    judgment: Which is kinder?\n", "", "no-judgment"),
        ("Make it kind.", "Say what is unkind.", "duplicate"),
        ("answer: Hello!", "answer: Bye!", "always-revised"),
    ],
)
def test_lint_names_its_rule(write: Callable[[str, str], Path], old: str, new: str, rule: str) -> None:
    path = write("c.yaml", GOOD.replace(old, new, 1))
    second = "  - {id: other, critique: Say what is unkind., revision: y, judgment: 'z?'}\nexemplars:"
    if rule == "duplicate":
        path.write_text(GOOD.replace("exemplars:", second, 1))
    assert rule in [finding.rule for finding in check(path)]
