"""Replies are read or they are None; nothing is guessed."""

import math

import pytest

from constitution import read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Critique: It is rude.", "It is rude."),
        ("**Revision:** Be kind.", "Be kind."),
        ("  plain  ", "plain"),
        ("", None),
        (" ... ", None),
        ("Revision:", None),
    ],
)
def test_labels_go_and_silence_is_none(text: str, said: str | None) -> None:
    assert read.revision(text) == said
    assert read.critique(text) == said


def test_a_verdict_is_normalised_over_the_two_letters() -> None:
    assert read.verdict({"A": math.log(0.6), "B": math.log(0.2)}, 0.1) == pytest.approx(0.75)
    assert read.verdict({"A": math.log(0.6)}, 0.1) == 1.0


@pytest.mark.parametrize("logprobs", [{}, {"A": math.log(0.04), "B": math.log(0.05)}])
def test_letters_without_mass_give_no_verdict(logprobs: dict[str, float]) -> None:
    assert read.verdict(logprobs, 0.1) is None


@pytest.mark.parametrize(
    "text", ["I'm sorry, but no.", "I cannot help with that.", "As an AI, I do not.", "Sorry, no."]
)
def test_refusals_are_recognised(text: str) -> None:
    assert read.is_refusal(text)


@pytest.mark.parametrize("text", ["Sure, here is how.", "The first step is to apologise.", "I can help."])
def test_answers_are_not_refusals(text: str) -> None:
    assert not read.is_refusal(text)
