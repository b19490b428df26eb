"""What a file's labels stand for comes from its words, from a known set or from the recipe; else it is asked, with the YAML."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai.data.account import Account
from cai.data.comparisons import comparisons
from cai.data.conversations import Unusable
from cai.data.survey import survey
from cai.errors import UserError
from cai.stages.pairs import Pairs, read
from cai.store.rows import Pair


def rows(labels: list[Any], a: str = "answer_a", b: str = "answer_b", label: str = "label") -> list[dict[str, Any]]:
    return [{"prompt": f"{n}?", a: "First.", b: "Second.", label: each} for n, each in enumerate(labels)]


def shares(data: list[dict[str, Any]], columns: dict[str, Any]) -> list[float | None]:
    """What is read of the first answer of each row; None where a row is left out."""
    seen, found = survey(data, columns, "p.jsonl"), list[float | None]()
    for row in data:
        try:
            [pair] = comparisons(row, seen)
            [share] = pair.people
            found.append(share if pair.first == "First." else 1 - share)
        except Unusable as error:
            found.append(None if error.reason == "unreadable_label" else -1)
    return found


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([1, 0, 1], "label holds 1 (2), 0 (1), and numbers alone do not say which answer is the better"),
        (
            [1, 0, 1],
            "`columns: {label: label, first: 1}` if 1 stands for answer_a, or `first: 0` in its place if 0 does",
        ),
        ([1, 2, 2], "{label: label, first: 2} if 2 stands for answer_a"),
        (["1", "2"], "{label: label, first: 1}"),
        ([1.0, 1.0], "{label: label, first: 1} if 1 stands for answer_a, or `second: 1`"),
        ([True, False, None], '{label: label, first: "true"}'),
        ([0, 1, 2, 1], "{label: label, first: 1, second: 2, tie: 0}"),
        ([-2, 0, 1], "{label: label, scale: signed} if numbers below 0 stand for answer_a"),
        ([-1, 1], "scale: signed"),
        ([0.2, 0.9], "{label: label, scale: share} if it is the probability that answer_a is the better"),
        ([1, 2, 3, 4, 5], "{label: label, scale: signed, tie: 3}"),
        (["yes", "no", "no"], '{label: label, first: "no"} if no stands for answer_a, or `first: "yes"` in its place'),
        (["A", "B", 0], "{label: label, tie: 0}"),
        (["A", "the other one", "A"], "{label: label, first:"),  # which would leave out one side alone
        (["tie", "tie", "left"], "first: left"),
        (["wow \x1b[31m", "ok"], "wow \\u001b[31m"),
    ],
)
def test_what_does_not_say_it_is_asked(labels: list[Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        survey(rows(labels), {}, "p.jsonl")
    said = str(error.value)
    assert said.startswith("p.jsonl: the label's column label holds ")
    assert words.replace("`", "") in said.replace("`", "")
    assert "\n" not in said and "\x1b" not in said


@pytest.mark.parametrize(
    "labels", [[1, 0], [0, 1, 2], [-1, 0, 1], [0.1, 0.7], [1, 2, 3, 4], ["yes", "no"], ["A", "B", 7]]
)
def test_the_yaml_of_the_question_answers_it(labels: list[Any]) -> None:
    """It is taken as it stands, and no question is left."""
    with pytest.raises(UserError) as error:
        survey(rows(labels), {}, "p.jsonl")
    answer = yaml.safe_load(str(error.value).split("`")[1])["columns"]
    assert None not in shares(rows(labels), answer)


@pytest.mark.parametrize(
    ("labels", "columns", "firsts"),
    [
        ([1, 0, 1], {"first": 1}, [1, 0, 1]),
        ([1, 0, 1], {"first": 0}, [0, 1, 0]),
        ([1, 0, 1], {"second": "1"}, [0, 1, 0]),
        ([2, 1.0, "1"], {"first": 1}, [0, 1, 1]),
        ([1, 2, 0], {"first": 1, "tie": 0}, [1, 0, 0.5]),
        ([1, 2, 0, 9], {"first": 1, "second": 2, "tie": 0}, [1, 0, 0.5, None]),
        ([1, 2, "tie"], {"first": 1}, [1, 0, 0.5]),
        ([1, 2, None, float("nan")], {"first": 1}, [1, 0, None, None]),
        ([True, False], {"first": True}, [1, 0]),
        (["Yes", "no"], {"first": "yes"}, [1, 0]),
        (["A", "B", 0], {"tie": 0}, [1, 0, 0.5]),
        ([-2, 0, 3], {"scale": "signed"}, [1, 0.5, 0]),
        ([-2, 0, 3], {"scale": "signed", "means": "worse"}, [0, 0.5, 1]),
        ([1, 4, 7], {"scale": "signed", "tie": 4}, [1, 0.5, 0]),
        ([0.25, "1", 0, "good"], {"scale": "share"}, [0.25, 1, 0, None]),
        ([0.25, 0.5], {"scale": "share", "means": "worse"}, [0.75, 0.5]),
        (["answer_a", "b", "tie"], {"means": "worse"}, [0, 1, 0.5]),
        (["A", "B", "perhaps", None], {}, [1, 0, None, None]),
    ],
)
def test_a_recipe_says_what_labels_stand_for(
    labels: list[Any], columns: dict[str, Any], firsts: list[float | None]
) -> None:
    assert shares(rows(labels), {"label": "label", **columns}) == firsts


def test_columns_that_hold_1_for_one_answer_each() -> None:
    data = [
        {"prompt": f"{n}?", "response_a": "First.", "response_b": "Second.", "tie_won": tie, "b_won": b, "a_won": a}
        for n, (a, b, tie) in enumerate([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 0, 0), ("True", "false", "0")])
    ]
    with pytest.raises(UserError) as error:
        survey(data, {}, "p.jsonl")
    assert "b_won with 0 (3), 1 (2), false (1)" in str(error.value)
    answer = yaml.safe_load(str(error.value).split("`")[1])["columns"]
    assert answer == {"label": ["a_won", "b_won", "tie_won"]}
    assert shares(data, answer) == [1, 0, 0.5, None, None, 1]
    told = (
        "p.jsonl: a 1 in a_won means response_a, in b_won means response_b, in tie_won means a tie, as `columns` says"
    )
    assert survey(data, answer, "p.jsonl").says == (told,)


@pytest.mark.parametrize(
    ("labels", "columns", "words"),
    [
        ([0, 1, 2], {"first": 1}, "{label: label, first: 1, second: 2, tie: 0}"),
        (
            ["A", "B"],
            {"scale": "signed"},
            "`scale: signed` is for numbers, and the label's column label holds a (1), b (1)",
        ),
        (
            [0.5, 85],
            {"scale": "share"},
            "`scale: share` is for numbers from 0 to 1, and the label's column label holds 0.5 (1), 85 (1)",
        ),
    ],
)
def test_what_a_recipe_says_has_to_fit(labels: list[Any], columns: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        survey(rows(labels), {"label": "label", **columns}, "p.jsonl")
    assert words in str(error.value)


def test_number_words_are_read_by_the_whole_file() -> None:
    """model_1 is the second of response_0 and response_1, unless there is a model_2."""
    zero = {"a": "response_0", "b": "response_1"}
    assert shares(rows(["model_1", "model_0"], **zero), {}) == [0, 1]
    with pytest.raises(UserError, match="model_2"):
        survey(rows(["model_1", "model_2"], **zero), {})


def test_a_front_part_is_read_by_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows([1] * 10 + [0] * 10)))
    with pytest.raises(UserError, match=r"1 \(10\), 0 \(10\)"):
        list(read(Pairs(path=str(path), limit=10)))
    account = Account(str(path))
    pairs = list(read(Pairs(path=str(path), limit=10, columns={"first": 0}), account))
    assert all(
        isinstance(each, Pair) and (each.a if each.people == (1,) else each.b).text == "Second." for each in pairs
    )
    assert account.labels == ("p.jsonl: label 0 means answer_a, 1 means answer_b, as `columns` says",)
    assert "; label 0 means answer_a" in account.sentence() and "  labels: label 0 means answer_a" in "\n".join(
        account.lines()
    )


@pytest.mark.parametrize(
    ("row", "columns", "words"),
    [
        ({"chosen": "x", "rejected": "y"}, {"first": 1}, "first under `columns` is for one label's values"),
        ({"chosen": "x", "rejected": "y", "vote": 1}, {"label": "vote"}, "and so does vote; name the answers, a and b"),
        ({"a": "x", "b": "y", "vote": 1}, {"label": "votes"}, "no pairs in the columns a, b, vote"),
    ],
)
def test_what_is_said_of_labels_is_never_left_unread(row: dict[str, Any], columns: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        survey([row], columns, "p.jsonl")
    assert words in str(error.value)


def test_another_column_may_be_the_label() -> None:
    row = {"prompt": "How?", "answer_a": "x", "answer_b": "y", "label": 1, "winner": "model_a"}
    with pytest.raises(UserError, match=r"or name another column of these, if it is the label: winner$"):
        survey([row], {}, "p.jsonl")
    assert [each.people for each in comparisons(row, survey([row], {"label": "winner"}))] == [(1,)]


def test_a_strength_has_no_sign_beside_a_winner() -> None:
    row = {
        "prompt": "How?",
        "response_1": "Good.",
        "response_2": "Bad.",
        "winner": "response_1",
        "preference_strength": 3,
    }
    assert [each.people for each in comparisons(row, survey([row], {}))] == [(1,)]


def test_chosen_can_be_the_worse() -> None:
    row = {"prompt": "How?", "chosen": "Bad.", "rejected": "Good."}
    seen = survey([row], {"means": "worse"}, "p.jsonl")
    assert [each.people for each in comparisons(row, seen)] == [(0.0,)]
    assert seen.says == (
        "p.jsonl: what a label or a column names as the better answer is read as the worse, as `means` says",
    )


ODD = (
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    0.5,
    1e9,
    10**30,
    10**5000,
    -(10**400),
    float("nan"),
    float("inf"),
    "",
    "1",
    "1.0",
    "A",
    "b",
)
MORE = (
    "tie",
    "yes",
    "answer_a",
    "First.",
    "\ud83d",
    "x" * 5000,
    [],
    [1],
    ["A", "B"],
    [["A"]],
    {"winner": "A"},
    b"a",
    "nan",
    "[[A]]",
)


def test_odd_labels_are_labels_only_where_it_was_said_what_they_mean() -> None:
    """Seeded: a question, or rows of which each label has a meaning in its words; never a traceback."""
    means = {"A": 1, "answer_a": 1, "[[A]]": 1, "First.": 1, "b": 0, "B": 0, "tie": 0.5}
    draw, asked, read_rows = random.Random(7), 0, 0
    for _ in range(600):
        labels = [draw.choice((*ODD, *MORE)) for _ in range(draw.randint(1, 6))]
        data = rows(labels)
        try:
            seen = survey(data, {}, "p.jsonl")
        except UserError as error:
            asked += 1
            str(error).encode()
            continue
        for row in data:
            try:
                [pair] = comparisons(row, seen)
            except Unusable:
                continue
            told = row["label"] if isinstance(row["label"], list) else [row["label"]]
            assert pair.people == tuple(means[each] for each in told)
            read_rows += 1
    assert asked > 300 and read_rows > 50
