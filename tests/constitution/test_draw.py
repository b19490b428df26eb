"""Principles are chosen as the recipe says, the same for the same row, and a changed constitution changes few rows."""

from collections import Counter
from random import Random

import pytest

from constitution import draw
from constitution.model import About, AppliesTo, Constitution, Principle

PLAIN = About("redteam")


def principle(name: str, **more: object) -> Principle:
    return Principle(name, name, "c", "r", **{"judgment": "j", **more})  # type: ignore[arg-type]


def constitution(*principles: Principle) -> Constitution:
    return Constitution("test", principles)


FOUR = constitution(*(principle(name, weight=weight) for name, weight in zip("abcd", (1, 1, 1, 5), strict=True)))


def drawn(there: Constitution, choice: str, rounds: int = 4, rows: int = 4000, about: About = PLAIN) -> list[str]:
    chains = (draw.for_revision(there, about, choice, rounds, Random(f"0/revise/{row}")) for row in range(rows))
    return ["".join(each.id for each in chain) for chain in chains]


def test_a_row_draws_the_same_again_and_rows_draw_differently() -> None:
    assert drawn(FOUR, "uniform", rows=50) == drawn(FOUR, "uniform", rows=50)
    assert len(set(drawn(FOUR, "uniform", rows=50))) > 30


@pytest.mark.parametrize(("choice", "shares"), [("uniform", (0.25,) * 4), ("weighted", (1 / 8, 1 / 8, 1 / 8, 5 / 8))])
def test_shares_follow_the_weights_where_asked(choice: str, shares: tuple[float, ...]) -> None:
    counts = Counter("".join(drawn(FOUR, choice)))
    for name, share in zip("abcd", shares, strict=True):
        # 16,000 draws: five standard errors of the share are below 0.02.
        assert counts[name] / counts.total() == pytest.approx(share, abs=0.02)


def test_uniform_is_with_replacement_and_distinct_is_without() -> None:
    assert any(len(set(chain)) < 4 for chain in drawn(FOUR, "uniform", rows=50))
    for chain in drawn(FOUR, "distinct", rounds=6, rows=50):
        assert set(chain[:4]) == set("abcd")
        assert len(set(chain[4:])) == 2


def test_by_tag_prefers_what_shares_a_tag_with_the_prompt() -> None:
    there = constitution(principle("a", tags=("money",)), principle("b", tags=("tone",)))
    assert set("".join(drawn(there, "by_tag", rows=20, about=About("redteam", ("money",))))) == {"a"}
    assert set("".join(drawn(there, "by_tag", rows=20, about=About("redteam", ("other",))))) == {"a", "b"}


def test_all_takes_each_once_in_order() -> None:
    assert drawn(FOUR, "all", rounds=1, rows=1) == ["abcd"]
    assert [each.id for each in draw.for_judgment(FOUR, PLAIN, "all", Random(0))] == list("abcd")


def test_only_what_applies_is_drawn_and_nothing_where_nothing_does() -> None:
    there = constitution(principle("a", applies_to=AppliesTo(track=("helpful",))), principle("b", judgment=""))
    assert set("".join(drawn(there, "uniform", rows=20))) == {"b"}
    assert draw.for_judgment(there, PLAIN, "uniform", Random(0)) == ()
    assert [each.id for each in draw.for_judgment(there, About("helpful"), "uniform", Random(0))] == ["a"]


def test_one_principle_more_changes_only_the_draws_it_wins() -> None:
    more = constitution(*FOUR.principles, principle("e"))
    before, after = "".join(drawn(FOUR, "uniform")), "".join(drawn(more, "uniform"))
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(changed) == {"e"}
    assert len(changed) / len(before) == pytest.approx(1 / 5, abs=0.02)
