"""Votes → one probability: orders, principles, judges, and what is never a label."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cai.flow.ask import Ask
from cai.judge.calibration import fit
from cai.judge.settle import judge_outcome, principle_outcome, settle
from cai.judge.statistics import sigmoid
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Request
from cai.stages.label import Label, label
from cai.store.rows import Draft, Pair, Preference, Vote
from constitution.load import load

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
WANT = Label(model="judge", method="logprob", tie=0.0)


def vote(p_a: float | None, order: str = "ab", status: str = "ok") -> Vote:
    return Vote("p", order, "logprob", "m", 0, status, p_a)  # type: ignore[arg-type]


def both(straight: float, turned: float) -> list[Vote]:
    return [vote(straight), vote(turned, "ba")]


@pytest.mark.parametrize(
    ("orders", "want", "status"),
    [
        ((0.9, 0.7), WANT, "ok"),
        ((0.9, 0.4), WANT, "inconsistent"),
        ((0.9, 0.4), Label(model="judge", disagree="average"), "ok"),
        ((0.99, 0.55), WANT, "ok"),
        ((0.99, 0.55), Label(model="judge", apart=0.4), "inconsistent"),
        ((0.505, 0.495), WANT, "inconsistent"),
        ((0.505, 0.495), Label(model="judge", tie=0.01), "tie"),
        ((0.5, 0.9), WANT, "ok"),
    ],
)
def test_what_orders_give_together(orders: tuple[float, float], want: Label, status: str) -> None:
    found, p_a = principle_outcome(both(*orders), want)
    assert found == status
    assert p_a == pytest.approx(sum(orders) / 2)


def test_a_liking_for_a_position_cancels_out_in_the_mean_of_logits() -> None:
    believes, likes = 0.8, 1.5
    straight, turned = sigmoid(believes + likes), sigmoid(believes - likes)
    want = Label(model="judge", mean="logits", disagree="average", tie=0.0)
    assert principle_outcome(both(straight, turned), want) == ("ok", pytest.approx(sigmoid(believes)))


def test_an_order_that_could_not_be_read_settles_nothing() -> None:
    assert principle_outcome([vote(0.9), vote(None, "ba", "truncated")], WANT) == ("truncated", None)


@pytest.mark.parametrize(
    ("combine", "said", "p_a"),
    [
        ("average", (0.8, 0.1, 0.9), 0.6),
        ("minimum", (0.8, 0.6, 0.7), 0.6),
        ("minimum", (0.2, 0.4, 0.1), 0.4),
        ("strongest", (0.8, 0.05, 0.9), 0.05),
    ],
)
def test_several_principles(combine: str, said: tuple[float, ...], p_a: float) -> None:
    want = Label(model="judge", choice="all", combine=combine, tie=0.0)
    assert judge_outcome([both(each, each) for each in said], want) == ("ok", pytest.approx(p_a))


def test_the_minimum_needs_every_principle_on_one_side() -> None:
    want = Label(model="judge", choice="all", combine="minimum", tie=0.0)
    assert judge_outcome([both(0.9, 0.9), both(0.4, 0.4)], want)[0] == "inconsistent"
    assert judge_outcome([both(0.9, 0.9), [vote(None, status="truncated")]], want)[0] == "truncated"


def test_an_average_needs_more_than_half() -> None:
    want = Label(model="judge", choice="all", tie=0.0)
    odd = both(0.9, 0.2)
    assert judge_outcome([odd, both(0.9, 0.9)], want)[0] == "inconsistent"
    assert judge_outcome([odd, both(0.9, 0.9), both(0.7, 0.7)], want) == ("ok", pytest.approx(0.8))


def test_the_strongest_principle_is_not_one_whose_orders_disagree() -> None:
    status, p_a = judge_outcome([both(0.99, 0.2), both(0.4, 0.4)], Label(model="judge", combine="strongest", tie=0.0))
    assert (status, p_a) == ("ok", 0.4)


share = st.floats(0.01, 0.99)


@example([(0.5, 0.75), (0.9899999999999999, 0.010000000000000009)], "minimum")  # one half, but for rounding
@given(st.lists(st.tuples(share, share), min_size=1, max_size=5), st.sampled_from(["average", "minimum", "strongest"]))
def test_a_and_b_are_treated_alike(found: list[tuple[float, float]], combine: str) -> None:
    want = Label(model="judge", combine=combine, disagree="average", tie=0.0)
    _, p_a = judge_outcome([both(*each) for each in found], want)
    _, p_b = judge_outcome([both(1 - turned, 1 - straight) for straight, turned in found], want)
    distances = sorted(abs(sum(each) / 2 - 0.5) for each in found)
    if combine != "strongest" or len(found) == 1 or distances[-1] - distances[-2] > 1e-9:
        assert p_a == pytest.approx(1 - (p_b or 0))


def test_a_panel_is_averaged_by_weight_and_who_contradicts_itself_abstains() -> None:
    want = Label(method="logprob", panel={"big": 3, "small": 1}, tie=0.0)
    said = [("big", [both(0.8, 0.8)]), ("small", [both(0.4, 0.4)])]
    assert settle(said, want) == ("ok", pytest.approx(0.7), None)
    said[1] = ("small", [[vote(None, status="refused")]])
    assert settle(said, want) == ("ok", pytest.approx(0.8), None)
    said = [("big", [both(0.9, 0.1)]), ("small", [both(0.4, 0.4)])]
    assert settle(said, want)[0] == "inconsistent"  # most of the weight contradicts itself


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_a_judge_that_knows_nothing_is_calibrated_to_ties(kind: str) -> None:
    said = [0.2, 0.6, 0.9, 0.1] * 100
    fitted = fit(kind, said, [1.0 - round(p) for p in said])  # what it says goes against what is so
    want = Label(model="judge", method="logprob", calibration={"judge": fitted}, tie=0.01)
    for p_a in (0.2, 0.6, 0.9):
        assert settle([("judge", [both(p_a, p_a)])], want)[0] == "tie"


def test_a_calibration_moves_the_label_and_leaves_what_was_read() -> None:
    truth = [1.0] * 70 + [0.0] * 30
    fitted = fit("temperature", [0.95] * 100, truth)
    want = Label(model="judge", method="logprob", calibration={"judge": fitted})
    status, p_a, calibrated = settle([("judge", [both(0.95, 0.95)])], want)
    assert (status, p_a, calibrated) == ("ok", 0.95, pytest.approx(0.7, abs=1e-3))


class Several:
    """Rows of one pair under different ids, judged by one who always prefers the first."""

    def __init__(self, **want: object) -> None:
        self.want = Label(model="judge", method="logprob", **want)  # type: ignore[arg-type]

    def row(self, number: int) -> Preference:
        drafts = Draft("x", "m", "stop", 0), Draft("y", "m", "stop", 0)
        row = Pair(f"{number}/0", str(number), ({"role": "user", "content": "Hi"},), *drafts, "redteam")
        ask = Ask(Scripted(first), Slots(1), CONSTITUTION, row.id, Random(row.id))
        found = asyncio.run(label(row, self.want, ask))
        assert isinstance(found, list)
        return found[0]


def first(_: Request) -> dict[str, float]:
    return {"A": 0.8, "B": 0.1}


def test_one_order_is_counterbalanced_and_a_share_is_judged_in_both() -> None:
    rows = [Several(orders="one", both_share=0.2).row(number) for number in range(1000)]
    alone = Counter(row.votes[0].order for row in rows if len(row.votes) == 1)
    twice = [row for row in rows if len(row.votes) == 2]
    assert len(twice) == pytest.approx(200, abs=40)
    assert alone["ab"] == pytest.approx(alone["ba"], abs=90)
    assert {row.status for row in twice} == {"inconsistent"}


def test_under_all_principles_one_order_is_taken_in_turn() -> None:
    row = Several(orders="one", both_share=0, choice="all").row(1)
    assert Counter(vote.order for vote in row.votes) == {"ab": 9, "ba": 9}
    assert row.status == "tie"
