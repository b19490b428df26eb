"""Files: parts, seals, torn lines, settings that changed, two processes at once."""

import json
from collections import Counter
from pathlib import Path

import pytest

from cai.errors import RunError, UserError
from cai.store.audit import lost_parts
from cai.store.files import RunLock
from cai.store.ledger import Fingerprint, Tally
from cai.store.part import Part, sort_drops
from cai.store.rows import Answers, Draft, Drop
from cai.store.stage import Stage

SETTINGS = Fingerprint("s", {"rounds": 4, "model": "policy"}, 0, "c0", {}, {"prompts": "d0"})


def row(name: str) -> Answers:
    return Answers(name, ({"role": "user", "content": "é\u2028\n"},), Draft("text", "m", "stop", 1), "redteam")


def test_a_part_is_sorted_and_its_open_file_goes(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    part = Part(stage, 0)
    part.put("b", [row("b")], (5, 2, 1))
    part.drop(Drop("c", "empty"), (1, 0, 0))
    part.put("a", [row("a")], (5, 2, 1))
    assert (stage.folder / "part-00000.jsonl.open").exists()
    part.finish(["a", "b", "c"])
    assert [each.id for each in stage.rows(Answers, 0)] == ["a", "b"]
    assert next(stage.rows(Answers, 0)) == row("a")
    assert not (stage.folder / "part-00000.jsonl.open").exists()
    tally = stage.part_tallies()[0]
    assert (tally.rows_in, tally.rows_kept, dict(tally.dropped), tally.tokens_in) == (3, 2, {"empty": 1}, 11)


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_torn_last_line_is_cut_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    part = Part(stage, 0)
    part.put("a", [row("a")], (1, 0, 1))
    part.put("b", [row("b")], (1, 0, 1))
    part.close()
    whole = part.path.read_bytes()
    part.path.write_bytes(whole[:-cut])
    again = Part(stage, 0)
    assert list(again.outcomes) == ["a"]
    again.put("b", [row("b")], (1, 0, 1))
    again.close()
    assert part.path.read_bytes() == whole


def test_a_change_of_settings_is_refused_and_shown(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "revise")
    other = Fingerprint("s", {"rounds": 2, "model": "policy"}, 0, "c0", {}, {"prompts": "d0"})
    stage.begin(other)
    stage.begin(SETTINGS)  # nothing stands there yet that it could spoil
    stage.write_part(0, [row("a")])
    with pytest.raises(UserError) as error:
        stage.begin(other)
    assert "block.rounds: 4 → 2" in str(error.value)
    assert "--redo revise" in str(error.value)


def test_a_ledger_that_does_not_add_up_is_never_sealed(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    with pytest.raises(RunError, match="does not add up"):
        stage.close(SETTINGS, Tally(rows_in=3, rows_kept=2))
    assert stage.seal is None


def test_a_seal_has_the_contract_s_keys(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    stage.close(SETTINGS, Tally(rows_in=2, rows_kept=2))
    keys = "stage digest inputs rows_in rows_kept dropped rows_out tokens_in tokens_cached tokens_out seconds versions"
    assert set(keys.split()) <= stage.seal.keys()  # type: ignore[union-attr]


def test_drops_are_sorted_and_told_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    rest = {"reason": "r", "detail": "", "partial": None}
    lines = [{"part": 0, "in": name, "id": name, **rest} for name in ("c", "a", "c")]
    (stage.folder / "drops.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sort_drops(stage, {"a": 0, "c": 2})
    assert [drop["in"] for drop in stage.drops()] == ["a", "c"]


def test_a_second_process_on_a_run_is_refused(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(RunError, match="in use by another"), RunLock(tmp_path):
        pass
    with RunLock(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"), RunLock(tmp_path / "file" / "run"):
        pass


def test_a_part_taken_over_is_whole_or_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    drops = [{"part": 0, "in": "b", "id": "b", "reason": "refused", "detail": "", "partial": None, "tokens": [0, 0, 0]}]
    tally = Tally(2, 1, 1, Counter(refused=1))
    made = tmp_path / "made.jsonl"
    made.write_text('{"id": "a"}\n')

    def killed(file: Path, to: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cai.store.stage.move", killed)
        with pytest.raises(KeyboardInterrupt):  # before the last step
            stage.adopt(0, made, tally, drops)
    assert not stage.finished(0) and not lost_parts(stage) and stage.count_done() == 1
    assert [drop["in"] for drop in stage.open_drops()[0]] == ["b"]
    (stage.folder / "earlier.json").write_text('{"0": [1000, 0, 7, 1.5]}')  # what the part cost before it was reopened
    stage.adopt(0, made, tally, [])
    assert list(stage.rows(dict, 0)) == [{"id": "a"}]
    assert (stage.part_tallies()[0].tokens_in, stage.part_tallies()[0].tokens_out) == (1000, 7)
    assert stage.count_done() == 2 and not stage.open_parts()
    assert [drop["in"] for drop in stage.drops()] == ["b"]


def test_a_part_that_lost_rows_on_its_way_is_not_taken_over(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    (tmp_path / "made.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(RunError, match=r"made\.jsonl came over with 1 row of 2; run the same command again"):
        stage.adopt(0, tmp_path / "made.jsonl", Tally(2, 2, 2), [])
    assert not stage.finished(0) and not stage.records()
