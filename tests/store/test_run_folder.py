"""What a run keeps of its constitution is believed only while it is what the run was made under."""

from pathlib import Path

import pytest

from cai.errors import UserError
from cai.store.run_folder import constitution_file, former_constitution
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
