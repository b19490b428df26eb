"""Rankings: all readable answers of a group with their scores, the best first."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cai.data import dataset
from cai.stages.ranked import Ranked, ranked
from cai.store.rows import Drop, Scored

Group = Callable[..., Scored]


def test_a_group_is_one_row_and_an_order_is_needed(group: Group) -> None:
    rows = [
        group(2.0, None, 7.0, 5.0, 9.0, finish="ssssl"),
        group(3.0, 3.0, id="q/0"),
        group(None, 3.0, id="r/0"),
    ]
    first, second, third = ranked(rows, Ranked(), Counter())
    assert isinstance(first, list)
    [row] = first
    assert [each[0]["content"] for each in row["completions"]] == ["a2", "a3", "a0"]
    assert row["scores"] == [7.0, 5.0, 2.0]
    assert isinstance(second, Drop)
    assert isinstance(third, Drop)
    assert (second.reason, third.reason) == ("equal_scores", "one_answer_left")


def test_lists_of_answers_and_of_scores_come_back_from_the_dataset(group: Group, tmp_path: Path) -> None:
    from datasets import load_dataset

    examples = [each for found in ranked([group(1.0, 2.0, 3.5)], Ranked(), Counter()) for each in found]  # type: ignore[union-attr]
    dataset.write(tmp_path, examples, set())
    rows = load_dataset("parquet", data_files=dataset.files(tmp_path, "train"), cache_dir=str(tmp_path / "cache"))
    [row] = rows["train"]
    assert row["scores"] == [3.5, 2.0, 1.0]
    assert row["completions"][2] == [{"role": "assistant", "content": "a0"}]
