"""Judges who compared the same answers: how far they agree, one by one and together."""

import pytest

from cai.judge.panel import fleiss, panel_agreement
from cai.judge.settings import Judging
from cai.judge.wins import judged_wins
from cai.store.rows import Draft, Pair, Preference, Vote

ASKED = ({"role": "user", "content": "Hi"},)
LABEL = Judging()


def preference(
    votes: list[Vote], status: str = "ok", p_a: float | None = 0.2, tags: tuple[str, ...] = ()
) -> Preference:
    pair = Pair("p", "p", ASKED, Draft("a", "m", "stop", 0), Draft("b", "m", "stop", 0), "redteam", tags)
    return Preference("p", pair, tuple(votes), p_a, None, status)  # type: ignore[arg-type]


def vote(model: str, p_a: float, principle: str = "kind", order: str = "ab") -> Vote:
    return Vote(principle, order, "logprob", model, 0, "ok", p_a)


def test_agreement_counts_what_every_judge_decided() -> None:
    rows = [
        preference([vote("one", 0.9), vote("two", 0.8)]),
        preference([vote("one", 0.9), vote("two", 0.1)]),
        preference([vote("one", 0.2), vote("two", 0.1)]),
        preference([vote("one", 0.9), vote("two", 0.5)]),
    ]
    of = panel_agreement(rows, LABEL)
    assert of is not None and (of["both"], of["same"]) == (3, 2)
    assert of["low"] < 2 / 3 < of["high"]
    assert "agreement" in judged_wins(rows, (), LABEL)


def test_one_judge_has_nobody_to_agree_with() -> None:
    assert panel_agreement([preference([vote("one", 0.9), vote("one", 0.8, order="ba")])], LABEL) is None


def test_a_judge_whose_orders_disagree_decided_nothing() -> None:
    votes = [vote("one", 0.9), vote("one", 0.1, order="ba"), vote("two", 0.9)]
    of = panel_agreement([preference(votes)], LABEL)
    assert of is not None and (of["both"], of["rate"], of["kappa"]) == (0, None, None)


def test_kappa_is_agreement_beyond_chance() -> None:
    """Two judges, 8 of 10 alike, each answer the winner in half of their verdicts: chance alone gives one half."""
    assert fleiss([[True, True]] * 4 + [[False, False]] * 4 + [[True, False]] * 2) == pytest.approx((0.8 - 0.5) / 0.5)


@pytest.mark.slow
def test_kappa_is_the_library_s() -> None:
    from statsmodels.stats.inter_rater import fleiss_kappa

    verdicts = [
        [True, True, False],
        [True, True, True],
        [False, False, True],
        [False, False, False],
        [True, False, True],
    ]
    table = [[sum(each), 3 - sum(each)] for each in verdicts]
    assert fleiss(verdicts) == pytest.approx(fleiss_kappa(table))
    assert fleiss([[True, True], [True, True]]) is None


def test_wins_are_told_under_each_principle_alone_and_in_each_category() -> None:
    both = [vote("one", 0.1, "kind"), vote("one", 0.9, "true"), vote("one", 0.2, "kind", "ba")]
    wins = judged_wins([preference(both, p_a=0.3, tags=("weapons", "fire")), preference([], "error", None)], (), LABEL)
    principles, categories = wins.get("principles"), wins.get("categories")
    assert principles is not None and categories is not None
    assert (principles["kind"]["won"], principles["kind"]["decided"]) == (1, 1)
    assert (principles["true"]["won"], principles["true"]["decided"]) == (0, 1)
    assert {key: each["compared"] for key, each in categories.items()} == {"weapons": 1, "fire": 1}
