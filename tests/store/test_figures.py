"""Figures that are read back from a run's folder have bounds: never a wrong sum in silence, never a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cai.errors import RunError, UserError
from cai.report.summary import evaluated, stages_of
from cai.run.rounds import Divergence
from cai.store import earlier
from cai.store.batches import BatchFolder, BatchNote
from cai.store.clock import Clock
from cai.store.files import read_form
from cai.store.ledger import Fingerprint
from cai.store.part import Part
from cai.store.reopen import reopen
from cai.store.rows import Draft, Pair, Preference, Vote, decode, plain
from cai.store.run_folder import run_note
from cai.store.spending import Spending
from cai.store.stage import Stage
from cai.train.launch.checkpoints import last_checkpoint
from cai.train.launch.start import Manifest

SETTINGS = Fingerprint("s", {}, 0, "c0", {}, {})
TOKENS = [[-5, 0, 1], [5, 0], [5, 0, 1, 9], [5, 0, 10**16], [5, 0, 1.5], [5, 0, True], "5", None]


def begun(tmp_path: Path, line: dict[str, Any]) -> Stage:
    """A stage that was killed in its first part, with one line in it."""
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    (stage.folder / "part-00000.jsonl.open").write_text(json.dumps(line) + "\n")
    return stage


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize(
    "take_up", [lambda stage: Part(stage, 0), lambda stage: reopen(stage, stage.folder.parent, SETTINGS, ["a"])]
)
def test_tokens_of_an_open_part_are_three_counts(
    tmp_path: Path, tokens: Any, take_up: Callable[[Stage], object]
) -> None:
    stage = begun(tmp_path, {"in": "a", "tokens": tokens, "out": [{"id": "a"}]})
    with pytest.raises(
        RunError, match=r"part-00000\.jsonl\.open is damaged: its line 1 does not fit \(tokens.*; put it back"
    ):
        take_up(stage)
    assert stage.open_parts()


@pytest.mark.parametrize(
    "line", [{"in": "a", "tokens": [1, 0, 1]}, {"in": "a", "out": {}}, {"in": "a", "out": [], "counts": {"x": -1}}]
)
def test_a_line_of_an_open_part_has_its_rows_and_counts(tmp_path: Path, line: dict[str, Any]) -> None:
    with pytest.raises(
        RunError, match=r"part-00000\.jsonl\.open is damaged: its line 1 does not fit \((out|counts\.x): "
    ):
        Part(begun(tmp_path, line), 0)


@pytest.mark.parametrize("tokens", TOKENS)
def test_spending_is_counts(tmp_path: Path, tokens: Any) -> None:
    lines = [{"stage": "s", "role": "r", "tokens": [1, 0, 1]}, {"stage": "s", "role": "r", "tokens": tokens}]
    (path := tmp_path / "spent.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(RunError, match=r"spent\.jsonl is damaged: its line 2 does not fit \(tokens"):
        Spending(path)


@pytest.mark.parametrize("costs", [[1, 2, 3], [1, 2, 3, -1], [-1, 0, 0, 0], "x", {"a": 1}])
def test_what_parts_cost_before_is_four_amounts(tmp_path: Path, costs: Any) -> None:
    (tmp_path / "earlier.json").write_text(json.dumps({"0": costs}))
    with pytest.raises(RunError, match=r"earlier\.json is damaged \(0"):
        earlier.read(tmp_path)
    (tmp_path / "earlier.json").write_text(json.dumps({"zero": [0, 0, 0, 0.0]}))
    with pytest.raises(RunError, match=r"earlier\.json is damaged \(its keys are not the numbers of parts\)"):
        _ = Stage(tmp_path).clock


@pytest.mark.parametrize("seconds", [-3.0, 1e300, float("nan"), "9"])
def test_a_clock_that_cannot_be_is_of_no_weight(tmp_path: Path, seconds: Any) -> None:
    (tmp_path / ".clock.json").write_text(json.dumps({"seconds": seconds}))
    assert Clock(tmp_path / ".clock.json", 2.5).seconds == 2.5


VOTE = Vote("kind", "ab", "logprob", "m", 0, "ok", 0.8, 0.9, samples=5, read=4)
PAIR = Pair(
    "p", "p", ({"role": "user", "content": "Hi"},), Draft("a", "m", "stop", 0), Draft("b", "m", "stop", 0), "helpful"
)
ROW = Preference("p", PAIR, (VOTE,), 0.8, 0.8, "ok")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("p_a",), 1.5),
        (("p_a",), -0.1),
        (("p_label",), 12),
        (("votes", 0, "p_a"), 2.0),
        (("votes", 0, "answer_mass"), -0.5),
        (("votes", 0, "samples"), -5),
        (("votes", 0, "read"), 1.5),
        (("pair", "people"), [3.0]),
        (("pair", "added"), -1),
    ],
)
def test_a_vote_s_figures_are_those_of_a_vote(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    data = json.loads(json.dumps(plain(ROW)))
    assert decode(Preference, data) == ROW
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    stage = Stage(tmp_path / "s")
    stage.folder.mkdir()
    stage.path(0).write_text(json.dumps(data) + "\n")
    with pytest.raises(
        RunError, match=r"line 1 of .*part-00000\.jsonl is damaged: it is no preference; put the file back"
    ):
        list(stage.all_rows(Preference))


@pytest.mark.parametrize(
    ("figures", "wrong"),
    [
        ({"answers": -1}, r"policy\.all\.answers: expected a number from 0"),
        ({"mean_words": -1.0}, r"policy\.all\.mean_words: expected a number from 0"),
        ({"refusals": 1.5}, r"policy\.all\.refusals: expected a whole number"),
    ],
)
def test_figures_of_an_evaluation_are_counts(tmp_path: Path, figures: dict[str, Any], wrong: str) -> None:
    whole = {"answers": 1, "mean_words": 2.0, "refusals": 0, "truncated": 0, "empty": 0}
    (tmp_path / "metrics.json").write_text(json.dumps({"policy": {"all": {**whole, **figures}}}))
    with pytest.raises(RunError, match=rf"metrics\.json is damaged \({wrong}"):
        evaluated(tmp_path)


@pytest.mark.parametrize(
    ("form", "data", "wrong"),
    [
        (Manifest, {"rows": {"train": -4}, "metrics": {}, "seconds": 1.0}, r"rows\.train: expected a number from 0"),
        (Manifest, {"rows": {}, "metrics": {}, "seconds": -1.0}, "seconds: expected a number from 0"),
        (Manifest, {"rows": {}, "metrics": {}, "seconds": 1.0, "tokens": 1e3}, "tokens: expected a whole number"),
        (Divergence, {"kl": 0.1, "kl_error": -1.0, "seconds": 1.0}, "kl_error: expected a number from 0"),
    ],
)
def test_figures_of_a_training_are_counts(tmp_path: Path, form: Any, data: dict[str, Any], wrong: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(RunError, match=rf"manifest\.json is damaged \({wrong}"):
        read_form(tmp_path / "manifest.json", form)


@pytest.mark.parametrize("price", [{"in": -1.0, "out": 1.0}, {"in": 1.0}, {"in": "1", "out": 1.0}])
def test_prices_that_are_none_are_not_reckoned_with(tmp_path: Path, price: dict[str, Any]) -> None:
    note = {"recipe": "r", "seed": 0, "constitution": "c", "constitution_version": "", "constitution_digest": "d"}
    note |= {"principles": {}, "models": {}, "stages": [], "prices": {"policy": price}}
    (tmp_path / "run.json").write_text(json.dumps(note))
    for read in (run_note, stages_of):
        with pytest.raises(UserError, match=r"run\.json is not what a run wrote there"):
            read(tmp_path)


def test_copies_that_somebody_made_are_no_batches_and_no_checkpoints(tmp_path: Path) -> None:
    folder = BatchFolder(tmp_path / "role")
    folder.write(0, BatchNote(note="", batch="b", ended="", keys=[]))
    (tmp_path / "role" / "00000 (copy).json").write_text("{}")
    assert [number for number, _ in folder.notes()] == [0] and folder.next() == 1
    for name in ("checkpoint-2", "checkpoint-2 (copy)", "checkpoint-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "complete").touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
