"""Thoughts are told apart in the forms in which models and servers leave them; what cannot be told says nothing."""

import time

import pytest

from cai.models.thoughts import closes_alone, parts_of

FORMS = {
    "<think>one</think><think>two</think>It is.": "one\ntwo",
    "<think>one</think>\n<answer>\nIt is.\n</answer>": "one",
    "<think>one</think>\n\n<response>It is.</response>": "one",
    "<|channel>thought\none\n<channel|>It is.": "one",
    "analysisUser asks of rye.assistantfinalIt is.": "User asks of rye.",
    "Here is my thought process: one Here is my response: It is.": "one",
    "<THINK>one</THINK>It is.": "one",
    "one</Think>It is.": "one",
    "<think>one</think>It is.\n\n<think>\ntwo\n</think>": "one\ntwo",
    "It is.\n<Thinking>\none\n</thinking>": "one",
    "Here are my reasoning steps:\none\n[BEGIN FINAL RESPONSE]\nIt is.\n[END FINAL RESPONSE]": "one",
}


@pytest.mark.parametrize("text", FORMS)
def test_what_is_said_stands_behind_all_thoughts(text: str) -> None:
    assert parts_of(text) == (FORMS[text], "It is.", False)


@pytest.mark.parametrize(
    "text",
    [
        "<think>one <think>two</think> more</think> It is.",
        "one </think> two </think> It is.",
        "analysisWe need to weigh",
        "Here is my thought process: one",
        "<think>one</think><think>two",
        "It is. <think>one</think>",
        "It is.\n<think>one",
        "It is <think>one of those cases where I have to look again</think>",
        "<think>He asks for `</think>`. So.</think>It is.",
        "<think>He asks for `</think>` and",
        "He asks for `</think>`. So.</think>It is. </think>",
        "It is.\n<think>\none `</think>` two\n</think>",
    ],
)
def test_where_the_end_of_a_thought_cannot_be_told_nothing_is_said(text: str) -> None:
    _, said, unclosed = parts_of(text)
    assert (said, unclosed) == ("", True)


@pytest.mark.parametrize(
    "text",
    [
        "Close it with `</think>`, and go on.",
        "analysis of rye is hard.",
        "It is. Here is my response: no.",
        "<answer>It is.</answer>",
        "[1] It is.",
        "Write <think>…</think> around a thought.",
        "It is:\n```html\n<think>\none\n</think>\n```\nThat is all.",
        "Put `<think>one</think>` before it.",
        "End your prompt with\n```\n</think>\n```\nand go on.",
        "End it with `go </think> on`, and go on.",
        "one</rea\u017foning>It is.",
        "<th\u0131nk>one</th\u0131nk>It is.",
        "<TH\u0130NK>one</TH\u0130NK>It is.",
        "<thin\u212a>one</thin\u212a>It is.",
        "If a < b, it is.",
        " It is.",
    ],
)
def test_an_answer_that_speaks_of_such_words_is_left_as_it_is(text: str) -> None:
    assert parts_of(text) == ("", text, False)
    assert not closes_alone(text)


SPOKEN = {
    "<think>plan</think>To close it write `</think>`.": "To close it write `</think>`.",
    "plan</think>End it with\n```\n</think>\n```\nand go on.": "End it with\n```\n</think>\n```\nand go on.",
    "It is:\n<think>\nplan\n</think>\nWrite `</think>`.": "It is:\n\nWrite `</think>`.",
}


@pytest.mark.parametrize("text", SPOKEN)
def test_a_closing_tag_that_an_answer_speaks_of_closes_nothing_more(text: str) -> None:
    assert parts_of(text) == ("plan", SPOKEN[text], False)


@pytest.mark.parametrize("text", ["```py\nplan</think>It is:\n```py\n1\n```", "a ` is plan</think>It is `1`."])
def test_code_that_a_thought_leaves_open_ends_with_it(text: str) -> None:
    thought, said, unclosed = parts_of(text)
    assert thought.endswith("plan") and said.startswith("It is") and not unclosed


def test_a_template_that_opens_a_thought_makes_one_of_what_closes_none() -> None:
    assert closes_alone("one</think>It is.")
    assert parts_of("one, so", in_thought=True) == ("one, so", "", True)
    assert parts_of("one</think>It is.", in_thought=True) == ("one", "It is.", False)


@pytest.mark.parametrize(
    "piece",
    [
        "```\n</think>\n```\n",
        "```\n<think>\n```\n",
        "the <think>b</think> tag ",
        "Hello.\n<think>one two three four five six</think>\nb ",
        "<think>a</think>\n",
        "<answer>",
    ],
)
def test_a_text_that_repeats_itself_takes_no_longer_for_each_time(piece: str) -> None:
    """Eight times as much takes about eight times as long; where each tag looked at all before it, it would be sixty-four."""

    def seconds(times: int) -> float:
        text, least = f"<think>a</think>x {piece * times}", float("inf")
        for _ in range(3):
            begin = time.process_time()
            parts_of(text)
            least = min(least, time.process_time() - begin)
        return least

    assert seconds(8000) < 24 * seconds(1000) + 0.002
