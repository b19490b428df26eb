"""Constitutions as files: the language, and the sentence for each mistake."""

from collections.abc import Callable
from pathlib import Path

import pytest

from constitution.load import digest, load
from constitution.model import About
from constitution.source import InputError, read_yaml

Write = Callable[[str, str], Path]
GOOD = """\
name: tiny
principles:
  - id: kind
    critique: Say what is unkind.
    revision: Make it kind.
    judgment: Which is kinder?
    tags: [tone]
  - id: short
    critique: Say what is long.
    revision: Make it short.
    judgment: Which is shorter?
    weight: 2
    applies_to: {track: [helpful], language: [en]}
    examples:
      - {prompt: Hi., better: Hello!, worse: "Hello, hello, hello!"}
exemplars:
  critique_revision:
    - {prompt: Hi., answer: Go away., principle: kind, critique: Rude., revision: Hello!}
    - {prompt: Hi., answer: Hello!, principle: short, critique: Nothing., revision: Hello!}
"""


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as error:
        load(path)
    return str(error.value).replace(f"{path.parent}/", "")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("    revision: Make it kind.\n", "", 'c.yaml:3: principles[0]: "revision" is missing: the revision request'),
        ("    judgment:", "    judgement:", 'c.yaml:6: principles[0].judgement: unknown key; did you mean "judgment"?'),
        ("id: kind", "id: Kind One", "c.yaml:3: principles[0].id: an id has lower-case letters"),
        ("Say what is unkind.", '""', "c.yaml:4: principles[0].critique: must not be empty"),
        ("Say what is unkind.", "[a]", "c.yaml:4: principles[0].critique: expected text, found a list"),
        ("principle: kind", "principle: kin", 'there is no principle "kin"; did you mean "kind"?'),
        ("name: tiny", "nam: tiny", 'c.yaml:1: nam: unknown key; did you mean "name"?'),
        ("weight: 2", "weight: 0", "c.yaml:12: principles[1].weight: must be more than 0 and at most 1000000, found 0"),
        ("track: [helpful]", "track: [helpfull]", "expected one of redteam, helpful, found"),
        ("better: Hello!, ", "", 'principles[1].examples[0]: "better" is missing: the answer that accords better'),
        ("exemplars:", "templates: {critique: '{conversation} {0} {request}'}\nexemplars:", "not a named placeholder"),
        ("exemplars:", "templates: {critique: '{request}'}\nexemplars:", "{conversation} is missing; add it"),
        ("exemplars:", "templates: {revision: '{request} {now}'}\nexemplars:", "no placeholder {now} here"),
        ("exemplars:", "templates: {revision: '{request} {'}\nexemplars:", "a single { stands alone"),
        ("exemplars:", "templates: {revision: '{request!r}'}\nexemplars:", "not a named placeholder"),
        ("exemplars:", "version: 1.0\nexemplars:", "version: expected text, found 1.0"),
        ("exemplars:", "include: [none.yaml]\nexemplars:", "there is no file none.yaml beside this one"),
        ("exemplars:", "include: [c.yaml]\nexemplars:", "includes itself"),
    ],
)
def test_an_error_says_where_and_what_to_do(write: Write, old: str, new: str, words: str) -> None:
    assert words in complaint(write("c.yaml", GOOD.replace(old, new, 1)))


def test_every_problem_is_listed_at_once(write: Write) -> None:
    text = complaint(
        write("c.yaml", GOOD.replace("    revision: Make it kind.\n", "").replace("weight: 2", "weight: x"))
    )
    assert len(text.splitlines()) == 2


def test_repeated_ids_are_refused(write: Write) -> None:
    path = write("c.yaml", GOOD.replace("exemplars:", "  - {id: kind, critique: a, revision: b}\nexemplars:"))
    assert 'the id "kind" is already at c.yaml:3: principles[0]' in complaint(path)


def test_a_file_without_principles_says_what_it_needs(write: Write) -> None:
    assert "needs `principles`, or `include`" in complaint(write("c.yaml", "name: empty\n"))


@pytest.mark.parametrize(
    ("about", "covered"),
    [
        (About("helpful", (), "en"), True),
        (About("helpful", (), "en-GB"), True),
        (About("helpful", (), "eng"), False),
        (About("helpful"), False),
        (About("redteam", (), "en"), False),
    ],
)
def test_a_principle_applies_to_what_its_file_says(write: Write, about: About, covered: bool) -> None:
    constitution = load(write("c.yaml", GOOD))
    assert constitution.by_id["short"].applies_to.covers(about) is covered
    assert constitution.by_id["kind"].applies_to.covers(about)


def including(write: Write, item: str, more: str = "") -> Path:
    write("base.yaml", GOOD)
    return write("top.yaml", f"name: top\ninclude:\n  - {item}\n{more}")


@pytest.mark.parametrize(
    ("item", "ids", "exemplars"),
    [
        ("base.yaml", ["kind", "short"], 2),
        ("{path: base.yaml, only: [kind]}", ["kind"], 1),
        ("{path: base.yaml, only: [tone]}", ["kind"], 1),
        ("{path: base.yaml, except: [tone]}", ["short"], 1),
        ("{path: base.yaml, exemplars: false}", ["kind", "short"], 0),
    ],
)
def test_an_include_takes_principles_with_their_exemplars(
    write: Write, item: str, ids: list[str], exemplars: int
) -> None:
    constitution = load(including(write, item))
    assert constitution.name == "top"
    assert list(constitution.by_id) == ids
    assert len(constitution.critique_revision) == exemplars


def test_an_override_changes_only_what_it_says(write: Write) -> None:
    item = "{path: base.yaml, override: {kind: {judgment: Which is warmer?, weight: 3}}}"
    kind = load(including(write, item)).by_id["kind"]
    assert (kind.judgment, kind.weight, kind.critique) == ("Which is warmer?", 3.0, "Say what is unkind.")


def test_own_principles_and_exemplars_stand_beside_included_ones(write: Write) -> None:
    own = "principles:\n  - {id: calm, critique: a, revision: b}\n"
    own += "exemplars:\n  critique_revision:\n"
    own += "    - {prompt: p, answer: a, principle: short, critique: c, revision: r}\n"
    constitution = load(including(write, "base.yaml", own))
    assert list(constitution.by_id) == ["kind", "short", "calm"]
    assert [each.prompt for each in constitution.critique_revision] == ["p", "Hi.", "Hi."]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("{path: base.yaml, only: [kin]}", 'include[0].only[0]: "kin" is no id and no tag there; did you mean "kind"?'),
        ("{path: base.yaml, only: [kind], override: {short: {weight: 2}}}", 'no principle "short" is taken from'),
        ("{path: base.yaml, except: [kind, short]}", "nothing is left of base.yaml"),
        ("{path: base.yaml, override: {kind: {wait: 2}}}", 'kind.wait: unknown key; did you mean "weight"?'),
        ("{path: top.yaml}", "includes itself: "),
        ("{only: [kind]}", 'include[0]: "path" is missing'),
        ("base.yaml\n  - base.yaml", 'the id "kind" is already at'),
    ],
)
def test_a_wrong_include_is_a_sentence(write: Write, item: str, words: str) -> None:
    assert words in complaint(including(write, item))


def test_includes_have_a_depth(write: Write) -> None:
    write("0.yaml", GOOD)
    for number in range(1, 20):
        write(f"{number}.yaml", f"name: n\ninclude: [{number - 1}.yaml]\n")
    assert list(load(write("top.yaml", "name: n\ninclude: [15.yaml]\n")).by_id) == ["kind", "short"]
    assert "includes go more than 16 files deep" in complaint(write("top.yaml", "name: n\ninclude: [19.yaml]\n"))


def test_a_file_is_read_once_however_often_it_is_included(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("0.yaml", GOOD)
    for number in range(1, 15):
        pair = f"{{path: {number - 1}.yaml, only: [kind]}}, {{path: {number - 1}.yaml, only: [short]}}"
        write(f"{number}.yaml", f"name: n\ninclude: [{pair}]\n")
    read: list[str] = []
    monkeypatch.setattr("constitution.load.read_yaml", lambda path: read.append(path.name) or read_yaml(path))
    assert list(load(write("top.yaml", "name: n\ninclude: [14.yaml]\n")).by_id) == ["kind", "short"]
    assert sorted(read) == sorted(["top.yaml", *(f"{number}.yaml" for number in range(15))])


def test_a_problem_in_an_included_file_names_that_file(write: Write) -> None:
    top = including(write, "base.yaml")
    write("base.yaml", GOOD.replace("    revision: Make it kind.\n", ""))
    assert complaint(top).startswith('base.yaml:3: principles[0]: "revision" is missing')


def test_a_shipped_constitution_can_be_included_by_its_name(write: Write) -> None:
    path = write("mine.yaml", "name: mine\ninclude:\n  - {path: principles/harmless.yaml, only: [privacy]}\n")
    assert list(load(path).by_id) == ["privacy"]


def test_a_constitution_of_before_a_new_key_keeps_its_digest(write: Write) -> None:
    """Or no run that was begun before could go on."""
    assert digest(load(write("a.yaml", GOOD))) == "c04edbd38fe8f439"


def test_a_principle_applies_to_conversations_that_have_something(write: Write) -> None:
    text = GOOD.replace("language: [en]}", "language: [en], has: [tools, turns]}")
    covers = load(write("c.yaml", text)).by_id["short"].applies_to.covers
    assert covers(About("helpful", (), "en", ("tools",)))
    assert not covers(About("helpful", (), "en", ("system",)))
    assert "has" in complaint(write("d.yaml", text.replace("tools, turns", "pictures")))
    assert digest(load(write("c.yaml", text))) != digest(load(write("a.yaml", GOOD)))


def test_a_digest_follows_what_decides_rows(write: Write) -> None:
    first = digest(load(write("a.yaml", GOOD)))
    same = ["# a comment\n" + GOOD, GOOD.replace("tiny", "other"), GOOD.replace("better: Hello!", "better: Hey!")]
    assert [digest(load(write("b.yaml", text))) for text in same] == [first] * 3
    other = [GOOD.replace("unkind", "mean"), GOOD.replace("weight: 2", "weight: 3"), GOOD.replace("Rude.", "Coarse.")]
    assert first not in [digest(load(write("c.yaml", text))) for text in other]
