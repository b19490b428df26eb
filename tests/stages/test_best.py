"""Best-of-n: the best answers of each group as fine-tuning data, with the columns of sft_set."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cai.stages.best import Best, best
from cai.stages.sft_set import SftSet, sft_set
from cai.store.rows import Chain, Draft, Drop, Scored

Group = Callable[..., Scored]


def kept(row: Scored, **want: object) -> list[str] | str:
    [found] = best([row], Best(**want), Counter())  # type: ignore[arg-type]
    return found.reason if isinstance(found, Drop) else [each["completion"][0]["content"] for each in found]


def test_the_best_are_kept_and_of_equals_the_first(group: Group) -> None:
    row = group(2.0, 7.0, None, 7.0, 5.0)
    assert kept(row) == ["a1"]
    assert kept(row, keep=3) == ["a1", "a3", "a4"]
    assert kept(row, keep=9, least=5.0) == ["a1", "a3", "a4"]


def test_what_is_not_good_enough_or_cut_off_is_left_out_with_its_reason(group: Group) -> None:
    assert kept(group(2.0, 3.0), least=4.0) == "below_least"
    assert kept(group(2.0, 3.0, finish="sl")) == ["a0"]
    assert kept(group(2.0, 3.0, finish="sl"), truncated="keep") == ["a1"]
    assert kept(group(2.0, 3.0, finish="ll")) == "truncated"
    counts: Counter[str] = Counter()
    list(best([group(None, 3.0, 1.0, finish="ssl")], Best(), counts))
    assert counts == {"unparsed_answers": 1, "truncated_answers": 1}


def test_a_prompt_of_an_evaluation_is_not_learnt_from(group: Group, tmp_path: Path) -> None:
    exam = tmp_path / "exam.jsonl"
    exam.write_text('{"prompt": "How, p/0?"}\n', encoding="utf-8")
    assert kept(group(2.0, 3.0), decontaminate=(str(exam),), ngram=2) == "contaminated"


def test_its_columns_are_those_of_sft_set(group: Group) -> None:
    chain = Chain("p", ({"role": "user", "content": "Hi"},), (Draft("Hello", "m", "stop", 1),), "f", "helpful")
    [theirs], [ours] = sft_set([chain], SftSet(), Counter()), best([group(1.0, 2.0)], Best(), Counter())
    assert isinstance(theirs, list)
    assert isinstance(ours, list)
    assert {key: type(value) for key, value in theirs[0].items()} == {
        key: type(value) for key, value in ours[0].items()
    }
    assert (ours[0]["id"], ours[0]["source"], ours[0]["principles"]) == ("p/0/1", "m", ["kind"])
