"""Rows that were lost or gained outside of a run: they are told by the ledgers, and nothing is made from them."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.data import dataset
from cai.errors import RunError, UserError
from cai.report.page import write_report
from cai.store import audit
from cai.store.files import append_to
from cai.store.ledger import Fingerprint
from cai.store.part import Part
from cai.store.rows import Drop, Prompt
from cai.store.stage import Stage

Run = Callable[..., Path]
FOLDERS = {
    "prompts": "prompts",
    "prompts/heldout": "prompts",
    "revise": "revise",
    "label": "label",
    "evaluate/answers-policy": "evaluate",
    "evaluate/votes-other": "evaluate",
}
"""Folders of rows, and the stage to be done again where they are damaged."""
SETTINGS = Fingerprint("s", {}, 0, "c0", {}, {})


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def cut(path: Path) -> None:
    path.write_text("".join(lines(path)[:-1]), encoding="utf-8")


def twice(path: Path) -> None:
    path.write_text("".join([*lines(path), lines(path)[-1]]), encoding="utf-8")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("damage", [cut, twice])
def test_a_sealed_part_with_other_rows_than_its_ledger_stops_the_run(
    scripted_run: Run, folder: str, damage: Callable[[Path], None]
) -> None:
    run = scripted_run("prompts.heldout=0.3")
    part = run / folder / "part-00000.jsonl"
    rows = len(lines(part))
    damage(part)
    words = (
        rf"{folder}/part-00000\.jsonl should have {rows} rows and has {len(lines(part))};.*--redo {FOLDERS[folder]}$"
    )
    with pytest.raises(RunError, match=words):
        scripted_run("prompts.heldout=0.3")
    with pytest.raises(RunError, match=words):  # what is done again must not be made from them either
        scripted_run("prompts.heldout=0.3", redo="report")


def test_a_run_without_its_ledgers_is_not_sealed_as_nothing(scripted_run: Run) -> None:
    folder = scripted_run()
    (folder / "revise" / "parts.jsonl").unlink()
    (folder / "revise" / "seal.json").unlink()
    with pytest.raises(RunError, match=r"parts\.jsonl has no line for part 0, .* again with: --redo revise$"):
        scripted_run()
    assert not (folder / "revise" / "seal.json").exists()


def test_a_stage_whose_seal_alone_is_gone_is_sealed_as_it_was(scripted_run: Run) -> None:
    seal = scripted_run() / "revise" / "seal.json"
    was = json.loads(seal.read_text())
    seal.unlink()
    scripted_run()
    assert json.loads(seal.read_text()) == was


def test_rows_that_went_with_their_ledger_are_missed_by_the_seal(scripted_run: Run) -> None:
    folder = scripted_run()
    rows = sum(len(lines(path)) for path in folder.glob("revise/part-*.jsonl"))
    gone = sorted(folder.glob("revise/part-*.jsonl"))[-1]
    left = rows - len(lines(gone))
    gone.unlink()
    cut(folder / "revise" / "parts.jsonl")
    with pytest.raises(RunError, match=rf"parts\.jsonl tells of {left} rows, .* seal of {rows}; .*--redo revise$"):
        scripted_run()


def test_a_stage_without_any_file_of_rows_is_missed_by_its_seal(scripted_run: Run) -> None:
    folder = scripted_run() / "revise"
    for path in (*folder.glob("part-*.jsonl"), folder / "parts.jsonl"):
        path.unlink()
    with pytest.raises(RunError, match=r"parts\.jsonl tells of 0 rows, and the stage's seal of \d+; .*--redo revise$"):
        scripted_run()


def test_drops_that_are_gone_stop_the_run(scripted_run: Run) -> None:
    drops = scripted_run() / "sample" / "drops.jsonl"
    assert lines(drops)
    cut(drops)
    with pytest.raises(RunError, match=r"sample/drops\.jsonl should have \d+ rows of part \d and has \d+; .* sample$"):
        scripted_run()


def test_rows_whose_settings_are_gone_are_not_taken_for_rows_of_these(scripted_run: Run) -> None:
    folder = scripted_run()
    (folder / "revise" / "begun.json").unlink()
    with pytest.raises(UserError, match=r"revise holds rows, and begun\.json .* is gone; .*--redo revise"):
        scripted_run("revise.rounds=1")


def part(tmp_path: Path, name: str) -> Stage:
    """A stage of one finished part that kept a and b and dropped c."""
    stage = Stage(tmp_path / name)
    stage.begin(SETTINGS)
    made = Part(stage, 0)
    for row in ("a", "b"):
        made.put(row, [Prompt(row, (), "", "redteam")], (1, 0, 1))
    made.drop(Drop("c", "empty"), (1, 0, 0))
    made.finish(["a", "b", "c"])
    return stage


def test_a_finished_part_of_an_open_stage_is_looked_at_too(tmp_path: Path) -> None:
    stage = part(tmp_path, "s")
    audit.whole(stage)
    cut(stage.path(0))
    with pytest.raises(RunError, match=r"part-00000\.jsonl should have 2 rows and has 1;"):
        audit.whole(stage)


def test_a_ledger_from_before_bytes_were_in_it_is_counted_by_lines(tmp_path: Path) -> None:
    stage = part(tmp_path, "s")
    ledger = stage.folder / "parts.jsonl"
    known = json.loads(ledger.read_text())
    del known["bytes"], known["sha256"]
    ledger.write_text(json.dumps(known) + "\n")
    audit.whole(stage)
    twice(stage.path(0))
    with pytest.raises(RunError, match="should have 2 rows and has 3;"):
        audit.whole(stage)


def test_a_row_of_before_digests_were_kept_is_known_by_its_ledger_alone(tmp_path: Path) -> None:
    stage = part(tmp_path, "s")
    ledger = stage.folder / "parts.jsonl"
    known = json.loads(ledger.read_text())
    del known["sha256"]
    ledger.write_text(json.dumps(known) + "\n")
    stage.path(0).write_text(stage.path(0).read_text().replace("redteam", "helpful"))
    audit.whole(stage)
    assert {row["track"] for row in stage.all_rows(dict)} == {"helpful"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("part-00000.jsonl", "{torn"), ("part-00000.jsonl", "[]\n"), ("parts.jsonl", "{x\n"), ("drops.jsonl", "5\n")],
)
def test_lines_that_are_no_rows_are_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    stage = part(tmp_path, "s")
    (stage.folder / name).write_text(text)
    damaged = rf"{name} (is damaged: its line 1 is no JSON object|should have 2 rows and has)"
    with pytest.raises(RunError, match=damaged):
        audit.whole(stage)
    if name.startswith("part-"):
        with pytest.raises(RunError, match=r"part-00000\.jsonl is damaged: its line 1 is no JSON object"):
            list(stage.all_rows(Prompt))


@pytest.mark.parametrize(("name", "text"), [("seal.json", "5"), ("seal.json", "{}"), ("begun.json", "[]")])
def test_a_seal_that_is_none_is_a_sentence(tmp_path: Path, name: str, text: str) -> None:
    stage = part(tmp_path, "s")
    (stage.folder / name).write_text(text)
    with pytest.raises(RunError, match=rf"{name} is damaged \(.*\); restore it, or do its stage again with --redo"):
        _ = stage.begun, stage.seal


def test_a_copy_beside_a_part_is_no_part(tmp_path: Path) -> None:
    stage = part(tmp_path, "s")
    for name in ("part-copy.jsonl", "part-00000 (copy).jsonl", "part-00000 (copy).jsonl.open"):
        (stage.folder / name).write_bytes(stage.path(0).read_bytes())
    audit.whole(stage)
    assert stage.parts() == [0] and not stage.open_parts()


def test_a_dataset_that_lost_a_file_is_not_trained_on(tmp_path: Path) -> None:
    rows = [{"prompt_id": str(number), "text": "t"} for number in range(6)]
    splits = dataset.write(tmp_path, iter(rows), {"0"})
    dataset.whole(tmp_path, splits, "sets")
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(RunError, match=r"should have 1 test row and has 0; .*--redo sets$"):
        dataset.whole(tmp_path, splits, "sets")


def test_a_pipe_in_the_place_of_a_dataset_s_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.parquet")
    with pytest.raises(RunError, match=r"train\.parquet is no file; put it back"):
        dataset.whole(tmp_path, {"train": 1}, "sets")
    with pytest.raises(RunError, match=r"train\.parquet is no file; put it back"):
        [*dataset.rows(tmp_path / "train.parquet")]


def test_a_run_is_not_done_whose_dataset_is_not_whole(scripted_run: Run) -> None:
    run = scripted_run()
    data = run / "prefs" / "train.parquet"
    data.write_bytes(data.read_bytes()[:-300])
    with pytest.raises(
        RunError, match=r"train\.parquet is damaged \(.*\); put it back, or do its stage again with --redo"
    ):
        scripted_run()
    scripted_run(redo="prefs")
    scripted_run()


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-9], lambda text: f"{text}\0\0", lambda text: "\ufeff" + text[:-2] + "\n"]
)
def test_a_part_of_as_many_lines_that_are_no_rows_any_more_is_told(
    tmp_path: Path, damage: Callable[[str], str]
) -> None:
    stage = part(tmp_path, "s")
    stage.path(0).write_text(damage(stage.path(0).read_text()))
    with pytest.raises(RunError, match=r"part-00000\.jsonl is damaged: its line [123] is no JSON object; put it back"):
        audit.whole(stage)


@pytest.mark.parametrize("name", ["part-00000.jsonl", "parts.jsonl", "drops.jsonl", "seal.json", "begun.json"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    stage = part(tmp_path, "s")
    (stage.folder / name).unlink(missing_ok=True)
    make(stage.folder / name)
    with pytest.raises(RunError, match=rf"{name} cannot be read as a file: .*; put it back as it was"):
        _ = stage.seal, stage.begun, stage.count(0), stage.tally(), [*stage.drops()]


def test_nothing_is_appended_to_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "drops.jsonl")
    with pytest.raises(RunError, match="it is a folder, a pipe or a device"):
        append_to(tmp_path / "drops.jsonl")


def test_a_run_is_not_done_whose_evaluation_lost_its_figures(scripted_run: Run) -> None:
    (scripted_run() / "evaluate" / "metrics.json").unlink()
    with pytest.raises(RunError, match=r"evaluate/metrics\.json is gone; put it back, .*--redo evaluate$"):
        scripted_run()


@pytest.mark.parametrize("folder", ["revise", "evaluate/answers-policy"])
@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_report_is_not_made_of_the_rows_that_are_left(
    scripted_run: Run, folder: str, damage: Callable[[Path], None]
) -> None:
    run = scripted_run("prompts.heldout=0.3")
    damage(run / folder / "part-00000.jsonl")
    with pytest.raises(RunError, match=rf"{folder}/part-00000\.jsonl .*--redo {FOLDERS[folder]}$"):
        write_report(run, run / "report.html")
    assert not (run / "report.html").exists()


def test_a_file_that_may_not_be_read_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = part(tmp_path, "s")
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(RunError, match=r"part-00000\.jsonl may not be read; give yourself the right to"):
        list(stage.all_rows(Prompt))
