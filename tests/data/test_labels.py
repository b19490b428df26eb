"""A label's words say which answer is the better; a number says nothing by itself."""

import math
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from cai.data.labels import Form, number_of, side_of, suffix, value_of

LETTERS = Form("labelled", "response_a", "response_b", ("winner",))
NUMBERS = Form("labelled", "answer_1", "answer_2", ("winner",))
FROM_ZERO = Form("labelled", "response_0", "response_1", ("winner",))
SIDES = Form("labelled", "left", "right", ("winner",))
ROW = {
    "response_a": "Rye.",
    "response_b": "Oats.",
    "answer_1": "Rye.",
    "answer_2": "Oats.",
    "model_a": "big-1",
    "model_b": "small",
}


@pytest.mark.parametrize(
    ("form", "label", "side"),
    [
        (LETTERS, "response_b", 0),
        (LETTERS, " A ", 1),
        (LETTERS, "[[B]]", 0),
        (LETTERS, "[[C]]", 0.5),
        (NUMBERS, "[[c]] ", 0.5),
        (LETTERS, "model_a", 1),
        (LETTERS, "Assistant B", 0),
        (LETTERS, "first", 1),
        (LETTERS, "A>B", 1),
        (LETTERS, "B >> A", 0),
        (LETTERS, "A<B", 0),
        (LETTERS, "A=B", 0.5),
        (LETTERS, "big-1", 1),
        (LETTERS, "Oats.", 0),
        (LETTERS, "both_bad", 0.5),
        (LETTERS, "tie (bothbad)", 0.5),
        (NUMBERS, "answer_2", 0),
        (NUMBERS, "Response 1", 1),
        (NUMBERS, "B", 0),
        (NUMBERS, "second answer", 0),
        (FROM_ZERO, "response_1", 0),
        (SIDES, "Left", 1),
        (SIDES, "right", 0),
    ],
)
def test_words_say_which_answer_is_meant(form: Form, label: str, side: float) -> None:
    assert side_of(label, ROW, form) == side


@pytest.mark.parametrize(
    "label", [0, 1, 2, -1, 0.5, "1", "1.0", "2", True, None, math.nan, "", [], {"a": 1}, "perhaps", "C"]
)
def test_numbers_and_other_words_say_nothing(label: Any) -> None:
    row = ROW | {"response_a": "1", "response_b": "2", "model_a": "1", "model_b": "2"}
    assert [side_of(label, row, form) for form in (LETTERS, NUMBERS, FROM_ZERO, SIDES)] == [None] * 4


@pytest.mark.parametrize(
    ("answers", "models"),
    [
        (("response_A", "response_B"), ("model_A", "model_B")),
        (("response_A", "response_B"), ("model_a", "model_b")),
        (("output_1", "output_2"), ("generator_1", "generator_2")),
        (("response1", "response2"), ("model1", "model2")),
        (("left", "right"), ("left_model", "right_model")),
    ],
)
def test_models_are_known_by_the_columns_of_their_names(answers: tuple[str, str], models: tuple[str, str]) -> None:
    row = {models[0]: "Big-1", models[1]: "small"}
    form = Form("labelled", *answers, ("winner",))
    assert [side_of(label, row, form) for label in ("big-1", "small", "other")] == [1, 0, None]


def test_of_three_answers_the_third_is_no_tie() -> None:
    assert side_of("[[C]]", ROW | {"response_c": "Barley."}, LETTERS) is None


def test_what_says_two_things_at_once_says_nothing() -> None:
    assert side_of("A", {"response_a": "B", "response_b": "A"}, LETTERS) is None
    assert side_of("same", {"response_a": "same", "response_b": "other"}, LETTERS) is None
    assert side_of("big", {"model_a": "big", "model_b": "big"}, LETTERS) is None
    assert (
        side_of("B", {}, Form("labelled", "option_x", "option_a", ("winner",))) is None
    )  # a letter by its place or its name?


@pytest.mark.parametrize(
    ("same", "value"),
    [
        ((1, 1.0, "1", "1.0", " +1", Decimal("1.00")), "1"),
        ((-0.0, 0, "0", "-0"), "0"),
        ((1e9, 10**9, "1e9"), "1000000000"),
        ((0.25, ".25", Decimal("0.25")), "0.25"),
        ((True, "True", "true"), "true"),
        ((None, math.nan, math.inf, "", " ", "NaN", [1], {"a": 1}, b"a", 10**4000), ""),
        (("A", " a"), "a"),
        ((date(2026, 1, 2),), "2026-01-02"),
    ],
)
def test_one_value_has_one_form(same: tuple[Any, ...], value: str) -> None:
    assert {value_of(each) for each in same} == {value}


def test_numbers_are_finite_ones_and_written_as_such() -> None:
    texts = ("1_000", "0x1", "१", "1e999", "inf", "1" * 400, True, Decimal("NaN"), Decimal("sNaN"), b"1")
    assert [number_of(each) for each in texts] == [None] * len(texts)
    assert number_of("-3") == -3 and number_of("1e-3") == 0.001


@pytest.mark.parametrize(
    ("column", "end"),
    [("response_a", "a"), ("human_ref_B", "b"), ("response1", "1"), ("answerB", "b"), ("left", "left"), ("b", "b")],
)
def test_a_column_is_told_from_its_sibling_by_its_end(column: str, end: str) -> None:
    assert suffix(column) == end
