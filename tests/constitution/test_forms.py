"""The last line of a verdict: what is read there, and above all what is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from constitution import forms, judging
from constitution.load import digest, load
from constitution.model import Constitution, JudgmentExemplar, Principle
from constitution.source import InputError
from constitution.templates import Templates, mistakes
from constitution.turns import Style

KIND = Principle("kind", "kind", "Which words are unkind?", "Say it kindly.", "Which answer is kinder?")
PLAIN = Constitution("small", (KIND,))
GERMAN = replace(
    PLAIN,
    templates=Templates(
        verdict_line="Die Antwort ist: ({choice}).", last_line="Ende mit:\n{forms}", yes_word="Ja", no_word="Nein"
    ),
    judgment=(JudgmentExemplar("Hallo", "Na?", "Guten Tag!", "kind", "B grüßt.", "B"),),
)
ASKED = ({"role": "user", "content": "Hallo?"},)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Both are short.\nThe answer is: (A)", "A"),
        ("**The answer is: (B)**\n\n", "B"),
        ("the answer is (B).", "B"),
        ("Reasons.\n\n(A)", "A"),
        ("Ａ", "A"),
        ("The answer is: (A)\n```", "A"),
        ("The answer is: (A)\nNo, wait.\nThe answer is: (A)", "A"),
        # Not of the form, or not the last line: nothing is guessed.
        ("", ""),
        ("The answer is: (C)", ""),
        ("The answer is: (A) because it is kinder.", ""),
        ("The answer is not (A)", ""),
        ("The answer is: (A) or (B)", ""),
        ("Answer (A) is the kinder one.", ""),
        ("The answer is: (A)\nI hope that this helps!", ""),
        ("The answer is: (A)\nThe answer is: (B)", ""),
        ("What a kind answer", ""),
        ("a", ""),
        ("The answer is: (Tie)", ""),
    ],
)
def test_the_last_line_is_read_strictly(text: str, choice: str) -> None:
    assert forms.verdict(PLAIN).read(text) == choice


def test_a_tie_is_read_where_it_is_allowed() -> None:
    form = forms.verdict(PLAIN, ties=True)
    assert [form.read(f"The answer is: ({each})") for each in ("A", "tie", "TIE", "none")] == ["A", "Tie", "Tie", ""]


@pytest.mark.parametrize(
    ("text", "choice"),
    [("The rating is: (7)", "7"), ("The rating is: (10)", "10"), ("10", "10")]
    + [(f"The rating is: ({each})", "") for each in ("7/10", "7.5", "-7", "11", "0", "07", "7 or 8")],
)
def test_ratings_are_whole_numbers_from_1_to_10(text: str, choice: str) -> None:
    assert forms.rating(PLAIN).read(text) == choice


def test_words_are_read_whole_in_scripts_that_write_vowels_as_marks() -> None:
    words = Templates(verdict_line="उत्तर है: ({choice})", yes_word="हाँ", no_word="हा")
    assert not [each for use in ("yes_word", "no_word") for each in mistakes(use, getattr(words, use))]
    form = forms.truth(replace(PLAIN, templates=words))
    assert [form.read(f"**{form.line(each)}**") for each in form.choices] == ["हाँ", "हा"]
    assert form.read("उत्तर है: (ह)") == ""
    decomposed = forms.truth(replace(PLAIN, templates=Templates(yes_word="Si\u0301")))
    assert decomposed.read("The answer is: (Sí)") == "Si\u0301"


def test_a_ranking_goes_on_from_those_that_were_taken() -> None:
    form = forms.ranking(PLAIN, ("B", "D"), ("A", "C"))
    assert form.before == "The ranking is: (B) > (D) > ("
    assert form.read("The ranking is: (B) > (D) > (C)") == "C"
    assert form.read("The ranking is: (C)") == ""


def test_a_judge_is_asked_and_read_in_its_own_language() -> None:
    form = forms.verdict(GERMAN)
    assert (form.before, form.after) == ("Die Antwort ist: (", ").")
    assert forms.instruction(GERMAN, form) == "Ende mit:\nDie Antwort ist: (A).\nDie Antwort ist: (B)."
    assert [form.read(text) for text in ("Die Antwort ist: (B).", "The answer is: (B)")] == ["B", ""]
    assert forms.truth(GERMAN).choices == ("Ja", "Nein")
    templates = replace(GERMAN.templates, decision="Welche?\n{forms}\n{choices} oder {none}.", none_word="Keine")
    own = replace(GERMAN, templates=templates)
    assert forms.decision(own, form) == "Welche?\nDie Antwort ist: (A).\nDie Antwort ist: (B).\nA, B oder Keine."
    assert forms.options(own, form) == ("A", "B", "Keine")
    shown = judging.judgment(GERMAN, KIND, ASKED, ("x", "y")).messages
    assert {"role": "assistant", "content": "Die Antwort ist: (B)."} in shown


@pytest.mark.parametrize("style", [Style(), Style(form="transcript"), Style(form="transcript", reasoning=True)])
def test_the_form_is_asked_for_at_the_end_of_the_last_turn(style: Style) -> None:
    asked = judging.judgment(PLAIN, KIND, ASKED, ("x", "y"), style)
    closed = asked.with_ending("End so.")
    if style.form == "chat":
        assert closed.messages[:-1] == asked.messages[:-1]
        assert closed.messages[-1]["content"] == f"{asked.messages[-1]['content']}\n\nEnd so."
    else:
        end = "\n\nReasoning:" if style.reasoning else "\n\n"
        assert closed.prompt == f"{asked.prompt.removesuffix(end)}\n\nEnd so.{end}"
    assert closed.stop == asked.stop


def test_constitutions_of_before_have_the_fingerprint_that_they_had() -> None:
    """A run that was begun before a judge's lines could be worded goes on."""
    root = Path(__file__).resolve().parents[2] / "principles"
    assert digest(load(root / "quickstart.yaml")) == "d5a7c9d3ab70a5a6"
    assert digest(GERMAN) != digest(replace(GERMAN, templates=replace(GERMAN.templates, last_line="Sonst:\n{forms}")))


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{verdict_line: 'It is {choice}'}", "templates.verdict_line: a line has ({choice}) in it"),
        ("{rating_line: 'It is'}", "templates.rating_line: {choice} is missing"),
        ("{last_line: 'End well.'}", "templates.last_line: {forms} is missing"),
        ("{yes_word: 'of course'}", "templates.yes_word: a word has letters alone"),
        ("{yes_word: Da, no_word: da}", "yes_word and no_word are the same"),
        ("{decision: 'Which? {forms} {choices}'}", "templates.decision: {none} is missing"),
        ("{none_word: tie}", "none_word and tie_word are the same"),
    ],
)
def test_a_line_that_could_not_be_read_is_told(template: str, words: str, tmp_path: Path) -> None:
    principle = "{id: kind, critique: Say what., revision: Mend it., judgment: Which is kinder?}"
    path = tmp_path / "c.yaml"
    path.write_text(f"name: c\nprinciples: [{principle}]\ntemplates: {template}\n")
    with pytest.raises(InputError) as error:
        load(path)
    assert words in str(error.value)


def test_the_words_before_the_choice_end_a_reasoning() -> None:
    assert [forms.verdict(each).stop for each in (PLAIN, GERMAN)] == ["The answer is", "Die Antwort ist"]
