"""cai look and cai check: what is understood of a source, told before it costs anything."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cai.cli.look import Look, look_at
from cai.data.prompt_source import PromptSource

Cai = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[[str, str], Path]

RECIPE = """
name: looked
constitution: principles/harmless.yaml
models: {m: {scripted: script.yaml}}
stages:
  - prompts: {helpful: p.jsonl, heldout: 0}
  - sample: {model: m}
"""
PROMPTS = [
    {"prompt": "Is rye sour?", "system": "Answer only in Polish.", "mood": "glad"},
    {"prompt": [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Yes."}], "history": "once"},
    {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "history": ""},
    {"prompt": "Say \x1b[31mred\x1b[0m."},
]
PAIRS = [{"question": "Is rye sour?", "system": "Be brief.", "chosen": "No.", "rejected": "Ye\ns.", "source": "x"}]


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_look_tells_columns_forms_drops_and_a_row(cai: Cai, write: Write) -> None:
    prompts, pairs = write("p.jsonl", lines(PROMPTS)), write("pairs.jsonl", lines(PAIRS))
    ran = cai("look", prompts, pairs)
    assert ran.returncode == 0, ran.stderr
    for words in (
        f"{prompts} (prompts): 4 rows\n",
        "  columns: prompt, system, mood, history\n",
        "  read as: text + system 1, messages (its last answer is not asked) 1, text 1\n",
        f"  left out: needs_image 1 ({prompts}, row 3: it needs an image (image))\n",
        "  not used, as their shape is not known: history 1\n",
        "  columns not used: mood\n",
        "    system: Answer only in Polish.\n    user: Is rye sour?\n",
        f"{pairs} (pairs): 1 row\n",
        "  columns read: question, system, chosen, rejected\n",
        "  columns not used: source\n",
        "    system: Be brief.\n    user: Is rye sour?\n",
    ):
        assert words in ran.stdout, words
    assert "Ye\n      s." in ran.stdout
    assert "\x1b" not in ran.stdout
    data = json.loads(cai("look", "--json", prompts).stdout)
    assert data[0]["forms"] == {"text + system": 1, "messages (its last answer is not asked)": 1, "text": 1}
    assert data[0]["left_out"] == {"needs_image": 1}
    assert (data[0]["columns_not_used"], data[0]["columns_not_understood"]) == (["mood"], {"history": 1})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            ("p.csv",),
            'there is no column "prompt"; name one of: goal, n (--column NAME, such as --column goal, in a recipe the key '
            "`column`)",
        ),
        (("none.jsonl",), "none.jsonl: there is no such file; check the path"),
        (("p.csv", "--column", "goal", "--track", "n"), 'the column "n" holds 1, 2; tracks are redteam and helpful'),
        ((), "name at least one FILE…"),
    ],
)
def test_a_look_at_what_cannot_be_read_is_a_sentence(
    cai: Cai, write: Write, tmp_path: Path, line: tuple[str, ...], words: str
) -> None:
    write("p.csv", "goal,n\nSay a.,1\nSay b.,2\n")
    ran = cai("look", *(tmp_path / each if "." in each else each for each in line))
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_check_tells_what_is_understood_and_which_step_would_answer_nothing(
    cai: Cai, write: Write, tmp_path: Path
) -> None:
    write("p.jsonl", lines(PROMPTS))
    write("script.yaml", "- {say: [Yes.]}\n")
    recipe = write("r.yaml", RECIPE)
    checked = cai("check", recipe)
    assert checked.returncode == 2
    assert f"{tmp_path / 'p.jsonl'} (prompts, helpful): 4 rows\n" in checked.stdout
    assert "  columns not used: mood\n" in checked.stdout
    sentence = "answers redteam prompts, and prompts has helpful ones alone; give it `tracks: [helpful]`"
    assert f"{recipe}:7: stages[1].sample: {sentence}" in checked.stdout
    ran = cai("run", recipe, "--out", tmp_path / "out")
    assert (ran.returncode, ran.stderr) == (2, f"error: sample: {sentence}\n")
    assert "p.jsonl: 4 rows, 1 as text + system, 1 as messages" in ran.stdout
    ran = cai("run", recipe, "sample.tracks=[helpful]", "--out", tmp_path / "out")
    assert "sample kept none of 3 rows (equal_or_empty_answers 3)" in ran.stderr


def test_how_labels_are_read_is_told_or_asked(cai: Cai, write: Write) -> None:
    rows: list[dict[str, object]] = [
        {"q": {"text": f"{n}?", "sys": "Be brief."}, "response_a": "Yes.", "response_b": "No.", "vote": {"of": n % 2}}
        for n in range(4)
    ]
    pairs = write("pairs.jsonl", lines(rows))
    columns = [f"--columns={each}" for each in ("prompt=q.text", "system=q.sys", "label=vote.of")]
    question = "pairs.jsonl: the label's column vote.of holds 0 (2), 1 (2), and numbers alone do not say"
    asked = cai("look", pairs, *columns)
    assert (asked.returncode, asked.stderr.startswith(f"error: {question}")) == (2, True), asked.stderr
    assert f"{pairs} (pairs): 4 rows\n" in asked.stdout
    answered = cai("look", pairs, *columns, "--columns=first=0").stdout
    assert "  labels: vote.of 0 means response_a, 1 means response_b, as `columns` says\n" in answered
    assert "  columns read: q.text, q.sys, response_a, response_b, vote.of\n" in answered
    assert "    system: Be brief.\n    user: 0?\n" in answered
    refused = cai("look", pairs, *columns, "--columns=frist=0")
    assert (refused.returncode, 'there is no "frist" among them' in refused.stderr) == (2, True)
    stages = "  - pairs: {path: pairs.jsonl, columns: {prompt: q.text, label: vote.of}}\n  - label: {method: people}\n"
    recipe = write("r.yaml", RECIPE.partition("  - prompts")[0] + stages)
    write("script.yaml", "- {say: [Yes.]}\n")
    checked = cai("check", recipe)
    assert checked.returncode == 2
    assert f"{recipe}:6: stages[0].pairs: {question}" in checked.stdout


def test_a_known_set_is_told_with_the_columns_of_its_own(cai: Cai, write: Write) -> None:
    completions = [{"response": f"Answer {n}.", "fine-grained_score": n} for n in range(3)]
    looked = cai("look", write("p.jsonl", lines([{"instruction": "Go.", "completions": completions}]))).stdout
    assert "  read as: text 1\n  columns read: instruction, completions\n" in looked
    assert "  labels: read as UltraFeedback: " in looked


def test_a_look_at_a_file_by_the_wrong_column_counts_it_whole(cai: Cai, write: Write) -> None:
    ran = cai("look", write("p.csv", "goal,n\nSay a.,1\nSay b.,\nSay c.,\n"))
    assert ran.returncode == 2
    assert "(prompts): 3 rows\n  columns: goal, n\n" in ran.stdout


def test_a_look_proposes_options_before_keys(cai: Cai, write: Write) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": f"{n}?", "response_a": "Yes.", "response_b": "No.", "vote": n % 3} for n in range(6)
    ]
    pairs = write("pairs.jsonl", lines(rows))
    told = cai("look", pairs, "--columns=label=vote", "--columns=first=2").stderr
    options = "--columns label=vote --columns first=2 --columns second=1 --columns tie=0"
    assert f"say `{options}`, in a recipe `columns: {{label: vote, first: 2, second: 1, tie: 0}}`" in told
    told = cai("look", pairs, "--columns=label=vote", "--columns=first=7").stderr
    assert "holds 0 (2), 1 (2), 2 (2), and not 7, and numbers alone do not say" in told
    assert "say `--columns label=vote --columns first=1 --columns second=2 --columns tie=0`" in told
    turns = cai("look", write("turns.jsonl", lines([{"turns": ["Rye?", "So?"]}]))).stderr
    assert "(--column NAME, such as --column turns.0, in a recipe the key `column`)" in turns
    assert "take `split` out" in cai("look", pairs, "--split=test").stderr


def test_a_look_shows_answers_under_their_columns_in_their_order(cai: Cai, write: Write) -> None:
    for n in range(4):
        rows: list[dict[str, object]] = [
            {"prompt": f"{n}?", "response_b": "No.", "response_a": "Yes.", "winner": "response_b"}
        ]
        looked = cai("look", write("p.jsonl", lines(rows))).stdout
        assert "    response_a: Yes.\n    response_b: No.\n    the better, by people: response_b\n" in looked


@pytest.mark.parametrize(
    ("rows", "what"), [([PROMPTS[0], *PAIRS * 3], "pairs"), ([*PAIRS, *[PROMPTS[0]] * 3], "prompts")]
)
def test_what_a_file_holds_is_told_by_most_of_its_rows(
    rows: list[dict[str, object]], what: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("rows.jsonl", lines(rows))
    look_at([str(path)], Look(PromptSource()), False)
    assert f"{path} ({what}): 4 rows\n" in capsys.readouterr().out
