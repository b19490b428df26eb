"""Scripts: the first rule that matches answers, the same to the same request."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.models.scripted import Scripted
from cai.models.types import Request
from constitution.source import InputError

Write = Callable[[str, str], Path]


def said(path: Path, text: str, **more: object) -> tuple[str, ...]:
    request = Request(({"role": "user", "content": text},), **more)  # type: ignore[arg-type]
    return asyncio.run(Scripted.from_file(path).ask(request, "row")).texts


def test_the_first_matching_rule_answers(write: Write) -> None:
    path = write("s.yaml", '- {when: "^Hi", say: [Hello, Hey]}\n- {say: ["Eh {seed}"]}\n')
    assert said(path, "Hi there", seed=3)[0] in ("Hello", "Hey")
    assert said(path, "Hi there", seed=3) == said(path, "Hi there", seed=3)
    assert said(path, "What?", seed=3, n=2) == ("Eh 3", "Eh 4")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "a script is a list of rules"),
        ("[" * 1500, "s.yaml:1: nested more than 64 deep"),
        ("- {when: x}", "a rule needs `say` or `choose`"),
        ("- {say: [x], wen: y}", 'unknown key; did you mean "when"?'),
        ('- {say: [x], when: "("}', "not a regular expression"),
        ("- {choose: {A: much}}", "expected a probability for each choice"),
        ("- {say: x}", "expected a list of texts"),
        ("- {say: [x], delay: soon}", "expected seconds"),
    ],
)
def test_a_wrong_script_is_a_sentence(write: Write, text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        Scripted.from_file(write("s.yaml", text))
    assert words in str(error.value)


@pytest.mark.parametrize(("rules", "gives"), [("- {say: [x]}\n", False), ("- {say: [x], choose: {A: 0.7}}\n", True)])
def test_a_script_that_chooses_nothing_gives_no_log_probabilities(write: Write, rules: str, gives: bool) -> None:
    model = Scripted.from_file(write("s.yaml", rules))
    assert asyncio.run(model.gives_logprobs(Request(choices=("A", "B")))) is gives
