"""What stands in the SL-CAI set of a red-team prompt is a revision that was kept, and its number says which."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from rich.console import Console

from cai.errors import RunError
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.rows import chain_text
from cai.run.walk import start
from cai.stages.sft_set import SftSet, sft_set
from cai.store.rows import Chain, Draft, Drop
from cai.store.stage import Stage

Write = Callable[[str, str], Path]

FINE, WORSE = ("fine",), ("not_better",)
RECIPE = """
name: judged
constitution: principles/harmless.yaml
models:
  policy: {scripted: policy.yaml}
  judge: {scripted: judge.yaml}
stages:
  - prompts: {redteam: redteam.jsonl, helpful: helpful.jsonl, heldout: 0}
  - revise: {model: policy, judge: judge, rounds: 2}
  - sft_set: {test: 0}
"""
POLICY = """
- {when: "^Revision request", say: ["A kind answer to {asked}."]}
- {when: "Critique request", say: ["It is careless."]}
- {say: ["A rude answer to {asked}."]}
"""


def chain(*drafts: tuple[str, tuple[str, ...]], track: str = "redteam") -> Chain:
    """A chain of a first answer and rounds: (text, flags); the principle of round n is "n"."""
    made = [
        Draft(text, "m", "stop", n, str(n) if n else "", "c" if n else "", flags)
        for n, (text, flags) in enumerate(drafts)
    ]
    return Chain("p", ({"role": "user", "content": "Hurt him?"},), tuple(made), "f", track)


def examples(row: Chain, **want: str) -> tuple[list[tuple[str, int, list[str]]] | str, Counter[str]]:
    """The text, number and principles of each example, or why there is none; and what was counted."""
    counts: Counter[str] = Counter()
    [found] = sft_set([row], SftSet(**want), counts)  # type: ignore[arg-type]
    if isinstance(found, Drop):
        return found.reason, counts
    return [(each["completion"][0]["content"], each["revision"], each["principles"]) for each in found], counts


@pytest.mark.parametrize(
    ("flags", "reason"),
    [((WORSE, WORSE), "not_better"), ((FINE, FINE), "found_fine"), ((FINE, WORSE), "found_fine"), ((), "no_revision")],
)
def test_a_chain_none_of_whose_revisions_was_kept_gives_no_example(
    flags: tuple[tuple[str, ...], ...], reason: str
) -> None:
    row = chain(("rude", ()), *(("rude", each) for each in flags))
    for revisions in ("all", "last"):
        assert examples(row, revisions=revisions)[0] == reason


def test_an_answer_that_was_left_as_it_was_is_one_example_and_has_the_number_of_its_revisions() -> None:
    row = chain(("rude", ()), ("rude", WORSE), ("kind", ()), ("kind", FINE), ("kinder", ()), ("kinder", WORSE))
    found, counts = examples(row, dedupe="none")
    assert found == [("kind", 1, ["2"]), ("kinder", 2, ["2", "4"])]
    assert counts == {"not_better_drafts": 2, "found_fine_drafts": 1}
    assert examples(row, revisions="last")[0] == [("kinder", 2, ["2", "4"])]


def test_an_answer_to_a_helpful_prompt_stays_and_is_no_revision() -> None:
    assert examples(chain(("hello", ()), track="helpful"))[0] == [("hello", 0, [])]
    revised = chain(("hello", ()), ("hello", WORSE), ("hi", ()), track="helpful")
    assert examples(revised, dedupe="none")[0] == [("hello", 0, []), ("hi", 1, ["2"])]


def run(write: Write, verdict: str, folder: Path) -> Path:
    """The recipe above with a judge that always finds the answer with this word the better one, run."""
    write("policy.yaml", POLICY)
    # The judge sees the two answers as (A) and (B); where the word is in both, neither is better.
    first, second = (rf"(?s)Answer \({letter}\): A {verdict} answer" for letter in "AB")
    write("judge.yaml", f"- {{when: '{first}', choose: {{A: 0.9}}}}\n- {{when: '{second}', choose: {{B: 0.9}}}}\n")
    write("redteam.jsonl", "".join(f'{{"id": "r{n}", "prompt": "Insult number {n}"}}\n' for n in range(4)))
    write("helpful.jsonl", '{"id": "h", "prompt": "Hello there"}\n')
    start(load_recipe(write("judged.yaml", RECIPE)), folder, Screen(Console(quiet=True)))
    return folder


def test_a_judge_that_likes_no_revision_leaves_no_red_team_answer_in_the_set(write: Write, tmp_path: Path) -> None:
    folder = run(write, "rude", tmp_path / "run")
    rows = parquet.read_table(folder / "sft_set" / "train.parquet").to_pylist()
    assert [(row["track"], row["revision"]) for row in rows] == [("helpful", 0)]
    seal = Stage(folder / "sft_set").seal or {}
    assert (seal["rows_in"], seal["rows_kept"], seal["dropped"]) == (5, 1, {"not_better": 4})
    assert seal["counts"]["not_better_drafts"] == 8
    made = [row for row in Stage(folder / "revise").all_rows(dict) if row["track"] == "redteam"]
    for row in made:  # the seed beside an answer is the one that it was made with
        assert {(draft["text"], draft["seed"]) for draft in row["drafts"]} == {
            (row["drafts"][0]["text"], row["drafts"][0]["seed"])
        }


def test_a_judge_that_likes_every_revision_leaves_revisions_alone_in_the_set(write: Write, tmp_path: Path) -> None:
    folder = run(write, "kind", tmp_path / "run")
    rows = parquet.read_table(folder / "sft_set" / "train.parquet").to_pylist()
    # The second revision says the same again, which the judge does not find better.
    assert [row["revision"] for row in rows if row["track"] == "redteam"] == [1] * 4
    assert all("kind" in row["completion"][0]["content"] for row in rows if row["track"] == "redteam")


def test_a_run_whose_judge_likes_nothing_ends_in_a_sentence(write: Write, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"sft_set has no examples \(not_better 4\)"):
        run(lambda name, text: write(name, text.replace(", helpful: helpful.jsonl", "")), "rude", tmp_path / "run")


def test_a_person_is_not_told_of_a_revision_where_there_was_none() -> None:
    shown = chain_text(chain(("rude", ()), ("rude", WORSE), ("kind", ()), ("kind", FINE)))
    assert "revision 1:" not in shown
    assert "revision 2:\n    kind" in shown
    assert "revision 3:" not in shown
    assert "no revision in round 1: the judge did not find it better" in shown
    assert "no revision in round 3: the critique found nothing" in shown
