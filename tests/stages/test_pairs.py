"""Pairs that are there already: read in each form, with the better answer on either side and people's labels kept."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cai.data.comparisons import Comparison, check_pair, comparisons
from cai.data.conversations import Unusable
from cai.data.survey import survey
from cai.errors import UserError
from cai.stages.pairs import Pairs, read
from cai.store.rows import Drop, Pair

Write = Callable[[str, str], Path]
HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: How?\n\nAssistant:"


MULTIPLE = {"prompt": "2+2?", "corrects": ["4"], "incorrects": ["5"]}
GOOD = (
    {"prompt": "How?", "a": "Yes.", "b": "No.", "label": "a"},
    {"prompt": "How?", "a": "No.", "b": "Yes.", "label": "b"},
)


def read_row(row: dict[str, Any], columns: dict[str, object] | None = None) -> list[Comparison]:
    """The pairs of a row in a file of its own."""
    return comparisons(row, survey([row], columns or {}))


def better(pair: Pair) -> str:
    return pair.a.text if pair.people == (1.0,) else pair.b.text


@pytest.mark.parametrize(
    ("row", "prompt", "texts", "people"),
    [
        ({"chosen": f"{HH} Yes.", "rejected": f"{HH} No."}, "How?", ("Yes.", "No."), (1.0,)),
        ({"prompt": "How?", "chosen": "Yes.", "rejected": "No."}, "How?", ("Yes.", "No."), (1.0,)),
        ({"prompt": HH, "chosen": " Yes.", "rejected": "No."}, "How?", ("Yes.", "No."), (1.0,)),
        (
            {
                "prompt": [{"role": "user", "content": "How?"}],
                "chosen": [{"role": "assistant", "content": "Yes."}],
                "rejected": [{"role": "assistant", "content": "No."}],
            },
            "How?",
            ("Yes.", "No."),
            (1.0,),
        ),
        (
            {
                "chosen": [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "Yes."}],
                "rejected": [{"role": "user", "content": "How?"}, {"role": "assistant", "content": "No."}],
            },
            "How?",
            ("Yes.", "No."),
            (1.0,),
        ),
        (
            {"question": "How?", "response_a": "Yes.", "response_b": "No.", "label": "b"},
            "How?",
            ("Yes.", "No."),
            (0.0,),
        ),
        (
            {"prompt": "How?", "response_0": "Yes.", "response_1": "No.", "better_response_id": 0},
            "How?",
            ("Yes.", "No."),
            (1.0,),
        ),
        (
            {"prompt": "How?", "output_1": "Yes.", "output_2": "No.", "preference": "output_2"},
            "How?",
            ("Yes.", "No."),
            (0.0,),
        ),
        (
            {"prompt": "How?", "answer_a": "Yes.", "answer_b": "No.", "winner": "model_a"},
            "How?",
            ("Yes.", "No."),
            (1.0,),
        ),
        (
            {"prompt": "How?", "answer_a": "Yes.", "answer_b": "No.", "winner": "tie (bothbad)"},
            "How?",
            ("Yes.", "No."),
            (0.5,),
        ),
        (
            {"input": "How?", "a": "Yes.", "b": "No.", "labels": ["a", "A", "b", "tie"]},
            "How?",
            ("Yes.", "No."),
            (1, 1, 0, 0.5),
        ),
        (
            {"text_a": "Task: How?\n\nYes.", "text_b": "Task: How?\n\nNo.", "preferred_text": "text_b"},
            "Task: How?",
            ("Yes.", "No."),
            (0.0,),
        ),
    ],
)
def test_each_form_is_read(row: dict[str, Any], prompt: str, texts: tuple[str, str], people: tuple[float, ...]) -> None:
    [found] = read_row(row)
    assert found.messages[-1] == {"role": "user", "content": prompt}
    assert (found.first.strip(), found.second.strip(), found.people) == (*texts, people)


def test_multiple_choice_gives_every_right_answer_beside_every_wrong_one() -> None:
    found = read_row({"prompt": "2+2?", "corrects": ["4", "four"], "incorrects": ["5", "3", "22"]})
    assert len(found) == 6
    assert {each.people for each in found} == {(1.0,)}


def test_columns_of_other_names_can_be_told() -> None:
    row = {"q": "How?", "x": "Yes.", "y": "No.", "human": "y", "label": "spam"}
    [found] = read_row(row, {"prompt": "q", "a": "x", "b": "y", "label": "human"})
    assert (found.first, found.people) == ("Yes.", (0.0,))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"chosen": f"{HH} Yes.", "rejected": "\n\nHuman: Else?\n\nAssistant: No."}, "other_conversations"),
        ({"prompt": "How?", "chosen": "Yes.", "rejected": " Yes."}, "equal_answers"),
        ({"prompt": "How?", "chosen": "", "rejected": "No."}, "empty_answer"),
        ({"prompt": "How?", "a": "Yes.", "b": "No.", "label": "perhaps"}, "unreadable_label"),
        ({"prompt": "How?", "a": "Yes.", "b": "No.", "label": None}, "unreadable_label"),
        ({"chosen": "Yes.", "rejected": "No."}, "no_prompt"),
        ({"something": "else"}, "no_pair"),
        ({"prompt": "Q", "chosen": {"x": 1}, "rejected": "No."}, "no_text"),
        ({"prompt": "Q", "chosen": "lone \ud800", "rejected": "No."}, "no_text"),
        ({"prompt": "2+2?", "corrects": [], "incorrects": ["5"]}, "no_answers"),
    ],
)
def test_what_is_no_pair_has_a_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unusable) as error:
        list(map(check_pair, comparisons(row, survey([*GOOD, {"chosen": "x", "rejected": "y"}, MULTIPLE, row], {}))))
    assert error.value.reason == reason


def test_the_better_answer_stands_on_either_side_and_the_ledger_holds(write: Write) -> None:
    rows = [{"prompt": f"{n}?", "chosen": f"GOOD {n}", "rejected": f"BAD {n}"} for n in range(200)]
    rows.append({"prompt": "x", "chosen": "same", "rejected": "same"})
    path = write("p.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
    found = list(read(Pairs(path=str(path))))
    pairs = [each for each in found if isinstance(each, Pair)]
    assert all(better(each).startswith("GOOD") for each in pairs)
    assert 70 < sum(each.people == (1.0,) for each in pairs) < 130
    assert [each.reason for each in found if isinstance(each, Drop)] == ["equal_answers"]


def test_what_several_rows_say_of_one_pair_is_put_together(write: Write) -> None:
    rows = [
        {"prompt": "How?", "a": "Yes.", "b": "No.", "label": "a"},
        {"prompt": "How?", "a": "No.", "b": "Yes.", "label": "b"},
        {"prompt": "How?", "a": "Yes.", "b": "No.", "label": "b"},
    ]
    path = write("p.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
    pair, *drops = read(Pairs(path=str(path)))
    assert isinstance(pair, Pair)
    said = pair.people if pair.a.text == "Yes." else tuple(1 - each for each in pair.people)
    assert said == (1.0, 1.0, 0.0)
    assert [each.reason for each in drops if isinstance(each, Drop)] == ["same_pair"] * 2


def test_parts_of_a_message_are_its_text() -> None:
    said = [{"role": "assistant", "content": [{"type": "text", "text": "Yes"}, {"type": "text", "text": "."}]}]
    [found] = read_row({"prompt": "How?", "chosen": said, "rejected": 7})
    assert (found.first, found.second) == ("Yes.", "7")


def test_a_conversation_in_the_answers_is_the_whole_context() -> None:
    before = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Why?"},
    ]
    row = {"prompt": "Hi"} | {
        key: [*before, {"role": "assistant", "content": text}] for key, text in (("chosen", "So."), ("rejected", "No."))
    }
    [found] = read_row(row)
    assert found.messages == tuple(before)


def test_an_instruction_s_input_belongs_to_it() -> None:
    [found] = read_row(
        {"instruction": "Sum up.", "input": "A tale.", "output_1": "x", "output_2": "y", "preference": "output_1"}
    )
    assert found.messages[-1]["content"] == "Sum up.\n\nA tale."


def test_packed_files_and_lists_are_read(tmp_path: Path) -> None:
    rows = [{"prompt": "How?", "chosen": "Yes.", "rejected": "No."}]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    with gzip.open(tmp_path / "p.jsonl.gz", "wt") as file:
        file.write(json.dumps(rows[0]) + "\n")
    for name in ("p.json", "p.jsonl.gz"):
        [pair] = read(Pairs(path=str(tmp_path / name)))
        assert isinstance(pair, Pair)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.jsonl", '{"prompt": "x", "text": "y"}\n', "no pairs in the columns prompt, text"),
        ("p.jsonl", "{\n", "p.jsonl:1: not valid JSON"),
        ("p.csv", "prompt,chosen,rejected\nx,y,z,w\n", "row 2 has more fields than the header"),
        (
            "p.jsonl",
            '{"prompt": "x", "response_0": "a", "response_1": "b", "better_response_id": 0, "safer_response_id": 1}\n',
            "p.jsonl: better_response_id and safer_response_id both say which answer is better; say `columns: {label: better_",
        ),
        ("p.json", "{}", "expected a list of objects"),
        ("p.jsonl.gz", "not packed", "cannot be unpacked"),
        ("p.txt", "x", "rows come from .jsonl"),
    ],
)
def test_a_file_without_pairs_is_a_sentence(write: Write, name: str, text: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        list(read(Pairs(path=str(write(name, text)))))
    assert words in str(error.value)
