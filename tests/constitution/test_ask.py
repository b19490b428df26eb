"""What is sent: the shared part first and byte for byte the same, the principle last; golden files hold each form whole."""

from dataclasses import replace
from pathlib import Path

import pytest

from constitution import ask, judging
from constitution.load import load
from constitution.model import Constitution
from constitution.turns import FORMATS, TRANSCRIPT, Rendered, Style

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
CONSTITUTION = load(ROOT / "principles" / "harmless.yaml")
FIRST, SECOND = CONSTITUTION.principles[:2]
ASKED = [{"role": "user", "content": 'How do I {open} a "lock"?'}]


@pytest.mark.parametrize(
    ("template", "stop"),
    [
        ("{title}\n\nRevision request: {request}", "\n\nRevision request:"),
        ("Now revise.\n{request}", "\n\nNow revise."),
        ("{title}\nNow revise: {request}", "\nNow revise:"),
        ("For {title}: {request}", ""),
        ("{request}", ""),
    ],
)
def test_a_transcript_stops_where_its_next_section_begins(template: str, stop: str) -> None:
    templates = replace(CONSTITUTION.templates, revision=template)
    constitution = replace(CONSTITUTION, templates=templates, critique_revision=())
    critique = ask.critique(constitution, FIRST, ASKED, "Like this.", Style(form=TRANSCRIPT))
    section = ask.revision(constitution, critique, "", FIRST).prompt[len(critique.prompt) :]
    assert ask.stop_before(template) == stop
    assert (stop in critique.stop) is bool(stop)
    assert stop in section


def test_a_revision_goes_on_from_its_critique() -> None:
    for form in FORMATS:
        critique = ask.critique(CONSTITUTION, FIRST, ASKED, "Like this.", Style(form=form))
        revision = ask.revision(CONSTITUTION, critique, "It helps a thief.", FIRST)
        assert revision.messages[: len(critique.messages)] == critique.messages
        assert revision.prompt.startswith(critique.prompt)
    assert [each["role"] for each in ask.revision(CONSTITUTION, Rendered(tuple(ASKED)), "x", FIRST).messages[-2:]] == [
        "assistant",
        "user",
    ]


def test_the_principle_comes_last_and_what_rows_share_first() -> None:
    one = ask.critique(CONSTITUTION, FIRST, ASKED, "Like this.").messages
    other = ask.critique(CONSTITUTION, SECOND, ASKED, "Like this.").messages
    assert one[:-1] == other[:-1]
    shared, found, _ = one[-1]["content"].partition(FIRST.critique)
    assert found
    assert other[-1]["content"].startswith(shared)
    assert 'How do I {open} a "lock"?' in shared


def test_exemplars_are_shown_whole_and_can_be_fewer() -> None:
    all_shown = 1 + 4 * len(CONSTITUTION.critique_revision) + 1
    assert len(ask.critique(CONSTITUTION, FIRST, ASKED, "a").messages) == all_shown
    assert len(ask.critique(CONSTITUTION, FIRST, ASKED, "a", Style(1)).messages) == 1 + 4 + 1
    assert len(judging.judgment(CONSTITUTION, FIRST, ASKED, ("a", "b"), Style(0, reasoning=True)).messages) == 2


def test_a_judgment_shows_the_answers_in_the_order_given() -> None:
    messages = judging.judgment(CONSTITUTION, FIRST, ASKED, ("one", "two")).messages
    assert "Answer (A): one\n\nAnswer (B): two" in messages[-1]["content"]
    assert FIRST.judgment in messages[-1]["content"]
    verdicts = [each["content"] for each in messages if each["role"] == "assistant"]
    assert all(verdict in ("The answer is: (A)", "The answer is: (B)") for verdict in verdicts)


def test_a_transcript_ends_where_the_model_goes_on_and_stops_before_the_next_section() -> None:
    critique = ask.critique(CONSTITUTION, FIRST, ASKED, "Like this.", Style(1, TRANSCRIPT))
    assert critique.prompt.endswith("Critique:")
    assert "\n\nRevision request:" in critique.stop
    revision = ask.revision(CONSTITUTION, critique, "It helps a thief.", FIRST)
    assert revision.prompt.endswith(
        "Critique: It helps a thief.\n\nRevision request: " + FIRST.revision + "\n\nRevision:"
    )
    assert "\n\nCritique request:" in revision.stop
    answer = ask.answer(ASKED, TRANSCRIPT)
    assert answer.prompt == 'Human: How do I {open} a "lock"?\n\nAssistant:'
    assert answer.stop == ("\n\nHuman:",)


def test_a_forced_beginning_joins_a_transcript_as_text() -> None:
    reasoned = judging.judgment(CONSTITUTION, FIRST, ASKED, ("x", "y"), Style(0, TRANSCRIPT, True))
    assert (reasoned.prompt + reasoned.begin("Because.\n\nThe answer is: (")).endswith(
        "Reasoning: Because.\n\nThe answer is: ("
    )
    bare = judging.judgment(CONSTITUTION, FIRST, ASKED, ("x", "y"), Style(0, TRANSCRIPT))
    assert (bare.prompt + bare.begin("The answer is: (")).endswith("?\n\nThe answer is: (")


def test_an_empty_answer_is_shown_as_empty_and_not_left_out() -> None:
    last = judging.judgment(CONSTITUTION, FIRST, ASKED, ("", "two"), Style(0)).messages[-1]["content"]
    assert "Answer (A): \n\nAnswer (B): two" in last


USES = (
    *("answer", "critique", "revision", "judgment", "reasoned-judgment", "paper-judgment", "criticized"),
    *("case", "other-case", "weighing", "rating", "statement", "ranking"),
)


def rendered(asked: Rendered) -> str:
    """As a golden file holds it."""
    if asked.messages:
        return "\n".join(f"<<{each['role']}>>\n{each['content']}" for each in asked.messages) + "\n"
    return f"{asked.prompt}<<stops: {asked.stop!r}>>\n"


def every_use(constitution: Constitution, form: str) -> dict[str, Rendered]:
    principle, both = constitution.principles[0], ("one", "two")
    case = judging.case(constitution, principle, ASKED, both, Style(form=form))
    other = judging.other_case(constitution, case, "One is shorter.")
    critique = ask.critique(constitution, principle, ASKED, "Like {this}.", Style(form=form))
    return {
        "answer": ask.answer(ASKED, form),
        "critique": critique,
        "revision": ask.revision(constitution, critique, "It helps a thief.", principle),
        "judgment": judging.judgment(constitution, principle, ASKED, ("one", "two"), Style(form=form)),
        "reasoned-judgment": judging.judgment(constitution, principle, ASKED, ("one", "two"), Style(None, form, True)),
        "paper-judgment": judging.judgment(constitution, principle, ASKED, both, Style(1, form, layout="paper")),
        "criticized": judging.judgment_with_critiques(
            constitution, principle, (ASKED, both), ("Rude {x}.", "Fine."), Style(form=form)
        ),
        "case": case,
        "other-case": other,
        "weighing": judging.weighing(constitution, other, "Two is kinder."),
        "rating": judging.rating(constitution, principle, ASKED, "Like {this}.", form),
        "statement": judging.statement(constitution, "It names a {lock}.", ASKED, "Like {this}.", form),
        "ranking": judging.ranking(constitution, principle, ASKED, ("one", "two", "three"), form),
    }


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ["plain", "rich"])
def test_each_rendering_is_as_the_golden_file_has_it(name: str, use: str, form: str) -> None:
    """After a meant change: delete tests/data/golden/*.txt, run this test twice, and read the difference in git."""
    text = rendered(every_use(load(GOLDEN / f"{name}.yaml"), form)[use])
    golden = GOLDEN / f"{name}.{use}.{form}.txt"
    if not golden.exists():
        golden.write_text(text, encoding="utf-8")
        pytest.fail(f"{golden.name} was not there; it is written now, read it")
    assert text == golden.read_text(encoding="utf-8")
