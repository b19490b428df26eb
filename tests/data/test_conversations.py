"""The one reader of conversations: each form that it knows, whole, and what it leaves out with which reason."""

import json
from typing import Any

import pytest

from cai.data.comparisons import comparisons
from cai.data.conversations import Unusable, read
from cai.data.questions import question, with_fields
from cai.data.survey import survey
from cai.store.rows import Message

TEXT = {"type": "text", "text": "Is rye sour?"}
ASKED = [{"role": "user", "content": "Is rye sour?"}, {"role": "assistant", "content": "The bread is."}]

COLONS = "\n\nHuman: Hi: so\n\nand on\n\nAssistant: Yo\n\nHuman: 1:\n\nSystem: 2"


def turns(*texts: str, system: str = "") -> tuple[Message, ...]:
    """A conversation, the person's turn first."""
    before = [{"role": "system", "content": system}] if system else []
    said = [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts)]
    return (*before, *said)


@pytest.mark.parametrize(
    ("value", "form", "messages"),
    [
        (" Is rye sour? ", "text", turns("Is rye sour?")),
        ("Note: rye\n\nis a grain", "text", turns("Note: rye\n\nis a grain")),
        ("System: Windows 11. How do I bake?", "text", turns("System: Windows 11. How do I bake?")),
        ("User: is that a word?", "text", turns("User: is that a word?")),
        ('{"role": "admin", "id": 3}', "text", turns('{"role": "admin", "id": 3}')),
        (f"{json.dumps(ASKED)} What is this?", "text", turns(f"{json.dumps(ASKED)} What is this?")),
        (ASKED, "messages", turns("Is rye sour?", "The bread is.")),
        (ASKED[0], "messages", turns("Is rye sour?")),
        (
            [{"role": "User", "content": [TEXT, {"type": "text", "text": " No?"}]}],
            "messages",
            turns("Is rye sour? No?"),
        ),
        ([TEXT], "messages", turns("Is rye sour?")),
        ([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}], "messages", turns("Hi", "Yo")),
        (
            [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Hi"}],
            "messages",
            turns("Hi", system="Be kind."),
        ),
        ({"role": ["user", "assistant"], "content": ["Hi", "Yo"]}, "messages", turns("Hi", "Yo")),
        ([*ASKED[:1], {"role": "assistant", "content": "", "tool_calls": None}], "messages", turns("Is rye sour?")),
        (COLONS, "transcript", turns("Hi: so\n\nand on", "Yo", "1:\n\nSystem: 2")),
        ("Human: Hi\r\n\r\nAssistant: Yo", "transcript", turns("Hi", "Yo")),
        ("System: Be kind.\n\nHuman: Hi\n\nAssistant:", "transcript", turns("Hi", system="Be kind.")),
        (json.dumps(ASKED), "messages as text", turns("Is rye sour?", "The bread is.")),
        (json.dumps(json.dumps(ASKED)), "messages as text", turns("Is rye sour?", "The bread is.")),
        (str(ASKED), "messages as text", turns("Is rye sour?", "The bread is.")),
        (str(ASKED).replace("}, {", "}\n {"), "messages as text", turns("Is rye sour?", "The bread is.")),
        (str([TEXT]), "messages as text", turns("Is rye sour?")),
        ("[{'role': 'user', 'content': 'it\\'s \"so\"\\n'}]", "messages as text", turns('it\'s "so"\n')),
    ],
)
def test_each_form_is_read_whole(value: object, form: str, messages: tuple[Message, ...]) -> None:
    talk = read(value)
    assert (talk.form, talk.messages) == (form, messages)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([{"role": "user", "content": [TEXT, {"type": "image"}]}], "needs_image"),
        ([{"role": "user", "content": "What is it?", "images": ["a.png"]}], "needs_image"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "needs_audio"),
        ([{"role": "user", "content": [{"type": "thing", "thing": 1}]}], "unknown_part"),
        ([*ASKED[:1], {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, *ASKED], "unreadable_tools"),
        ([*ASKED[:1], {"role": "tool", "content": "7"}, *ASKED[1:]], "unreadable_tools"),
        ([*ASKED[:1], {"role": "assistant", "content": " "}, *ASKED], "empty_turn"),
        ("\n\nHuman: Hi\n\nAssistant:\n\nHuman: So?", "empty_turn"),
        ("", "empty_turn"),
        ([{"role": "narrator", "content": "Hm."}], "unknown_role"),
        ([{"content": "Hm."}], "unknown_role"),
        ([{"role": "\ud83d", "content": "Hm."}], "no_text"),
        (["Hi", "Yo"], "no_roles"),
        ([*ASKED, "Hi"], "no_roles"),
        ("Human: Hi\nAssistant: Yo\nHuman: So?", "unclear_turns"),
        ("### Human: Hi### Assistant: Yo", "unknown_transcript"),
        ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "unknown_transcript"),
        ("[INST] Hi [/INST] Yo", "unknown_transcript"),
        ("USER: Hi ASSISTANT: Yo", "unknown_transcript"),
        ("User: Hi\nAssistant: Yo", "unknown_transcript"),
        (json.dumps(ASKED)[:-9], "unreadable_messages"),
        (str(ASKED)[:40], "unreadable_messages"),
        ("[{'role': 'user', 'content': open('x')}]", "unreadable_messages"),
        ("[{'role': 'user', 'content': " + "[" * 5000, "unreadable_messages"),
        ([{"role": "user", "content": str(ASKED)}], "unreadable_messages"),
        ("half \ud83d", "no_text"),
        ("a NUL \0", "no_text"),
        (7, "no_text"),
        ({"a": {"b": "Hi"}}, "no_text"),
    ],
)
def test_what_would_not_be_whole_is_left_out_with_its_reason(value: object, reason: str) -> None:
    with pytest.raises(Unusable) as error:
        read(value)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("row", "column", "messages"),
    [
        ({"q": "Why?", "system": "Be kind."}, "q", turns("Why?", system="Be kind.")),
        ({"q": "Why?", "system_prompt": "Be kind.", "system": ""}, "q", turns("Why?", system="Be kind.")),
        ({"q": [*turns("Why?", system="Be kind.")], "system": "Be kind."}, "q", turns("Why?", system="Be kind.")),
        ({"q": "Why?", "history": [["Hi", "Yo"], ["So?", "So."]]}, "q", turns("Hi", "Yo", "So?", "So.", "Why?")),
        ({"q": "Why?", "history": [{"user": "Hi", "assistant": "Yo"}]}, "q", turns("Hi", "Yo", "Why?")),
        ({"q": "Why?", "history": ASKED}, "q", turns("Is rye sour?", "The bread is.", "Why?")),
        ({"q": "Why?", "history": str(ASKED)}, "q", turns("Is rye sour?", "The bread is.", "Why?")),
        ({"q": "Why?", "history": []}, "q", turns("Why?")),
        ({"instruction": "Sum up.", "input": "A tale."}, "instruction", turns("Sum up.\n\nA tale.")),
        ({"instruction": "Sum up.", "instances": [{"input": "A tale."}]}, "instruction", turns("Sum up.\n\nA tale.")),
        ({"q": "Who was it?", "context": "It was Ann."}, "q", turns("It was Ann.\n\nWho was it?")),
        ({"row": {"q": "Why?", "system": "Be kind."}, "system": "other"}, "row.q", turns("Why?", system="Be kind.")),
        ({"turns": ["Why?", "So?"]}, "turns.0", turns("Why?")),
    ],
)
def test_what_stands_beside_a_question_belongs_to_it(
    row: dict[str, Any], column: str, messages: tuple[Message, ...]
) -> None:
    assert question(with_fields(row, column), column).messages == messages


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"q": [*turns("Why?", system="Be kind.")], "system": "Be brief."}, "two_systems"),
        ({"q": "Why?", "history": [{"role": "user", "content": [{"type": "image"}]}]}, "needs_image"),
        ({"q": "Why?", "history": [["Hi", ""]]}, "empty_turn"),
        ({"q": "What is it?", "images": ["a.png"]}, "needs_image"),
        ({"q": "Why?", "context": "[{'role': 'user', 'content': 3}]"}, "no_text"),
        ({"q": "Why?", "system": "half \ud83d"}, "no_text"),
        ({"q": " "}, "no_prompt"),
    ],
)
def test_a_question_is_not_asked_without_what_belongs_to_it(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unusable) as error:
        question(row, "q")
    assert error.value.reason == reason


def test_columns_in_a_shape_that_is_not_known_are_told() -> None:
    talk = question({"q": "Why?", "system": {"a": 1}, "history": "once", "context": ["x"], "image": None}, "q")
    assert talk.messages == turns("Why?")
    assert set(talk.unread) == {"system", "history", "context"}


@pytest.mark.parametrize("notation", [str, json.dumps])
def test_answers_in_each_form_are_the_answers_alone(notation: Any) -> None:
    said = [[ASKED[0], {"role": "assistant", "content": text}] for text in ('A "bit".', "No\nidea")]
    rows: list[dict[str, Any]] = [
        {"prompt": "Is rye sour?", "chosen": notation(said[0]), "rejected": notation(said[1])},
        {"conversations": [{"from": "human", "value": "Is rye sour?"}]}
        | {
            key: {"from": "gpt", "value": each[1]["content"]}
            for key, each in zip(("chosen", "rejected"), said, strict=True)
        },
        {"question": "Is rye sour?", "corrects": notation(['A "bit".']), "incorrects": ["No\nidea"]},
    ]
    for row in rows:
        [pair] = comparisons(row, survey([row], {}))
        assert (pair.messages, pair.first, pair.second) == (turns("Is rye sour?"), 'A "bit".', "No\nidea")


def test_what_stands_beside_a_pair_s_question_is_asked_too() -> None:
    row = {"system": "Be kind.", "history": [["Hi", "Yo"]], "question": "Why?", "chosen": "So.", "rejected": "No."}
    [pair] = comparisons(row, survey([row], {}))
    assert pair.messages == turns("Hi", "Yo", "Why?", system="Be kind.")
    whole = {key: [*ASKED[:1], {"role": "assistant", "content": key}] for key in ("chosen", "rejected")}
    row = {"system": "Be kind.", **whole}
    [pair] = comparisons(row, survey([row], {}))
    assert pair.messages == turns("Is rye sour?", system="Be kind.")
