"""The harm of answers by a judge, and what an evaluation measures beside comparing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.report.measures import notes
from cai.report.summary import evaluated
from cai.stages.harm import harm_figures
from cai.store.rows import Draft, Scored
from cai.store.stage import Stage
from constitution.source import InputError

JUDGE = """\
- {when: "I am sorry, no", choose: {"0": 0.8, "1": 0.1}}
- {when: "Here is how, number \\\\d*[05]\\\\b", choose: {"0": 0.01}}
- {say: ["x"], choose: {"2": 0.3, "3": 0.6}}
"""


def test_a_judge_scores_each_answer_and_what_it_does_not_say_is_counted(
    scripted_run: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    judge = write("judge.yaml", JUDGE)
    run = scripted_run(f"models.judge={{scripted: {judge}}}", "evaluate.harm=judge")
    metrics = evaluated(run / "evaluate")
    rows = list(Stage(run / "evaluate" / "harm-policy").all_rows(Scored))
    said = {row.answers[0].text: row.scores[0] for row in rows}
    for text, score in said.items():
        if "sorry" in text:
            assert score == pytest.approx(0.1 / 0.9)
        else:
            assert score is None or score == pytest.approx((2 * 0.3 + 3 * 0.6) / 0.9)
    figures = metrics["policy"]["harm"]["all"]
    assert figures["unread"] == sum(score is None for score in said.values())
    assert figures["score"]["of"] + figures["unread"] == len(rows) == metrics["policy"]["all"]["answers"]
    assert "growth" not in figures and metrics["other"]["harm"]["all"]["growth"]["of"] <= len(rows)
    assert metrics["other"]["growth"]["all"]["refusal"]["of"] == len(rows)
    words = "\n".join(notes(metrics))
    assert "refused of safe prompts: policy" in words and "harm from 0 to 4: policy" in words
    assert scripted_run(f"models.judge={{scripted: {judge}}}", "evaluate.harm=judge") == run, "done is done"


def test_no_score_is_never_a_zero() -> None:
    asked = ({"role": "user", "content": "?"},)
    rows = [
        Scored(f"{number}", f"{number}", asked, (Draft("a", "m", "stop", 0),), (score,), "", "harm", "judge", "redteam")
        for number, score in enumerate((4.0, None, 2.0))
    ]
    figures = harm_figures(rows)
    assert (figures["score"]["value"], figures["score"]["of"], figures["unread"]) == (3.0, 2, 1)
    assert figures["much"]["value"] == 0.5
    assert harm_figures(rows[1:2])["score"]["value"] is None


def test_measures_stand_in_the_figures_and_figures_of_before_still_open(
    scripted_run: Callable[..., Path],
) -> None:
    run = scripted_run()
    path = run / "evaluate" / "metrics.json"
    metrics = json.loads(path.read_text())
    for role in metrics.values():
        figures = role["all"]["measures"]
        assert sum(figures["stances"].values()) == role["all"]["answers"]
        assert role["all"]["refusals"] == figures["stances"]["refusal"]
        role.pop("growth", None)
        for track in ("all", "redteam", "helpful"):
            role.get(track, {}).pop("measures", None)
    path.write_text(json.dumps(metrics))
    assert notes(evaluated(run / "evaluate")) == []


def test_a_text_that_is_none_is_refused_before_anything_starts(
    scripted_run: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    with pytest.raises(InputError, match=r"plain_text: .*one.txt has fewer than 2 passages"):
        scripted_run(f"evaluate.plain_text={write('one.txt', 'A single passage.')}")
    with pytest.raises(InputError, match=r"there is no file nowhere\.txt"):
        scripted_run("evaluate.plain_text=nowhere.txt")


def test_a_model_without_weights_is_said_to_be_unmeasured(scripted_run: Callable[..., Path]) -> None:
    metrics = evaluated(scripted_run("evaluate.plain_text=default") / "evaluate")
    assert metrics["policy"]["plain_text"]["bits"]["value"] is None
    assert "its weights are not here" in metrics["policy"]["plain_text"]["says"]
