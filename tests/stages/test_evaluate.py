"""The figures of an evaluation: wins, intervals, and what could not be decided."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.errors import RunError
from cai.judge.statistics import wilson
from cai.judge.wins import judged_wins as compare
from cai.stages.evaluate import pairs
from cai.store.rows import Answers, Draft, Drop, Pair, Preference
from cai.store.stage import Stage
from constitution.source import InputError

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


def answers(*texts: str) -> list[Answers]:
    return [
        Answers(f"{number}", ASKED, Draft(text, "m", "stop", 0), "redteam", (), "en")
        for number, text in enumerate(texts)
    ]


def test_an_empty_answer_is_not_compared_and_counted() -> None:
    """Of a harmful prompt a judge may find that saying nothing is the better answer."""
    found = list(pairs(answers("Rye.", "", "Rye.", "", "Rye."), answers("Oats.", "Oats.", "", "", "Rye.")))
    assert [row.id for row in found if isinstance(row, Pair)] == ["0"]
    drops = [row.reason for row in found if isinstance(row, Drop)]
    assert drops == ["first_model_empty_answer", "empty_answer", "equal_answers", "equal_answers"]
    figures = compare([preference(0.2, "ok")], drops)
    assert (figures["compared"], figures["won"]) == (1, 1)
    assert figures.get("left_out") == {"empty_answer": 1, "equal_answers": 2, "first_model_empty_answer": 1}


def test_empty_answers_stand_in_the_figures_with_their_reason(
    scripted_run: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    silent = write("silent.yaml", '- {when: "Question: ", say: ["So."], choose: {A: 0.7, B: 0.2}}\n- {say: [""]}\n')
    run = scripted_run(f"models.other={{scripted: {silent}}}", "evaluate.models=[policy, other]")
    figures = json.loads((run / "evaluate" / "metrics.json").read_text())["other"]
    asked = figures["all"]["answers"]
    assert figures["all"]["empty"] == asked > 0
    found = figures["compared"]["all"]
    assert (found["compared"], found["left_out"], found["win_rate"]) == (0, {"empty_answer": asked}, None)
    assert sum(each["left_out"]["empty_answer"] for key, each in figures["compared"].items() if key != "all") == asked
    assert {drop["reason"] for drop in Stage(run / "evaluate" / "pairs-other").drops()} == {"empty_answer"}
    assert f"not compared: empty answer {asked}" in (run / "report" / "report.html").read_text(encoding="utf-8")


# Wilson (1927), as tabulated by Newcombe (1998): 81 of 263, and the ends.
@pytest.mark.parametrize(
    ("won", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_s_interval_is_the_published_one(won: int, of: int, low: float, high: float) -> None:
    assert wilson(won, of) == pytest.approx((low, high), abs=5e-5)


def test_models_answer_the_held_out_prompts_with_the_same_draws(scripted_run: Callable[..., Path]) -> None:
    same = "models.other={scripted: script.yaml, concurrency: 3}", "evaluate.models=[policy, other]"
    run = scripted_run(*same)
    first, second = (list(Stage(run / "evaluate" / f"answers-{role}").all_rows(dict)) for role in ("policy", "other"))
    assert [row["draft"]["text"] for row in first] == [row["draft"]["text"] for row in second]
    metrics = json.loads((run / "evaluate" / "metrics.json").read_text())
    aside = Stage(run / "prompts" / "heldout")
    assert metrics["other"]["all"]["answers"] == sum(1 for _ in aside.all_rows(dict))
    found = metrics["other"]["compared"]["all"]
    assert (found["compared"], found["left_out"]) == (0, {"equal_answers": metrics["other"]["all"]["answers"]})
    assert scripted_run(*same) == run, "an evaluation of nothing to compare is done, too"


def test_a_judge_calls_the_answers_as_it_is_told_and_old_settings_stay_as_they_were(
    scripted_run: Callable[..., Path],
) -> None:
    run = scripted_run()
    begun = json.loads((run / "evaluate" / "begun.json").read_text())
    assert "names" not in begun["block"]
    judge = '{when: "Question:[\\\\s\\\\S]*", choose: {"1": 0.9, "2": 0.05}}'
    (run / "numbers.yaml").write_text(f"- {judge}\n- {{say: [x]}}\n")
    names = f"models.judge={{scripted: {run / 'numbers.yaml'}}}", "evaluate.judge=judge", "evaluate.names=numbers"
    scripted_run(*names, redo="evaluate")
    assert json.loads((run / "evaluate" / "begun.json").read_text())["block"]["names"] == "numbers"
    votes = [vote for row in Stage(run / "evaluate" / "votes-other").all_rows(dict) for vote in row["votes"]]
    assert votes and all(vote["p_a"] is not None for vote in votes)


def test_no_share_held_out_is_refused_before_anything_starts(scripted_run: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="evaluate: compares on held-out prompts, and prompts sets none aside; give"):
        scripted_run("prompts.heldout=0")


@pytest.fixture
def one_prompt(write: Callable[[str, str], Path]) -> tuple[str, str]:
    """Settings for a run on a single prompt; it is there twice, as both tracks want a file."""
    file = write("one.jsonl", '{"id": "one", "prompt": "How?"}\n')
    return f"prompts.redteam={file}", f"prompts.helpful={file}"


def test_no_prompt_held_out_is_a_sentence_before_models_start(
    scripted_run: Callable[..., Path], tmp_path: Path, one_prompt: tuple[str, str]
) -> None:
    with pytest.raises(RunError, match=r"prompts has set none of 1 aside; .* run with: --redo prompts$"):
        scripted_run(*one_prompt)
    assert not list((tmp_path / "scripted" / "revise").glob("part-*"))
    assert not (tmp_path / "scripted" / "evaluate").exists()


def test_all_prompts_held_out_leave_nothing_to_revise(
    scripted_run: Callable[..., Path], tmp_path: Path, one_prompt: tuple[str, str]
) -> None:
    with pytest.raises(RunError, match="revise has no row to work on, as prompts gave none; "):
        scripted_run(*one_prompt, "prompts.heldout=0.9")
    assert not (tmp_path / "scripted" / "revise" / "seal.json").exists()
