"""``cai check``: each rule finds its case, is documented, and can be silenced with a reason; bad input is a sentence."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai.cli.check import check_paths
from constitution.check import catalogue, check
from constitution.load import load
from constitution.model import About
from constitution.rules import Context
from constitution.source import InputError, parse_yaml, read_yaml

Write = Callable[[str, str], Path]
CLEAN = """\
name: clean
principles:
  - id: kind
    critique: Say which words in the answer would hurt a reader.
    revision: Write the answer again in kind words.
    judgment: Which of the two answers is kinder?
    examples:
      - {prompt: How do I boil an egg?, better: Seven minutes., worse: "Not again, you."}
      - {prompt: Am I late?, better: "Yes, by an hour, but they will wait.", worse: Obviously.}
  - id: short
    critique: Name each sentence that the answer could do without.
    revision: Cut the answer down to what was asked for.
    judgment: Which of the two answers wastes fewer words?
    examples:
      - {prompt: What is two and two?, better: Four., worse: "Well, that depends. Let me see. Four."}
      - {prompt: Who wrote Emma?, better: Jane Austen., worse: "A very good question! Jane Austen."}
exemplars:
  critique_revision:
    - {prompt: Hi., answer: Go away., principle: kind, critique: Rude., revision: Hello!}
    - {prompt: Bye., answer: See you!, principle: kind, critique: Nothing., revision: See you!}
  judgment:
    - {prompt: Hi., a: Go., b: Hello!, principle: kind, reasoning: A is rude., verdict: B}
    - {prompt: Bye., a: See you!, b: Go., principle: kind, reasoning: B is rude., verdict: A}
"""
CASES = {
    "no-judgment": ("    judgment: Which of the two answers is kinder?\n", ""),
    "duplicate": ("Write the answer again in kind words.", "Cut the answer down to what was asked for."),
    "near-duplicate": ("Write the answer again in kind words.", "Please cut the answer down to what was asked for."),
    "placeholder": ("Say which words in", "Say for {name} which words in"),
    "no-exemplars": ("  critique_revision:\n    - {prompt: Hi., answer: Go away.", "  judgment: []\nunused: {x: {a: y"),
    "always-revised": ("answer: See you!", "answer: See you then."),
    "one-sided": ("B is rude., verdict: A", "B is rude., verdict: B"),
    "reading-level": (
        "in kind words",
        "considering interpersonal sensitivities comprehensively, notwithstanding disagreement",
    ),
    "framing": ("", ""),
    "few-examples": (
        '      - {prompt: Who wrote Emma?, better: Jane Austen., worse: "A very good question! Jane Austen."}\n',
        "",
    ),
    "equal-answers": ('worse: "Not again, you."', "worse: Seven minutes."),
    "no-stop": ("name: clean", 'name: clean\ntemplates: {revision: "{title}: {request}"}'),
    "exam-leak": ("prompt: Am I late?", "prompt: Hi!"),
    "idle-silence": ("exemplars:", "silence: [{rule: duplicate, reason: none left}]\nexemplars:"),
}


def rules(path: Path, context: Context | None = None) -> list[str]:
    return [finding.rule for finding in check(read_yaml(path), context)]


def test_a_clean_file_has_only_the_note_on_framing(write: Write) -> None:
    [note] = check(read_yaml(write("c.yaml", CLEAN)))
    assert (note.level, note.rule) == ("note", "framing")
    assert "1 ask for what to do, 1 for what to avoid" in str(note)


@pytest.mark.parametrize("rule", CASES)
def test_each_rule_finds_its_case(write: Write, rule: str) -> None:
    old, new = CASES[rule]
    text = (
        CLEAN.replace(old, new, 1)
        if rule != "no-exemplars"
        else re.sub(r"  critique_revision:\n(    - .*\n){2}", "", CLEAN)
    )
    assert rule in rules(write("c.yaml", text))


OWN = """\
name: own
include: [{path: base.yaml, exemplars: true}]
principles:
  - id: warm
    critique: Say which words in the answer would hurt a reader.
    revision: Please cut the answer down to what was asked for.
    judgment: Which of the two answers is warmer?
    examples:
      - {prompt: Hi., better: Hello!, worse: What?}
      - {prompt: Who are you?, better: An assistant., worse: Guess.}
exemplars:
  judgment:
    - {prompt: Am I late?, a: Go., b: Hello!, principle: warm, reasoning: A is rude., verdict: B}
"""


def test_copies_of_included_principles_are_found_where_this_file_makes_them(write: Write) -> None:
    write("base.yaml", CLEAN)
    found = {(each.rule, each.problem.field) for each in check(read_yaml(write("own.yaml", OWN)))}
    assert ("duplicate", "principles[0].critique") in found
    assert ("near-duplicate", "principles[0].revision") in found
    assert ("exam-leak", "principles[0].examples[0].prompt") in found  # the include's exemplar asks it
    assert ("exam-leak", "include[0]") in found  # this file's exemplar asks what an included example asks


def test_two_includes_that_say_the_same_are_found(write: Write) -> None:
    write("a.yaml", CLEAN)
    write("b.yaml", CLEAN.replace("kind\n", "mild\n").replace("short\n", "brief\n").replace(": kind,", ": mild,"))
    two = check(read_yaml(write("two.yaml", "name: two\ninclude: [a.yaml, b.yaml]\n")))
    [one, *_] = [each.problem for each in two if each.rule == "duplicate"]
    assert one.field == "include[1]"
    assert '"mild", critique: the same text as in "kind"' in one.text


@pytest.mark.parametrize("weight", ["0x" + "f" * 5000, "1" * 400, "1e400", "0x_", "="])
def test_a_number_that_is_none_is_one_line(write: Write, weight: str) -> None:
    [found] = check(read_yaml(write("c.yaml", CLEAN.replace("id: kind", f"id: kind\n    weight: {weight}"))))
    assert found.problem.line == 4
    assert len(str(found)) < 400


def test_a_recipe_whose_prompts_cannot_be_read_is_a_finding(write: Write) -> None:
    write("c.yaml", CLEAN)
    write("p.csv", "goal\nx\n")
    write("s.yaml", "- {say: [x]}\n")
    text = "name: r\nconstitution: c.yaml\nmodels: {m: {scripted: s.yaml}}\n"
    text += "stages:\n  - prompts: {redteam: {path: p.csv}}\n  - revise: {model: m}\n"
    count, found = check_paths([write("r.yaml", text), write("d.yaml", CLEAN)])
    assert count == 2
    assert [(each.level, each.rule) for each in found] == [
        ("error", "recipe"),
        ("note", "framing"),
        ("note", "framing"),
    ]
    assert 'no column "prompt"' in found[0].problem.text


def test_lengths_that_tell_are_found(write: Write) -> None:
    lines = "".join(f"      - {{prompt: p{n}, better: a much longer answer, worse: short}}\n" for n in range(8))
    head = "name: c\nprinciples:\n  - id: a\n    critique: c\n    revision: r\n    judgment: Which?\n    examples:\n"
    assert "length-tells" in rules(write("c.yaml", head + lines))


def test_a_prompt_is_too_long_in_the_tokens_of_a_named_model(write: Write) -> None:
    path = write("c.yaml", CLEAN)
    count = lambda text: len(text.split())  # noqa: E731
    assert "over-long" in rules(path, Context(count, limit=100))
    assert "over-long" not in rules(path, Context(count, limit=4096))


def test_a_principle_that_no_prompt_fits_is_found(write: Write) -> None:
    path = write("c.yaml", CLEAN.replace("  - id: short", "    applies_to: {tag: [money]}\n  - id: short"))
    assert "applies-to-nothing" in rules(path, Context(prompts=[About("redteam", ("violence",))]))
    assert "applies-to-nothing" not in rules(path, Context(prompts=[About("redteam", ("money",))]))


def test_a_silence_needs_a_reason_and_holds_where_it_says(write: Write) -> None:
    text = CLEAN.replace("Write the answer again in kind words.", "Cut the answer down to what was asked for.")
    silent = text.replace("exemplars:", "silence: [{rule: duplicate, principle: short, reason: meant}]\nexemplars:")
    assert "duplicate" not in rules(write("c.yaml", silent))
    assert "duplicate" in rules(write("d.yaml", silent.replace("principle: short", "principle: kind")))
    without = write("e.yaml", silent.replace(", reason: meant", ""))
    assert '"reason" is missing: why it is meant' in str(check(read_yaml(without))[0])


def test_every_rule_is_documented_and_tested() -> None:
    known = catalogue()
    assert all(about.endswith((".", ")")) for _, about in known.values())
    elsewhere = {"length-tells", "over-long", "applies-to-nothing"}
    assert {name for name, (level, _) in known.items() if level != "error"} == set(CASES) | elsewhere


MARKS = [
    "{",
    "[",
    "&a",
    "*a",
    "!!python/name:os",
    "- ",
    ": ",
    '"',
    "\t",
    "%",
    "|",
    ">-",
    "\0",
    "\u2028",
    "💥",
    "0x",
    "~",
]
JUNK = st.sampled_from(MARKS)


@st.composite
def torn(draw: Any) -> str:
    """A file as a slip of the hand leaves it: lines lost, moved, indented, doubled, or with junk in them."""
    lines = CLEAN.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from("dtijcr")):
            case "d":
                del lines[at]
                lines = lines or ["\n"]
            case "t":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "i":
                lines[at] = " " * draw(st.integers(1, 5)) + lines[at]
            case "j":
                place = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:place] + draw(JUNK) + lines[at][place:]
            case "c":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case _:
                lines[at] = lines[at].replace(":", draw(st.sampled_from(["", "::", ": :", " :"])), 1)
    return "".join(lines)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=torn())
def test_a_torn_file_is_sentences_or_a_constitution(write: Write, text: str) -> None:
    path = write("torn.yaml", text)
    try:
        findings = check(read_yaml(path))
    except InputError as error:
        assert_sentences([str(error)], path)
        return
    errors = [str(finding.problem) for finding in findings if finding.level == "error"]
    if errors:
        assert_sentences(errors, path)
    else:
        assert load(path).principles


@st.composite
def spoiled(draw: Any) -> str:
    """A file with one thing in it that can never be right."""
    data = parse_yaml(CLEAN, Path("clean.yaml")).data
    node: Any = data
    trail: list[Any] = []
    while isinstance(node, dict | list) and node and (len(trail) < 1 or draw(st.booleans())):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        trail.append(draw(st.sampled_from(keys)))
        node = node[trail[-1]]
    holder = data
    for key in trail[:-1]:
        holder = holder[key]
    if isinstance(holder, dict) and draw(st.booleans()):
        holder[f"{trail[-1]}x"] = holder.pop(trail[-1])
    else:
        wrong: list[Any] = [None, 7, True, {"no": "such"}, [[]], ""]
        holder[trail[-1]] = draw(st.sampled_from(wrong))
    return yaml.safe_dump(data, sort_keys=False)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=spoiled())
def test_a_spoiled_file_always_has_its_sentence(write: Write, text: str) -> None:
    path = write("spoiled.yaml", text)
    errors = [str(finding.problem) for finding in check(read_yaml(path)) if finding.level == "error"]
    assert errors
    assert_sentences(errors, path)


def assert_sentences(errors: list[str], path: Path) -> None:
    for error in errors:
        assert error.startswith(str(path))
        assert "\n" not in error
        assert "Traceback" not in error
