"""The figures of an evaluation: wins, intervals, and what could not be decided."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.judge.statistics import wilson
from cai.stages.evaluate import compare
from cai.store.rows import Draft, Pair, Preference
from cai.store.stage import Stage

ASKED = ({"role": "user", "content": "Hi"},)
PAIR = Pair("p", "p", ASKED, Draft("a", "m", "stop", 0), Draft("b", "m", "stop", 0), "redteam")


def preference(p_a: float | None, status: str) -> Preference:
    return Preference("p", PAIR, (), p_a, p_a if status == "ok" else None, status)  # type: ignore[arg-type]


def test_only_what_was_decided_counts_as_won_or_lost() -> None:
    rows = [preference(0.2, "ok"), preference(0.9, "ok"), preference(0.4, "inconsistent"), preference(None, "unparsed")]
    found = compare(rows)
    assert (found["compared"], found["decided"], found["won"], found["win_rate"]) == (4, 2, 1, 0.5)
    assert found["undecided"] == {"inconsistent": 1, "unparsed": 1}


def test_nothing_decided_is_no_rate_and_the_widest_interval() -> None:
    found = compare([preference(None, "refused")])
    assert (found["win_rate"], found["low"], found["high"]) == (None, 0.0, 1.0)


# Wilson (1927), as tabulated by Newcombe (1998): 81 of 263, and the ends.
@pytest.mark.parametrize(
    ("won", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_s_interval_is_the_published_one(won: int, of: int, low: float, high: float) -> None:
    assert wilson(won, of) == pytest.approx((low, high), abs=5e-5)


def test_models_answer_the_held_out_prompts_with_the_same_draws(scripted_run: Callable[..., Path]) -> None:
    run = scripted_run("models.other={scripted: script.yaml, concurrency: 3}", "evaluate.models=[policy, other]")
    first, second = (list(Stage(run / "evaluate" / f"answers-{role}").all_rows(dict)) for role in ("policy", "other"))
    assert [row["draft"]["text"] for row in first] == [row["draft"]["text"] for row in second]
    metrics = json.loads((run / "evaluate" / "metrics.json").read_text())
    aside = Stage(run / "prompts" / "heldout")
    assert metrics["other"]["all"]["answers"] == sum(1 for _ in aside.all_rows(dict))
    assert metrics["other"]["compared"]["all"]["compared"] == 0, "equal answers are not compared"
