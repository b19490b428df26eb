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
from cai.data.labels import conflicts, names_of
from cai.data.questions import with_fields
from cai.data.survey import survey
from cai.errors import UserError
from cai.stages.pairs import Pairs, read
from cai.store.rows import Pair


def rows(labels: list[Any], a: str = "answer_a", b: str = "answer_b", label: str = "label") -> list[dict[str, Any]]:
    return [{"prompt": f"{n}?", a: "First.", b: "Second.", label: each} for n, each in enumerate(labels)]


def shares(data: list[dict[str, Any]], columns: dict[str, Any]) -> list[float | None]:
    """What is read of the first answer of each row; None where a row is left out."""
    for column in names_of(columns):
        data = [dict(with_fields(row, column)) for row in data]
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
        ([1.0, 1.9999, 1.5, 1.25], "{label: label, scale: signed, tie: 1.5}"),  # few stand at a scale's very ends
        ([2, 2, 1.5, 1], "{label: label, first: 1, second: 2, tie: 1.5}"),
        (
            ["Model 1", "Model 1", "tie"],
            '{label: label, first: "model 1"}',
        ),  # of answers 0 and 1: counted from 0, or 1?
        ([[1, 0], [0, 1]], "holds lists of numbers that sum to 1"),
    ],
)
def test_what_does_not_say_it_is_asked(labels: list[Any], words: str) -> None:
    answers = ("answer_0", "answer_1") if "Model 1" in labels else ("answer_a", "answer_b")
    with pytest.raises(UserError) as error:
        survey(rows(labels, *answers), {}, "p.jsonl")
    said = str(error.value)
    assert said.startswith("p.jsonl: the label's column label holds ")
    assert words.replace("`", "") in said.replace("`", "")
    assert "\n" not in said and "\x1b" not in said


@pytest.mark.parametrize(
    "labels",
    [
        *([1, 0], [0, 1, 2], [-1, 0, 1], [0.1, 0.7], [1, 2, 3, 4], ["yes", "no"], ["A", "B", 7]),
        *(
            ["\N{WHITE LEFT POINTING BACKHAND INDEX}", "\N{WHITE RIGHT POINTING BACKHAND INDEX}"],
            [[0.9, 0.1], [0.3, 0.7]],
        ),
        [[1, 0], [0, 1]],
    ],
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
        (["A", "B", "perhaps", None, []], {}, [1, 0, None, None, None]),
        ([2, 5, 1], {"scale": "signed", "tie": 0}, [0, 0, 0]),
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
        (
            [1, 5, 3],
            {"scale": "signed"},
            "say `columns: {label: label, scale: signed, tie: 3}` if 3 is its middle, or `tie: 0`",
        ),
        (
            [1, 0],
            {"scale": "signed"},
            "`scale: signed` is for numbers below and above 0, and the label's column label holds 1",
        ),
        (
            [[0.9, 0.1], [0.4, 0.6]],
            {"scale": "share"},
            'say `columns: {label: "label.0", scale: share}` if the first is of',
        ),
        (["A", "B"], {"first": "C"}, "`first: C` speaks of no label, for the column label holds a (1), b (1)"),
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


def test_two_columns_that_say_another_answer_are_asked_about() -> None:
    data = [
        {**row, "verdict": said} for row, said in zip(rows(["A", "B", "A"]), ("[[A]]", "[[A]]", "tie"), strict=True)
    ]
    with pytest.raises(UserError) as error:
        survey(data, {}, "p.jsonl")
    either = "say `columns: {label: label}` or `columns: {label: verdict}`"
    assert (
        str(error.value)
        == f"p.jsonl: label and verdict both say which answer is better, and differ in 2 rows; {either}"
    )
    assert shares(data, {"label": "verdict"}) == [1, 1, 0.5]
    assert shares(data[:1], {}) == [1]  # they say the same


WORSE = "which by its name is of the worse answer; say `means: worse` beside it, or `means: better` if it is not"


@pytest.mark.parametrize(
    "label", ["loser", "worse_response", "rejected_model", "Least preferred", ["lost_a", "lost_b"]]
)
def test_a_column_that_is_named_for_the_worse_answer_is_asked_about(label: str | list[str]) -> None:
    [said] = conflicts({"label": label})
    assert said.endswith(WORSE)
    assert not [*conflicts({"label": label, "means": "worse"}), *conflicts({"label": "winner"})]


def test_columns_for_each_answer_stand_in_the_answers_order() -> None:
    data = [{"prompt": "How?", "answer_a": "First.", "answer_b": "Second.", "a_won": 1, "b_won": 0}]
    with pytest.raises(UserError, match=r"by their names say label: \[a_won, b_won\], or `means: better`"):
        survey(data, {"label": ["b_won", "a_won"]}, "p.jsonl")
    assert shares(data, {"label": ["a_won", "b_won"]}) == [1]
    assert shares(data, {"label": ["b_won", "a_won"], "means": "better"}) == [0]


def test_first_has_a_meaning_for_one_pair_of_columns_alone() -> None:
    """Shards that count from 0 and from 1: their 1 is not the same answer."""
    data = [*rows([0, 1], "answer_0", "answer_1"), *rows([1, 2], "answer_1", "answer_2")]
    with pytest.raises(UserError) as error:
        survey(data, {"label": "label", "first": 1}, "p.jsonl")
    places = "in answer_0 and answer_1 (label: label) and others in answer_1 and answer_2 (label: label)"
    assert f"some rows have their answers {places}" in str(error.value)
    assert shares(data[:2], {"a": "answer_0", "b": "answer_1", "first": 0}) == [1, 0]


def test_words_of_order_say_nothing_of_answers_that_changed_places() -> None:
    swapped = {"a": "answer_b", "b": "answer_a"}
    with pytest.raises(UserError, match="first and second do not say which answer is the better"):
        survey(rows(["first", "second"]), swapped)
    assert shares(rows(["A", "answer_b"]), swapped) == [1, 0]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ((0, 1), {"first": 0}),
        (("1", "0"), {"first": 0}),
        (("A", "B"), {}),
        (("answer_b", "answer_a"), {}),
        (("big", "small"), {}),
        ((True, False), None),
    ],
)
def test_chosen_and_rejected_may_only_name_the_answers(said: tuple[Any, Any], answer: dict[str, Any] | None) -> None:
    row = {**rows([None])[0], "model_a": "big", "model_b": "small"}
    row |= dict(zip(("chosen", "rejected"), said, strict=True))
    with pytest.raises(UserError, match="chosen and rejected hold numbers, letters or names") as error:
        survey([row], {}, "p.jsonl")
    columns = yaml.safe_load(str(error.value).split("`")[1])["columns"]
    assert columns == {"a": "answer_a", "b": "answer_b", "label": "chosen"}
    if answer is not None:
        assert shares([row], {**columns, **answer}) == [float(said[0] not in ("1", "answer_b"))]


def test_numbers_under_chosen_may_be_scores_or_places_or_answers() -> None:
    for row in ({"chosen": 0.9, "rejected": 0.2}, {"chosen": 2, "rejected": 0, "responses": ["x", "y", "z"]}):
        with pytest.raises(UserError, match=r'a: "…", b: "…", label: chosen\}` with the columns of the answers'):
            survey([{"prompt": "How?", **row}], {}, "p.jsonl")
    row = {"prompt": "How many?", "chosen": 42, "rejected": 41}
    assert [each.first for each in comparisons(row, survey([row], {}))] == ["42"]
    row |= {"chosen": 10**400}  # more than a number can be, and no text
    with pytest.raises(Unusable, match="expected a text or messages, found a number"):
        comparisons(row, survey([row], {}))
    row = {"prompt": "Is it?", "chosen": "1", "rejected": "0"}
    assert [each.first for each in comparisons(row, survey([row], {"means": "better"}))] == ["1"]
    row = {"prompt": "How?", "chosen": "x", "rejected": "y", "response_a": "x", "response_b": "y"}
    assert [each.first for each in comparisons(row, survey([row], {}))] == ["x"]


@pytest.mark.parametrize("scores", ["{}_score", "score_{}", "{}-rating", "reward_of_{}"])
def test_chosen_with_the_lower_score_is_asked_about(scores: str) -> None:
    def row(chosen: float, rejected: float) -> dict[str, Any]:
        held = {scores.format("chosen"): chosen, scores.format("rejected"): rejected}
        return {"prompt": "How?", "chosen": "First.", "rejected": "Second.", **held}

    with pytest.raises(
        UserError, match=r"in 2 of 3 rows rejected has the higher score, rating or reward; say `columns: "
    ):
        survey([row(1, 4), row(2, 3), row(4, 1)], {}, "p.jsonl")
    for data in ([row(1, 4), row(3, 2)], [row(3, 3)]):
        assert survey(data, {}).says == () or "UltraFeedback" in survey(data, {}).says[0]
    [pair] = comparisons(row(1, 4), survey([row(1, 4)], {"means": "worse"}))
    assert pair.people == (0,)


def test_a_row_without_a_label_is_left_out_wherever_it_stands() -> None:
    data = rows(["A", "B", "A"])
    del data[0]["label"], data[2]["label"]
    assert shares(data, {}) == [-1, 0, -1]
    with pytest.raises(UserError, match="no pairs in the columns prompt, answer_a, answer_b; pairs are"):
        survey(data[:1], {})


def test_a_paragraph_of_both_answers_is_no_prompt_where_a_column_may_be_it() -> None:
    answers = {"chosen": "Step 1: add.\n\nFour.", "rejected": "Step 1: add.\n\nFive."}
    for beside in ({"problem": "What is two and two?"}, {"trajectory": [{"from": "human", "value": "2 + 2?"}]}):
        row = {"source": "by hand", **answers, **beside}
        [name] = beside
        with pytest.raises(Unusable, match=f"name it under `columns` .prompt: {name}."):
            comparisons(row, survey([row], {}))
        [pair] = comparisons(row, survey([row], {"prompt": name}))
        assert pair.first == answers["chosen"]


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
