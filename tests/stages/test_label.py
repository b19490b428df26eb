"""Preferences: votes, orders and what never becomes a label."""

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from cai.flow.ask import Ask
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Request
from cai.stages.label import Label, label
from cai.store.rows import Draft, Pair, Preference
from constitution.load import load

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
PAIR = Pair(
    "p/0",
    "p",
    ({"role": "user", "content": "Hi"},),
    Draft("GOOD", "m", "stop", 1),
    Draft("BAD", "m", "stop", 2),
    "redteam",
)


def judged(answer, **want: object) -> Preference:  # type: ignore[no-untyped-def]
    model = Scripted(answer)
    ask = Ask(model, Slots(1), CONSTITUTION, PAIR.id, Random(0))
    found = asyncio.run(label(PAIR, Label(model="judge", **want), ask))  # type: ignore[arg-type]
    assert isinstance(found, list)
    [preference] = found
    return preference


def oracle(request: Request) -> str | Mapping[str, float]:
    """Knows the better answer wherever it stands."""
    if not request.choices:
        return "The one that says GOOD is better."
    good_first = request.messages[-1]["content"].index("GOOD") < request.messages[-1]["content"].index("BAD")
    return {"A": 0.8, "B": 0.1} if good_first else {"A": 0.1, "B": 0.8}


def biased(request: Request) -> str | Mapping[str, float]:
    """Always prefers the first."""
    return {"A": 0.7, "B": 0.2} if request.choices else "The first."


def test_both_orders_find_the_better_answer() -> None:
    row = judged(oracle, method="logprob")
    assert row.status == "ok"
    assert [vote.order for vote in row.votes] == ["ab", "ba"]
    assert row.p_a == pytest.approx(8 / 9)
    assert row.p_label == row.p_a


def test_chain_of_thought_is_clamped_and_keeps_its_reasons() -> None:
    row = judged(oracle, method="cot")
    assert row.p_a == pytest.approx(8 / 9)
    assert row.p_label == 0.6
    assert row.votes[0].rationale == "The one that says GOOD is better."


def test_the_verdict_follows_the_reasoning_after_the_forced_beginning() -> None:
    seen: list[Request] = []

    def watch(request: Request) -> str | Mapping[str, float]:
        seen.append(request)
        return oracle(request)

    judged(watch, method="cot", orders="one", both_share=0)
    reason, verdict = seen
    assert verdict.messages == reason.messages
    assert verdict.begin == "The one that says GOOD is better.\n\nThe answer is: ("
    assert reason.temperature == 0.0


def test_a_biased_judge_never_labels() -> None:
    row = judged(biased, method="logprob")
    assert (row.status, row.p_label) == ("inconsistent", None)
    averaged = judged(biased, method="logprob", disagree="average")
    assert (averaged.status, averaged.p_label) == ("tie", None)


def test_one_order_is_drawn_and_read_the_right_way_round() -> None:
    row = judged(oracle, method="logprob", orders="one", both_share=0)
    assert len(row.votes) == 1
    assert row.p_a == pytest.approx(8 / 9)


@pytest.mark.parametrize(
    ("said", "probabilities", "status"),
    [
        ("I'm sorry, I cannot judge this.", {"A": 0.9}, "refused"),
        ("", {"A": 0.01, "B": 0.02}, "unparsed"),
        ("Reasons.", {"A": 0.01, "B": 0.02}, "unparsed"),
    ],
)
def test_what_cannot_be_read_is_counted_not_guessed(said: str, probabilities: dict[str, float], status: str) -> None:
    row = judged(lambda request: probabilities if request.choices else said, method="cot")
    assert (row.status, row.p_a, row.p_label) == (status, None, None)


def test_a_verdict_that_is_given_at_once_is_read_and_counted() -> None:
    model = Scripted(lambda request: oracle(request) if request.choices else "")
    ask = Ask(model, Slots(1), CONSTITUTION, PAIR.id, Random(0))
    outcome = asyncio.run(label(PAIR, Label(model="judge", method="cot", clamp=None), ask))
    assert isinstance(outcome, list)
    [row] = outcome
    assert (row.status, {vote.rationale for vote in row.votes}, row.p_a) == ("ok", {""}, pytest.approx(8 / 9))
    assert ask.counts["verdicts_without_reasoning"] == 2


def test_mass_is_kept_with_the_vote() -> None:
    row = judged(oracle, method="logprob")
    assert row.votes[0].answer_mass is not None
    assert math.isclose(row.votes[0].answer_mass, 0.9)
