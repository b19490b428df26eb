"""``cai look --template``: a model's chat template, with what is trained on and what is peculiar about it."""

import json
from pathlib import Path

import pytest
from families import FAMILIES, generation, tokenizer
from typer.testing import CliRunner

from cai.cli import app


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder with no more than a tokenizer and the settings for generation, as of a thinking model."""
    reads = tokenizer(FAMILIES["qwen3"])
    reads.save_pretrained(tmp_path)
    generation(FAMILIES["qwen3"], reads).save_pretrained(tmp_path)
    return str(tmp_path)


def look(*line: str) -> tuple[int, str]:
    result = CliRunner().invoke(app.app, ["look", *line])
    return result.exit_code, result.output


def test_what_is_trained_on_stands_in_brackets(model: str) -> None:
    code, said = look("--template", model)
    assert code == 0
    asked, learnt, scored = (
        said.split("\nAsked:\n")[1].split("\nLearnt (", 1)[0],
        *said.split("\nLearnt (")[1].split("\nScored:\n"),
    )
    assert "Answer in one sentence." in asked
    assert "name_of_the_tool" in asked
    assert asked.rstrip().endswith("<|im_start|>assistant")
    assert "They ask what clocks are for." not in asked  # Qwen3 drops the thoughts of earlier turns
    assert "[<think>][\\n][2][3][:][4][0]" in learnt
    assert learnt.rstrip().endswith("[.][<|im_end|>]")
    assert "<think>\n23:40 is late.\n</think>\n\nYes, it is 23:40.<|im_end|>" in scored
    assert "- thoughts_dropped: it drops the thoughts of earlier turns" in said


def test_it_can_be_read_by_programs(model: str) -> None:
    code, said = look("--template", model, "--json")
    found = json.loads(said)
    assert code == 0
    learnt = "".join(each["text"] for each in found["learnt"] if each["trained"])
    assert learnt == "<think>\n23:40 is late.\n</think>\n\nYes, it is 23:40.<|im_end|>"
    assert "".join(each["text"] for each in found["learnt"] if not each["trained"]) == found["asked"]
    assert "thoughts_dropped" in {each["kind"] for each in found["faults"]}


def test_on_a_terminal_it_is_told_by_colour(model: str) -> None:
    from cai.cli.template import account, lines, load

    found = account(model, load(model))
    coloured = [line for line in lines(found, True) if line.spans]
    [line] = [each for each in coloured if "<think>" in each.plain]
    assert "[<think>]" not in line.plain
    assert sum(bool(span.style) for span in line.spans) == sum(each.trained for each in found.learnt)


@pytest.mark.parametrize(
    ("name", "without"),
    [("chatml", "tools and thoughts"), ("qwen2.5", "thoughts"), ("gpt-oss", ""), ("gemma-2", "tools and thoughts")],
)
def test_what_a_template_does_not_take_is_left_out_of_the_example(tmp_path: Path, name: str, without: str) -> None:
    tokenizer(FAMILIES[name]).save_pretrained(tmp_path)
    _, said = look("--template", str(tmp_path))
    wanted = f", without {without}, which it does not take\n" if without else "in its chat template\n"
    assert wanted in said


def test_a_model_without_a_template_and_one_that_is_not_there_are_one_sentence(tmp_path: Path) -> None:
    reads = tokenizer(FAMILIES["chatml"])
    reads.chat_template = None
    reads.save_pretrained(tmp_path)
    code, said = look("--template", str(tmp_path))
    assert code == 0
    assert "- no_template: there is no chat template: this is a base model" in said
    assert "Asked:" not in said
    for line, words in (
        (["--template", str(tmp_path / "none")], "cannot be loaded"),
        (["a.csv", "--template", "b"], "is for a model"),
    ):
        result = CliRunner().invoke(app.app, ["look", *line])
        assert result.exit_code != 0
        assert words in str(result.exception)
