"""What answers are called: in one form of asking everywhere the same, and never in what people or models wrote."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from constitution import forms, judging
from constitution.load import digest, load
from constitution.model import Constitution, JudgmentExemplar, Principle
from constitution.naming import NAMINGS, SHOWN, naming, unnamed
from constitution.source import InputError
from constitution.templates import Templates
from constitution.turns import FORMATS, Rendered, Style

ROOT = Path(__file__).resolve().parents[2]
KIND = Principle("kind", "kind", "Which words are unkind?", "Say it kindly.", "Which answer is kinder, (A) or (B)?")
WORKED = JudgmentExemplar("Hi.", "Hello!", "Go.", "kind", "Answer B sends one off; answer A greets. So (A).", "A")
SMALL = Constitution("small", (KIND,), preamble="You compare (A) and (B).", judgment=(WORKED,))
ASKED = ({"role": "user", "content": "Is (B) the better grade?"},)
BOTH = "Not (A), but (B).", "Answer A is it."
NAMES = {
    "letters": ("(A)", "(B)"),
    "numbers": ("(1)", "(2)"),
    "words": ("(first)", "(second)"),
    "brackets": ("[[A]]", "[[B]]"),
}
SHIPPED = sorted((ROOT / "principles").glob("*.yaml"))


def text_of(asked: Rendered) -> str:
    return asked.prompt or "\n\n".join(each["content"] for each in asked.messages)


def every_word(constitution: Constitution, style: Style) -> str:
    """All that a judge may be asked about two answers beside each other."""
    principle = next(each for each in constitution.principles if each.judgment)
    case = judging.case(constitution, principle, ASKED, BOTH, style)
    other = judging.other_case(constitution, case, "Because.", style)
    last = forms.instruction(constitution, forms.verdict(constitution, names=style.names))
    asked = (
        judging.judgment(constitution, principle, ASKED, BOTH, style),
        judging.judgment(constitution, principle, ASKED, BOTH, replace(style, reasoning=True)),
        judging.judgment_with_critiques(constitution, principle, (ASKED, BOTH), ("Rude.", "Fine."), style),
        judging.weighing(constitution, other, "Because.", style),
    )
    return "\n\n".join([*map(text_of, asked), *case.stop, *other.stop, last])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("layout", SHOWN)
@pytest.mark.parametrize("names", NAMINGS)
def test_answers_have_one_name_in_all_that_a_judge_reads_and_says(names: str, layout: str, form: str) -> None:
    said = every_word(SMALL, Style(form=form, layout=layout, names=names))
    for spoken in (ASKED[0]["content"], *BOTH):
        assert spoken in said  # what people and models wrote stays as it is
        said = said.replace(spoken, "")
    here = NAMES[names]
    assert all(mark in said for mark in here)
    assert not [mark for marks in NAMES.values() if marks != here for mark in marks if mark in said]
    if names in ("numbers", "words"):
        assert f"nswer {here[1].strip('()')} sends one off" in said
        assert "letter" not in said


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_shipped_constitution_keeps_a_letter_under_other_names(path: Path) -> None:
    constitution = load(path)
    assert not [place for layout in SHOWN for place in unnamed(constitution, layout)]
    if any(each.judgment for each in constitution.principles):
        said = every_word(constitution, Style(layout="cached", names="numbers"))
        for spoken in BOTH:
            said = said.replace(spoken, "")
        assert "(1)" in said and "(A)" not in said and "(B)" not in said.replace(ASKED[0]["content"], "")


@pytest.mark.parametrize("names", NAMINGS)
def test_the_line_is_read_by_the_names_that_were_asked_for(names: str) -> None:
    form = forms.verdict(SMALL, ties=True, names=names)
    assert [form.read(form.line(each)) for each in form.choices] == list(form.choices)
    assert form.stop == "The answer is"
    assert form.before == "The answer is: " + naming(SMALL, names).opens
    for other in {"letters", "numbers", "words"} - {names, "letters" if names == "brackets" else names}:
        strange = forms.verdict(SMALL, names=other)
        assert form.read(strange.line(strange.choices[0])) == ""


def test_an_exemplar_s_verdict_keeps_its_answer() -> None:
    for names, (first, second) in NAMES.items():
        for verdict, mark in (("A", first), ("B", second)):
            worked = replace(SMALL, judgment=(replace(WORKED, verdict=verdict),))
            said = judging.judgment(worked, KIND, ASKED, BOTH, Style(names=names)).messages
            assert {"role": "assistant", "content": f"The answer is: {mark}"} in said


def test_words_are_the_constitution_s_own() -> None:
    words = Templates(
        verdict_line="Die Antwort ist: ({choice})",
        judgment="{conversation}\n\nAntwort (A): {a}\n\nAntwort (B): {b}\n\n{question}",
        first_word="erste",
        second_word="zweite",
    )
    german = replace(SMALL, templates=words, judgment=(replace(WORKED, reasoning="Antwort B schickt fort."),))
    assert forms.verdict(german, names="words").line("zweite") == "Die Antwort ist: (zweite)"
    said = text_of(judging.judgment(german, KIND, ASKED, BOTH, Style(names="words", reasoning=True)))
    assert "Antwort (zweite): Answer A is it." in said and "Antwort zweite schickt fort." in said
    assert digest(german) != digest(replace(german, templates=replace(words, second_word="andere")))


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"templates": Templates(judgment="{conversation}\n1: {a}\n2: {b}\n{question}")}, "templates.judgment"),
        ({"templates": Templates(judge="You see A and B. Say (A) or (B).")}, "templates.judge"),
        ({"preamble": "Say whether answer A is the kinder one."}, "preamble"),
        ({"principles": (replace(KIND, judgment="Does A or B refuse more clearly?"),)}, "principles[kind].judgment"),
        ({"judgment": (replace(WORKED, reasoning="B sends the person off."),)}, "exemplars.judgment[0].reasoning"),
    ],
)
def test_letters_that_cannot_be_replaced_are_found(changed: dict[str, object], place: str) -> None:
    assert list(unnamed(replace(SMALL, **changed), "cached")) == [place]  # type: ignore[arg-type]
    assert list(unnamed(SMALL, "cached")) == []


LONE = [
    "A is better, because it refuses.",
    "A refuses.",
    "A, which greets, is kinder.",
    "The kinder one is A.",
    "A never mocks.",
    "A will do.",
    "A's tone is kind.",
    "A – it greets.",
    "Is A kinder?",
    "It is A that greets.",
]
ARTICLES = [
    "A bank is no friend.",
    "A glass breaks.",
    "A bus came. A news item, a crisis.",
    'A "kind" word.',
    "A women's group.",
    "A savings account: A two-part glue holds.",
    "A can of paint, at 8 A.M. in the U.S.A.",
    "In A Doll's House; a Q&A.",
    "A friendly reply helps.",
    "Answer A greets.",
    "(A) greets.",
]


@pytest.mark.parametrize("text", [*LONE, *ARTICLES])
def test_a_lone_a_is_a_letter_where_it_is_no_article(text: str) -> None:
    worked = replace(SMALL, judgment=(replace(WORKED, reasoning=text),))
    assert list(unnamed(worked, "cached")) == ["exemplars.judgment[0].reasoning"] * (text in LONE)


def test_two_words_that_are_the_same_are_told(write: Callable[[str, str], Path]) -> None:
    principle = "{id: kind, critique: Say what., revision: Mend it., judgment: Which is kinder?}"
    path = write("c.yaml", f"name: c\nprinciples: [{principle}]\ntemplates: {{first_word: One, second_word: one}}\n")
    with pytest.raises(InputError, match="first_word and second_word are the same; change one"):
        load(path)
