"""Replies are read or they are None; nothing is guessed."""

from pathlib import Path

import pytest

from constitution import read
from constitution.load import load


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


@pytest.mark.parametrize(
    "text", ["I'm sorry, but no.", "I cannot help with that.", "As an AI, I do not.", "Sorry, no."]
)
def test_refusals_are_recognised(text: str) -> None:
    assert read.is_refusal(text)


@pytest.mark.parametrize("text", ["Sure, here is how.", "The first step is to apologise.", "I can help."])
def test_answers_are_not_refusals(text: str) -> None:
    assert not read.is_refusal(text)


@pytest.mark.parametrize(
    ("critique", "fine"),
    [
        ("Nothing needs changing. The answer is short and true.", True),
        ("There is nothing wrong with it.", True),
        ("The assistant's last answer does not go against this principle.", True),
        ("No changes are needed.", True),
        ("Nothing in the answer warns the person, which could harm him.", False),
        ("Nothing needs changing, but the tone is cold.", False),
        ("There is no warning about the drill.", False),
        ("It is rude. Nothing else is wrong.", False),
        ("The answer is fine for adults, though not for a child.", False),
    ],
)
def test_a_critique_that_finds_nothing_is_known_by_its_first_sentence(critique: str, fine: bool) -> None:
    assert read.finds_nothing(critique) is fine


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).resolve().parents[2] / "principles").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_shipped_exemplars_are_read_as_they_mean(path: Path) -> None:
    for exemplar in load(path).critique_revision:
        assert read.finds_nothing(exemplar.critique) is (exemplar.answer == exemplar.revision)
