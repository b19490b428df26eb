"""The headline: never more than the intervals allow, never without how good the judge is."""

import random
from typing import Any, cast

import pytest

from cai.judge.exam_result import ExamResult
from cai.judge.statistics import wilson
from cai.report.headline import Match, finding, judge_clause, lines, sentence
from cai.store.ledger import Wins


def wins(won: int, decided: int, compared: int | None = None) -> Wins:
    low, high = wilson(won, decided)
    rate = won / decided if decided else None
    left = {"tie": compared - decided} if compared else {}
    return {
        "compared": compared or decided,
        "decided": decided,
        "won": won,
        "win_rate": rate,
        "low": low,
        "high": high,
        "undecided": left,
    }


def exam(right: int, of: int) -> ExamResult:
    low, high = wilson(right, of)
    return {
        "data": "pairs.jsonl",
        "pairs": of,
        "accuracy": {"value": right / of, "low": low, "high": high, "of": of},
        "by_track": {},
        "where": "here",
    }


def test_each_track_is_told_by_itself() -> None:
    text = sentence(
        Match("dpo", "policy", {"all": wins(220, 400), "redteam": wins(122, 200), "helpful": wins(100, 200)})
    )
    assert text == (
        "dpo is preferred to policy on red-team prompts in 61% (54–67); "
        "nothing can be told between dpo and policy on helpful prompts (50%, 43–57)"
    )


def test_a_loss_is_a_loss_and_nothing_decided_is_no_share() -> None:
    text = sentence(Match("dpo", "policy", {"redteam": wins(60, 200), "helpful": wins(0, 0, 9)}))
    assert "policy is preferred to dpo, which wins only 30% (24–37) on red-team prompts" in text
    assert "no comparison of dpo and policy was decided on helpful prompts" in text


def test_a_share_of_few_comparisons_says_of_how_many() -> None:
    assert "of the 30 of 200 comparisons that had a winner" in sentence(Match("a", "b", {"all": wins(28, 30, 200)}))
    assert "comparisons that had" not in sentence(Match("a", "b", {"all": wins(90, 100, 120)}))


@pytest.mark.parametrize("seed", range(5))
def test_no_sentence_prefers_a_model_whose_interval_holds_one_half(seed: int) -> None:
    """Whatever the counts, rounding included: 'preferred' stands exactly where the interval is on one side."""
    draw = random.Random(seed)
    for _ in range(400):
        decided = draw.randrange(0, 400)
        each = wins(draw.randint(0, decided), decided)
        text = sentence(Match("one", "two", {"all": each}))
        assert ("one is preferred to two" in text) == (decided > 0 and each["low"] > 0.5)
        assert ("two is preferred to one" in text) == (decided > 0 and each["high"] < 0.5)
        if finding(each) == "won":
            assert "(50–" not in text  # an end that rounds to one half is told to the hundredth


@pytest.mark.parametrize(
    ("marks", "own", "words"),
    [
        (None, [], "the judge has not been examined"),
        (exam(198, 300), [], "the judge is better than a coin (66% (60–71) of 300 pairs right)"),
        (
            exam(155, 300),
            [],
            "the judge is no better than a coin, or the pairs too few to tell (52% (46–57) of 300 pairs right), so nothing",
        ),
        (exam(100, 300), [], "the judge is worse than a coin"),
        (exam(198, 300), ["dpo"], "the judge judged its own answers (dpo)"),
    ],
)
def test_no_sentence_stands_without_how_good_its_judge_is(marks: ExamResult | None, own: list[str], words: str) -> None:
    assert words in judge_clause(marks, own)
    for line in lines([Match("dpo", "policy", {"all": wins(150, 200)})] * 2, marks, own):
        assert words[1:] in line


def test_a_judge_whose_exam_had_no_right_answers_is_not_examined() -> None:
    empty: Any = {"data": "d", "pairs": 0, "accuracy": {"value": None, "low": 0.0, "high": 1.0, "of": 0}}
    assert "nothing to be right about" in judge_clause(cast("ExamResult", empty), [])


def test_a_judge_that_failed_comes_before_what_it_preferred() -> None:
    [line] = lines([Match("dpo", "policy", {"all": wins(150, 200)})], exam(155, 300), [])
    assert line.startswith("The judge is no better than a coin") and line.index("nothing can be told") < line.index(
        "preferred"
    )
