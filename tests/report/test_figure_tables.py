"""Figures that the page has never heard of appear all the same, each in the form that it has everywhere."""

import math
import zlib
from base64 import b64decode
from typing import Any

from cai.report import beside
from cai.report.curves import curve, frame, in_figures, thin
from cai.report.evaluation import Evaluation
from cai.report.figure_tables import table
from cai.report.format import ends, points
from cai.report.packing import drawn, packed
from cai.stages.evaluate import describe


def test_figures_of_any_name_become_rows() -> None:
    found = table(
        "t",
        {
            "policy": {"answers": 60, "over_refusal": {"value": 0.31, "low": 0.2, "high": 0.44, "of": 50}},
            "dpo": {
                "answers": 1200,
                "over_refusal": {"value": None, "low": 0.0, "high": 1.0},
                "growth": {"emoji": {"first": 0.1, "value": 0.4, "change": 0.3, "low": 0.2, "high": 0.41}},
                "score": {"value": 0.5, "stderr": 0.25},
                "few": {"value": 0.4, "low": None, "high": None, "of": 5},
                "moved": {"first": 0.0, "value": 0.4, "change": 0.4, "low": None, "high": None},
                "flag": True,
                "list": [1, 2],
            },
        },
    )
    rows = dict(found["rows"])
    assert rows["answers"] == ["60", "1,200"]
    assert rows["over refusal"] == ["31% (20–44) of 50", "–"]
    assert rows["growth: emoji"] == ["–", "0.1 → 0.4, a change of +0.3 (+0.2 to +0.41)"]
    assert rows["score"] == ["–", "0.5 ± 0.25"]
    assert rows["few"] == ["–", "0.4 (too few for an interval) of 5"]
    assert rows["moved"] == ["–", "0 → 0.4, a change of +0.4 (too few for an interval)"]
    assert rows["flag"] == ["–", "yes"]
    assert "list" not in rows


def test_a_rating_without_an_interval_has_no_open_ends() -> None:
    assert ends({"elo": 30.2, "low": 12.3, "high": None}) == "+12 to open"
    assert ends({"elo": 30.2, "low": None, "high": None, "says": "too few"}) == "–"
    assert (ends({"low": -3.0, "high": 4.0}), points(None)) == ("-3 to +4", "–")


def test_what_was_moved_stands_beside_what_it_was() -> None:
    """A test of robustness has the plain prompts' share, beside which a variation's interval is that of the change."""
    moved = {"value": 0.4, "plain": 0.7, "change": -0.3, "low": -0.4, "high": -0.2, "prompts": 30}
    plain = {"value": 0.7, "plain": 0.7, "change": 0.0, "low": 0.0, "high": 0.0, "prompts": 30}
    rows = dict(table("t", {"policy": {"persona": {"refusal": moved}, "plain": {"refusal": plain}}})["rows"])
    assert rows["persona: refusal"] == ["0.7 → 0.4, a change of -0.3 (-0.4 to -0.2) of 30"]
    assert rows["plain: refusal"] == ["70%"]


def test_a_table_has_bounds_whatever_a_file_holds() -> None:
    deep: dict[str, Any] = {"last": 1}
    for _ in range(3000):
        deep = {"a": deep}
    long = table("verify", {"figure": {"deep": deep, **{str(number): number for number in range(5000)}}})
    assert len(long["rows"]) == 1000 and "1,000 figures" in long["title"]
    wide = table("verify", {str(number): {"share": 0.5} for number in range(5000)})
    assert len(wide["columns"]) == 40 and len(wide["rows"][0][1]) == 40 and "40 columns of 5,000" in wide["title"]


def test_an_amount_below_one_is_no_share_and_a_habit_says_what_it_is() -> None:
    part = {"value": 0.5, "low": 0.3, "high": 0.7, "of": 30}
    habit = {**part, "text": "as an ai"}
    shares = {"preachy": part, "opening": habit, "growth": {"closer": {**habit, "first": 0.1, "change": 0.4}}}
    rows = dict(
        table("t", {"dpo": {"harm": {"score": part, "much": part}, "bits": part, "hedges": part, **shares}})["rows"]
    )
    assert rows["harm: score"] == rows["bits"] == rows["hedges"] == ["0.5 (0.3 to 0.7) of 30"]
    assert rows["harm: much"] == rows["preachy"] == ["50% (30–70) of 30"]
    assert rows["opening"] == ["“as an ai” 50% (30–70) of 30"]
    assert rows["growth: closer"] == ["“as an ai” 0.1 → 0.5, a change of +0.4 (+0.3 to +0.7) of 30"]


def test_a_model_of_two_evaluations_has_a_column_of_each_beside_another_run() -> None:
    def view(name: str, *answers: int) -> dict[str, Any]:
        models: list[Any] = [{"dpo": {"all": {**describe([]), "answers": each}}} for each in answers]
        found = [
            Evaluation(f"evaluate-{number}", each, (), "dpo", {}, None, (), ()) for number, each in enumerate(models)
        ]
        keys = ("recipe", "constitution", "constitution_version", "seed", "models")
        more: dict[str, Any] = {"blocks": {}, "stages": [], "trained": [], "spent": "", "run": dict.fromkeys(keys, "")}
        return {"name": name, "evaluations": [{"evaluation": each} for each in found], **more}

    compared: dict[str, Any] = beside.of_runs([view("one", 7, 9), view("two", 5)])
    first, *_ = compared["tables"]
    cells = dict(first["rows"])["answers"]
    columns = ["one: dpo (evaluate-0)", "one: dpo (evaluate-1)", "two: dpo"]
    assert (first["columns"], cells) == (columns, ["7", "9", "5"])


def test_rows_are_drawn_the_same_way_each_time_and_from_everywhere() -> None:
    ids = [(str(number), number) for number in range(1000)]
    first = drawn(ids, 100, 7)
    assert first == drawn(reversed(ids), 100, 7) != drawn(ids, 100, 8)
    assert len(set(first)) == 100 and min(first) < 100 and max(first) > 900


def test_rows_are_packed_table_by_table_until_there_is_no_more_room() -> None:
    rows = [[{"id": f"{table}-{number}"} for number in range(50)] for table in range(2)]
    whole = packed(rows)
    assert whole.counts == (50, 50)
    assert zlib.decompress(b64decode(whole.text)).count(b"\n") == 100
    endless = [[{"id": str(number), "text": str(pow(3, number, 10**400))} for number in range(4000)] for _ in range(2)]
    part = packed(endless, 300_000)
    assert 0 < part.counts[0] < 4000 and abs(part.counts[0] - part.counts[1]) <= 1
    assert len(part.text) < 700_000


def test_no_spike_of_a_long_curve_is_lost_and_what_is_no_number_is_told() -> None:
    values = [(step, float(step == 7003)) for step in range(10_000)]
    points = thin(values)
    assert len(points) <= 2001 and (7003, 1.0) in points and points[-1][0] == 9999
    found = curve("loss", [(1, 1.0), (2, math.nan), (3, 2.0)])
    assert found is not None and found["series"][0]["points"] == [(1, 1.0), (3, 2.0)]
    assert "1 value no number" in found["title"]


def test_a_curve_is_told_in_figures_from_its_first_step_to_its_last() -> None:
    found = frame("both", {"one": [(step, step / 2) for step in range(1, 101)], "two": [(1, 9.0), (100, 8.0)]})
    assert found is not None
    rows = in_figures(found)
    assert (rows[0], rows[-1]) == (["1", "0.5", "9"], ["100", "50", "8"])
    assert len(rows) == 12
