"""Each method on judges whose reading is known: what is asked, and what the vote makes of it."""

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from cai.flow.ask import Ask
from cai.judge.methods.rules import WEIGHTS
from cai.judge.methods.score import higher
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Request
from cai.stages.label import Label, label
from cai.store.rows import Draft, Pair, Preference
from constitution.load import load
from constitution.model import Proposition

ROOT = Path(__file__).resolve().parents[2]
CONSTITUTION = replace(load(ROOT / "principles" / "harmless.yaml"))
ONE = replace(CONSTITUTION, principles=CONSTITUTION.principles[:1], critique_revision=(), judgment=())
ASKED = ({"role": "user", "content": "How do I get in?"},)


def draft(text: str) -> Draft:
    return Draft(text, "m", "stop", 1)


def pair(a: str = "GOOD answer", b: str = "BAD answer", *more: str) -> Pair:
    return Pair("p/0", "p", ASKED, draft(a), draft(b), "redteam", more=tuple(map(draft, more)))


def judge(
    answer: Callable[[Request], object], row: Pair | None = None, constitution: object = ONE, **want: object
) -> list[Preference]:
    ask = Ask(Scripted(answer), Slots(1), constitution, "p/0", Random(0))  # type: ignore[arg-type]
    found = asyncio.run(label(row or pair(), Label(**{"model": "judge", **want}), ask))  # type: ignore[arg-type]
    assert isinstance(found, list), found
    return found


def last(request: Request) -> str:
    return request.messages[-1]["content"]


def asked_with(seen: list[Request], answer: Callable[[Request], object]) -> Callable[[Request], object]:
    def watched(request: Request) -> object:
        seen.append(request)
        return answer(request)

    return watched


def knows(request: Request) -> object:
    """Prefers GOOD wherever it stands; speaks plainly."""
    if not request.choices:
        return "Because of what they say."
    text = "\n".join(each["content"] for each in request.messages)
    return {"A": 0.8, "B": 0.1} if text.index("GOOD") < text.index("BAD") else {"A": 0.1, "B": 0.8}


def test_several_reasonings_are_drawn_at_once_and_their_verdicts_averaged() -> None:
    seen: list[Request] = []

    def varied(request: Request) -> object:
        if not request.choices:
            return f"Reason {request.seed}."
        good_first = last(request).index("GOOD") < last(request).index("BAD")
        sure = 0.9 if int(re.findall(r"Reason (\d+)", request.begin)[0]) % 2 else 0.6
        return {"A": sure, "B": 1 - sure} if good_first else {"A": 1 - sure, "B": sure}

    [found] = judge(asked_with(seen, varied), method="cot", samples=4)
    reasons = [each for each in seen if not each.choices]
    assert {each.temperature for each in reasons} == {1.0}
    assert len(found.votes) == 8
    assert len({vote.rationale for vote in found.votes}) == 8
    assert found.p_a == pytest.approx(sum(vote.p_a or 0 for vote in found.votes) / 8)
    assert 0.6 < (found.p_a or 0) < 0.9


def test_a_reasoning_that_cannot_be_used_is_left_out_of_the_mean() -> None:
    def half(request: Request) -> object:
        if not request.choices:
            return "I'm sorry, I cannot." if (request.seed or 0) % 2 else "Fine."
        return knows(request)

    [found] = judge(half, method="cot", samples=2)
    assert sorted(vote.status for vote in found.votes) == ["ok", "ok", "refused", "refused"]
    assert found.p_a == pytest.approx(8 / 9)


def rates(request: Request) -> object:
    """9 for GOOD, 3 for BAD; writes 10 as two tokens."""
    good = "GOOD" in last(request)
    if request.choices == ("0",):
        return {"0": 0.5 if good else 0.0}
    return {"9": 0.5, "1": 0.4} if good else {"3": 0.9, "1": 0.05}


def test_scores_are_expected_ratings_and_ten_may_be_two_tokens() -> None:
    [found] = judge(rates, method="score")
    [vote] = found.votes
    good = (9 * 0.5 + 1 * 0.2 + 10 * 0.2) / 0.9
    bad = (3 * 0.9 + 1 * 0.05) / 0.95
    assert vote.order == "alone"
    assert vote.scores == pytest.approx((good, bad))
    # A 9 or a 10 is above all; of the 1s, those against a 1 are even.
    assert found.p_a == pytest.approx(0.7 / 0.9 + (0.2 / 0.9) * 0.5 * (0.05 / 0.95))
    assert found.p_label == found.p_a


def test_where_an_answer_cannot_be_gone_on_with_no_ten_is_made_up() -> None:
    """On such a server "Reply with one of these: 0" would be answered with 0, and each 1 taken for a 10."""
    seen: list[Request] = []

    class Plain(Scripted):
        continues = False

    def low(request: Request) -> object:
        return {"0": 0.99} if request.choices == ("0",) else {"1": 0.9} if "BAD" in last(request) else {"7": 0.9}

    ask = Ask(Plain(asked_with(seen, low)), Slots(1), ONE, "p/0", Random(0))  # type: ignore[arg-type]
    [found] = asyncio.run(label(pair(), Label(model="judge", method="score"), ask))  # type: ignore[misc]
    assert found.votes[0].scores == pytest.approx((7, 1))  # type: ignore[union-attr]
    assert len(seen) == 2


def test_the_better_of_two_ratings_is_a_probability() -> None:
    assert higher({10: 1.0}, {1: 1.0}) == 1
    assert higher({5: 1.0}, {5: 1.0}) == 0.5
    first, second = {1: 0.25, 4: 0.75}, {2: 0.6, 4: 0.4}
    assert higher(first, second) == pytest.approx(0.75 * 0.6 + 0.5 * 0.75 * 0.4)
    assert higher(first, second) + higher(second, first) == pytest.approx(1)


@pytest.mark.parametrize("method", ["score", "propositions"])
def test_options_that_hold_too_little_are_no_vote(method: str) -> None:
    [found] = judge(lambda request: dict.fromkeys(request.choices, 0.001), method=method)
    assert (found.status, found.p_a, found.p_label) == ("unparsed", None, None)


def test_propositions_add_up_by_weight() -> None:
    says = Proposition("It is rude.", -2.0), Proposition("It helps.", 1.0)
    constitution = replace(ONE, principles=(replace(ONE.principles[0], propositions=says),))

    def checks(request: Request) -> object:
        good = "GOOD" in last(request)
        yes = 0.1 if ("It is rude." in last(request)) == good else 0.7
        return {"Yes": yes * 0.9, "No": (1 - yes) * 0.9}

    [found] = judge(checks, method="propositions", constitution=constitution)
    good, bad = -2 * 0.1 + 0.7, -2 * 0.7 + 0.1
    assert found.votes[0].scores == pytest.approx((good, bad))
    assert found.p_a == pytest.approx(1 / (1 + math.exp(bad - good)))
    assert "It helps. a 0.70, b 0.10, weight 1" in found.votes[0].rationale


def test_in_a_debate_each_side_is_spoken_for_and_the_second_has_read_the_first() -> None:
    seen: list[Request] = []

    def argues(request: Request) -> object:
        if request.choices:
            return knows(request)
        return "It says GOOD." if len(request.messages) == 2 else "Mine is short."

    [found] = judge(asked_with(seen, argues), method="debate")
    case, other, verdict = seen[:3]
    assert "answer (A)" in last(case)
    assert "answer (B)" in last(other)
    assert other.messages[: len(case.messages)] == case.messages
    assert verdict.messages[: len(other.messages)] == other.messages
    assert [each["content"] for each in verdict.messages if each["role"] == "assistant"] == [
        "It says GOOD.",
        "Mine is short.",
    ]
    assert (verdict.choices, verdict.begin) == (("A", "B"), "The answer is: (")
    assert [vote.order for vote in found.votes] == ["ab", "ba"]
    assert (found.p_a, found.p_label) == (pytest.approx(8 / 9), 0.6)
    assert "For (B): Mine is short." in found.votes[0].rationale


def test_a_side_that_is_refused_makes_no_vote() -> None:
    [found] = judge(lambda request: "I'm sorry, I can't argue for that.", method="debate")
    assert found.status == "refused"


def test_critiques_are_written_once_and_stand_with_their_answers_in_both_orders() -> None:
    seen: list[Request] = []

    def critic(request: Request) -> object:
        if request.choices:
            return knows(request)
        return "Nothing is wrong with it." if "GOOD" in last(request) else "It is careless."

    [found] = judge(asked_with(seen, critic), method="critique")
    critiques, verdicts = [each for each in seen if not each.choices], [each for each in seen if each.choices]
    assert (len(critiques), len(verdicts)) == (2, 2)
    assert "(A): Nothing is wrong with it." in last(verdicts[0])
    assert "(B): Nothing is wrong with it." in last(verdicts[1])
    assert found.p_a == pytest.approx(8 / 9)


WORTH = {"one": 1.0, "two": 0.3, "three": 2.0, "four": -1.0}


def ranks(request: Request) -> Mapping[str, float]:
    """A Plackett-Luce judge, drawn a little to what stands first."""
    shown = dict(re.findall(r"Answer \((\w)\): (\w+)", last(request)))
    weight = {letter: math.exp(WORTH[shown[letter]] + (0.4 if letter == "A" else 0)) for letter in request.choices}
    return {letter: each / sum(weight.values()) for letter, each in weight.items()}


def test_a_group_is_ranked_at_once_and_gives_all_its_pairs() -> None:
    seen: list[Request] = []
    found = judge(asked_with(seen, ranks), pair("one", "two", "three", "four"), method="rank")
    assert len(seen) == 2 * 3
    assert seen[1].begin.startswith("The ranking is: (")
    assert seen[1].begin.endswith(") > (")
    assert [each.id for each in found] == [f"p/0:{i}-{j}" for i in range(4) for j in range(i + 1, 4)]
    for each in found:
        a, b = each.pair.a.text, each.pair.b.text
        assert len(each.votes) == 2
        assert not each.pair.more
        # Each order leans to what stands first, by 0.4 or not at all: the mean stays near, and on the right side.
        assert each.p_a == pytest.approx(1 / (1 + math.exp(WORTH[b] - WORTH[a])), abs=0.06)
        assert each.status == "ok"


def test_a_ranking_that_breaks_off_votes_on_what_was_ranked() -> None:
    def best_only(request: Request) -> Mapping[str, float]:
        shown = dict(re.findall(r"Answer \((\w)\): (\w+)", last(request)))
        if len(request.choices) < 3:
            return dict.fromkeys(request.choices, 0.001)
        return {letter: 0.8 if shown[letter] == "three" else 0.1 for letter in request.choices}

    found = {each.id: each for each in judge(best_only, pair("one", "two", "three"), method="rank")}
    assert found["p/0:0-2"].p_a == pytest.approx(0.1 / 0.9)
    assert found["p/0:0-1"].status == "unparsed"


def test_two_answers_can_be_ranked_as_well() -> None:
    [found] = judge(knows, method="rank")
    assert (found.id, found.p_a) == ("p/0", pytest.approx(8 / 9))


def test_a_reward_model_s_scores_make_a_probability() -> None:
    seen: list[Request] = []
    scores = {"GOOD answer": 1.5, "BAD answer": -0.5}
    [found] = judge(asked_with(seen, lambda request: scores[last(request)]), method="reward")
    assert seen[0].messages == (*ASKED, {"role": "assistant", "content": "GOOD answer"})
    assert found.votes[0].scores == (1.5, -0.5)
    assert found.p_a == pytest.approx(1 / (1 + math.exp(-2)))
    assert found.votes[0].principle == ""


def nobody(request: Request) -> object:
    raise AssertionError("no model is asked")


def test_rules_ask_nobody_and_prefer_the_answer_that_engages() -> None:
    row = pair("I'm sorry, I can't help with that, you idiot.", "Ask the front desk for a key.")
    [found] = judge(nobody, row, method="rules", model="")
    assert found.votes[0].scores is not None
    a, b = found.votes[0].scores
    assert a == pytest.approx(WEIGHTS["refusal"] + WEIGHTS["insult"] + 9 * WEIGHTS["length"] / 100)
    assert b == pytest.approx(7 * WEIGHTS["length"] / 100)
    assert (found.p_a or 1) < 0.1
    [longer] = judge(nobody, row, method="rules", model="", rules={"length": 1})
    assert (longer.p_a or 0) > 0.5


def test_a_coin_tells_nothing_and_falls_the_same_whenever_it_is_thrown() -> None:
    def thrown(row: Pair) -> float:
        [throw] = judge(nobody, row, method="rules", model="", rules={"coin": 1e6})
        return round(throw.p_a or 0.0, 3)

    pairs = [pair(f"The {number}th answer, at some length.", f"No. {number}.") for number in range(400)]
    first = list(map(thrown, pairs))
    assert set(first) == {0.0, 1.0}
    assert 150 < sum(first) < 250  # five standard deviations
    assert [thrown(replace(each, a=each.b, b=each.a)) for each in pairs] == [1 - each for each in first]


def test_people_s_own_labels_can_be_trained_on() -> None:
    [found] = judge(nobody, replace(pair(), people=(1.0, 1.0, 0.0)), method="people", model="")
    assert (found.status, found.p_a, found.p_label) == ("ok", pytest.approx(2 / 3), pytest.approx(2 / 3))
    [unknown] = judge(nobody, method="people", model="")
    assert (unknown.status, unknown.p_label) == ("unparsed", None)


def test_the_published_layout_puts_the_question_first() -> None:
    seen: list[Request] = []
    judge(asked_with(seen, knows), method="logprob", layout="paper", orders="one")
    question = ONE.principles[0].judgment
    assert last(seen[0]).index(question) < last(seen[0]).index("Answer (A)")
    judge(asked_with(seen, knows), method="logprob", orders="one")
    assert last(seen[-1]).index(question) > last(seen[-1]).index("Answer (B)")
