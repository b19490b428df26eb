"""What a run keeps of its constitution is believed only while it is what the run was made under."""

import json
from pathlib import Path

import pytest

from cai.errors import UserError
from cai.store.run_folder import constitution_file, former_constitution, run_note
from constitution.load import digest, load
from constitution.save import dump


def test_a_kept_constitution_that_was_changed_is_not_taken_for_the_one_of_the_run(tmp_path: Path) -> None:
    constitution = load(Path("principles/harmless.yaml"))
    kept = constitution_file(tmp_path, digest(constitution))
    kept.parent.mkdir()
    kept.write_text(dump(constitution))
    assert former_constitution(tmp_path, digest(constitution)).by_id.keys() == constitution.by_id.keys()
    kept.write_text(kept.read_text().replace("harm", "ham"))
    with pytest.raises(
        UserError, match=r"was changed since, and is not what made revise; put it back .*--redo revise$"
    ):
        former_constitution(tmp_path, digest(constitution), "revise")


@pytest.mark.parametrize("name", ["../other", "/etc", "revise/../../x", ".aside", "a//b", ""])
def test_a_run_that_names_stages_elsewhere_is_none(tmp_path: Path, name: str) -> None:
    note = dict.fromkeys(("recipe", "constitution", "constitution_version", "constitution_digest"), "x")
    note |= {"seed": 0, "principles": {}, "models": {}, "stages": [{"name": "label", "kind": "label", "reads": ""}]}
    (tmp_path / "run.json").write_text(json.dumps(note))
    assert run_note(tmp_path)["recipe"] == "x"
    (tmp_path / "run.json").write_text(json.dumps(note).replace('"name": "label"', f'"name": "{name}"'))
    with pytest.raises(UserError, match=r"run\.json is not what a run wrote there"):
        run_note(tmp_path)
